"""The validation's metrics are those of the evaluation, in pixels of the square."""

import math

import numpy as np
import pytest
import torch

from peopleseg.networks.referring.outputs import RefOutput
from peopleseg.systems.referring.evaluation.answers import Groups, TruePerson
from peopleseg.systems.referring.evaluation.metrics import (
    MASK_AP,
    OF_OTHERS,
    POSE_AP,
    RIGHT_PERSON,
    ReferringMetrics,
)
from tests.unit.training.referring.made_up import GROUPS, SIDE, answers, people, perfect, rows
from training.referring.metrics import PromptMetrics
from training.referring.targets import RefTargets

COUNT = 8


def near() -> tuple[RefOutput, RefTargets]:
    """Answers near the truth, with a mask for each group."""
    targets, random = people(COUNT), torch.Generator().manual_seed(4)
    right, other = perfect(targets), answers(COUNT, masks=GROUPS)
    assert right.masks is not None
    noise = torch.randn(right.keypoints.shape, generator=random) * 0.02
    logits = right.masks + 12 * torch.randn(other.masks.shape, generator=random)  # type: ignore[union-attr]
    keypoints = targets.keypoints[:, None] + noise
    return other._replace(keypoints=keypoints, masks=logits), targets


def by_evaluation(output: RefOutput, targets: RefTargets) -> dict:
    total = ReferringMetrics()
    assert output.masks is not None
    for n in range(len(targets.areas)):
        scores = output.logits[n, :, 0].detach().sigmoid().numpy()
        keypoints = output.keypoints[n].numpy().astype(np.float64) * SIDE
        true = TruePerson(
            targets.keypoints[n].numpy().astype(np.float64) * SIDE,
            targets.visible[n].numpy() > 0,
            targets.areas[n].item() * SIDE * SIDE,
            targets.masks[n].numpy() if targets.mask_known[n] else None,
        )
        total.add(Groups(scores, keypoints, output.masks[n].numpy() > 0), true)
    return total.metrics()


def as_numbers(metric: PromptMetrics) -> dict[str, float]:
    return {name: value.item() for name, value in metric.compute().items()}


def metrics(output: RefOutput, targets: RefTargets, asked: torch.Tensor | None = None) -> dict:
    metric = PromptMetrics()
    metric.update(output, targets, asked)
    return as_numbers(metric)


def test_they_are_those_of_the_evaluation() -> None:
    output, targets = near()
    expected = by_evaluation(output, targets)
    assert {expected.pop(name) for name in OF_OTHERS} == {None}
    assert 0.05 < expected[POSE_AP] < 1 and 0.05 < expected[MASK_AP] < 1
    assert metrics(output, targets) == pytest.approx(expected)


def of_parts(output: RefOutput, targets: RefTargets, *parts: list[int]) -> PromptMetrics:
    """Updated with those prompts, part after part."""
    metric = PromptMetrics()
    for part in parts:
        fields = [None if field is None else field[part] for field in output]
        metric.update(RefOutput(*fields), rows(targets, part))  # type: ignore[arg-type]
    return metric


def test_batches_are_put_together_until_a_reset() -> None:
    output, targets = near()
    expected = metrics(output, targets)
    metric = of_parts(output, targets, [0, 1, 2], [], [3], [4, 5, 6, 7])
    assert as_numbers(metric) == pytest.approx(expected)
    metric.reset()
    metric.update(output, targets)
    assert as_numbers(metric) == pytest.approx(expected)


def test_processes_are_put_together() -> None:
    output, targets = near()
    one = of_parts(output, targets, [0, 1], [2])
    others = [torch.cat(of_parts(output, targets, part).rows) for part in ([3, 4, 5, 6, 7], [])]
    one.dist_sync_fn = lambda own, group: [own, *others]
    one.distributed_available_fn = lambda: True
    assert as_numbers(one) == pytest.approx(metrics(output, targets))


def test_the_best_groups_masks_are_enough_for_the_metrics_of_the_answer() -> None:
    output, targets = near()
    assert output.masks is not None
    asked = output.logits[..., :1].argmax(dim=1)
    own = output.masks[torch.arange(COUNT)[:, None], asked]
    found, every = metrics(output._replace(masks=own), targets, asked), metrics(output, targets)
    for name in ("oiou", "miou", RIGHT_PERSON, POSE_AP, "pckh"):
        assert found[name] == every[name]
    with pytest.raises(ValueError, match="has no mask"):
        metrics(output._replace(masks=own), targets, (asked + 1) % GROUPS)


def test_masks_of_another_size_are_resized() -> None:
    targets = people(3)
    targets.masks[:] = 0
    targets.masks[:, 4:12, 4:12] = 1
    targets = targets._replace(mask_known=torch.ones(3, dtype=torch.bool))
    output = perfect(targets, 0)
    assert output.masks is not None
    small = output._replace(masks=torch.nn.functional.avg_pool2d(output.masks, 4))
    found = metrics(small, targets, torch.zeros(3, 1, dtype=torch.int64))
    assert found["miou"] > 0.9


def test_without_masks_those_of_poses_remain_and_without_anything_none() -> None:
    output, targets = near()
    found = metrics(output._replace(masks=None), targets)
    assert found[POSE_AP] == metrics(output, targets)[POSE_AP]
    assert math.isnan(found[MASK_AP]) and math.isnan(found[RIGHT_PERSON])
    nothing = metrics(answers(0, masks=GROUPS), people(0))
    assert {name for name, value in nothing.items() if not math.isnan(value)} == {
        *("prompts", "prompts_with_mask", "prompts_with_pose")
    }
    assert not nothing.keys() & set(OF_OTHERS)


def test_the_truth_is_1_in_every_metric() -> None:
    targets = people(6)
    found = metrics(perfect(targets, 3), targets, torch.full((6, 1), 3))
    assert found.pop("prompts") == 6 and found.pop("prompts_with_mask") == 5
    assert found.pop("prompts_with_pose") == 5
    assert set(found.values()) == {1}
