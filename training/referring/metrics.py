"""The validation's metrics of prompts, in the square; `peopleseg validate` goes by the image.

As peopleseg.systems.referring.evaluation.metrics defines them.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from peopleseg.networks.referring.outputs import RefOutput
from peopleseg.networks.resizing import resized
from peopleseg.networks.torchvision_ops import declare_missing_ops
from peopleseg.systems.referring.evaluation.answers import Groups, TruePerson
from peopleseg.systems.referring.evaluation.measuring import Measured, Overlap, measure
from peopleseg.systems.referring.evaluation.metrics import OF_OTHERS, ReferringMetrics
from training.referring.targets import RefTargets
from training.referring.terms import PERSON

declare_missing_ops()

from torchmetrics import Metric  # noqa: E402  (torchvision, after declare_missing_ops)

COUNTS = 5  # numbers of a prompt beside those of its groups, see `_row`


class PromptMetrics(Metric):
    """All metrics but those that need to know of everybody in the image.

    NaN where there is nothing to measure. Every update has the same number of groups.
    """

    full_state_update = False
    higher_is_better = True
    rows: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("rows", [], dist_reduce_fx="cat")

    def update(self, output: RefOutput, targets: RefTargets, asked: Tensor | None = None) -> None:
        """Of P prompts, one person each.

        asked: [P, M] int64, the group that each of the output's masks is of, the best among them;
        None: masks of all groups, in order. Masks of another size are resized to the square.
        """
        prompts = zip(_groups(output, targets, asked), _people(targets), strict=True)
        rows = [_row(measure(found, true)) for found, true in prompts]
        numbers = np.array(rows).reshape(-1, 3 * output.logits.shape[1] + COUNTS)
        self.rows.append(torch.from_numpy(numbers).to(self.device))

    def compute(self) -> dict[str, Tensor]:
        rows = self.rows if isinstance(self.rows, list) else [self.rows]
        measured = [_measured(row) for part in rows for row in part.cpu().numpy()]
        metrics = ReferringMetrics(measured).metrics()
        return {name: _number(one) for name, one in metrics.items() if name not in OF_OTHERS}


def _groups(output: RefOutput, targets: RefTargets, asked: Tensor | None) -> list[Groups]:
    """In pixels of the square."""
    side = targets.masks.shape[-1]
    scores = output.logits[..., PERSON].float().sigmoid().cpu().numpy()
    keypoints = (output.keypoints.double() * side).cpu().numpy()
    found = []
    for number, own in enumerate(scores):
        masks = None
        if output.masks is not None:
            logits = resized(output.masks[number : number + 1].float(), targets.masks.shape[-2:])
            masks = (logits[0] > 0).cpu().numpy()
        groups = None if asked is None else asked[number].tolist()
        found.append(Groups(own, keypoints[number], masks, groups))
    return found


def _people(targets: RefTargets) -> list[TruePerson]:
    """In pixels of the square."""
    side = targets.masks.shape[-1]
    keypoints = (targets.keypoints.double() * side).cpu().numpy()
    visible = (targets.visible > 0).cpu().numpy()
    areas = (targets.areas.double() * side**2).tolist()
    masks = [
        mask.cpu().numpy() if known else None
        for mask, known in zip(targets.masks, targets.mask_known.tolist(), strict=True)
    ]
    people = zip(keypoints, visible, areas, masks, strict=True)
    return [TruePerson(*person) for person in people]


# A row has the numbers of one prompt, so that processes can put theirs together: scores, OKS and
# IoUs of G groups, and COUNTS more.


def _row(one: Measured) -> NDArray[np.float64]:
    overlap = (one.overlap.intersection, one.overlap.union)
    counts = (one.pose_known, one.keypoints_right, one.keypoints_judged, *overlap)
    return np.concatenate((one.scores, one.oks, one.ious, counts), dtype=np.float64)


def _measured(row: NDArray[np.float64]) -> Measured:
    groups = (len(row) - COUNTS) // 3
    scores, oks, ious, counts = np.split(row, [groups, 2 * groups, 3 * groups])
    posed, right, judged, intersection, union = counts.astype(int).tolist()
    return Measured(scores, oks, ious, bool(posed), right, judged, Overlap(intersection, union))


def _number(value: float | None) -> Tensor:
    return torch.tensor(math.nan if value is None else value, dtype=torch.float64)
