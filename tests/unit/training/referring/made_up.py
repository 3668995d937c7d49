"""Made-up prompts, answered and true, for the tests of losses, matching and metrics."""

import torch
from torch import Tensor

from peopleseg.labels.label_maps import UNKNOWN
from peopleseg.networks.referring.outputs import RefOutput
from training.referring.targets import RefTargets

KEYPOINTS, GROUPS, SIDE = 17, 5, 16


def answers(prompts: int = 3, seed: int = 0, groups: int = GROUPS, masks: int = 1) -> RefOutput:
    """Random, of the last layer, each tensor a leaf with a gradient."""
    random = torch.Generator().manual_seed(seed)

    def tensor(*shape: int, positions: bool = False) -> Tensor:
        values = torch.randn(prompts, *shape, generator=random)
        return (values.sigmoid() if positions else values).requires_grad_()

    return RefOutput(
        tensor(groups, 2),
        tensor(groups, 4, positions=True),
        tensor(groups, KEYPOINTS, 2, positions=True),
        tensor(groups, KEYPOINTS),
        tensor(masks, SIDE, SIDE),
    )


def proposals(prompts: int = 3, seed: int = 9) -> RefOutput:
    """Random, of the encoder."""
    return answers(prompts, seed)._replace(visibility=None, masks=None)


def people(count: int = 3, seed: int = 1) -> RefTargets:
    """Random; the second has no known mask, the third no known keypoint."""
    random = torch.Generator().manual_seed(seed)
    visible = (torch.rand(count, KEYPOINTS, generator=random) < 0.6).float()
    visible[2:3] = 0
    mask_known = torch.ones(count, dtype=torch.bool)
    mask_known[1:2] = False
    values = torch.tensor([0, 1, UNKNOWN], dtype=torch.uint8)
    blocks = values[torch.randint(0, 3, (count, 4, 4), generator=random)]
    return RefTargets(
        torch.rand(count, 4, generator=random),
        torch.rand(count, KEYPOINTS, 2, generator=random),
        visible,
        blocks.repeat_interleave(SIDE // 4, 1).repeat_interleave(SIDE // 4, 2),
        mask_known,
        torch.rand(count, generator=random) * 0.3 + 0.01,
    )


def rows(targets: RefTargets, chosen: list[int]) -> RefTargets:
    return RefTargets(*(field[chosen] for field in targets))


def prompt_alone(output: RefOutput, prompt: int) -> RefOutput:
    """Every field must be there."""
    fields = [field[prompt : prompt + 1] for field in output if field is not None]
    return RefOutput(*fields)


def perfect(targets: RefTargets, group: int = 2) -> RefOutput:
    """That group of each prompt is the truth, the others nobody; masks are of that group."""
    count = len(targets.areas)
    logits = torch.full((count, GROUPS, 2), -12.0)
    logits[:, group, 0] = 12
    boxes = torch.full((count, GROUPS, 4), 0.01)
    boxes[:, group] = targets.boxes_cxcywh
    keypoints = torch.zeros(count, GROUPS, KEYPOINTS, 2)
    keypoints[:, group] = targets.keypoints
    visibility = torch.zeros(count, GROUPS, KEYPOINTS)
    visibility[:, group] = 24 * targets.visible - 12
    masks = torch.where(targets.masks == 1, 12.0, -12.0)[:, None]
    return RefOutput(logits, boxes, keypoints, visibility, masks)
