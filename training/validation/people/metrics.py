"""The metrics of accuracy, each by its own name and definition; all are better when higher.

They are torchmetrics, so that a training on several processes measures all of its images. Where
there was nothing to measure, a metric is NaN.
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from peopleseg.labels.coco import AnnotatedImage
from peopleseg.networks.torchvision_ops import declare_missing_ops
from peopleseg.pixels.geometry import Letterbox
from peopleseg.systems.people.evaluation.boxes import (
    BOX_AP,
    BOX_AP50,
    BOX_RECALL,
    box_metrics,
    found_boxes,
)
from training.data.samples import BACKGROUND, IGNORED, NON_TARGET, PERSON, TARGET

declare_missing_ops()

from torchmetrics import MeanMetric, Metric  # noqa: E402  (torchvision, after declare_missing_ops)
from torchmetrics.classification import MulticlassJaccardIndex  # noqa: E402

PEOPLE_SEG_MIOU = "people_seg_miou"
INSTANCE_MIOU = "instance_miou"
ROI_MIOU = "roi_miou"
TWO_CLASS_MIOU = "two_class_miou"
BOUNDARY_IOU = "boundary_iou"
MASK_AP, MASK_AP50 = "mask_ap", "mask_ap50"
METRICS = (
    *(PEOPLE_SEG_MIOU, INSTANCE_MIOU, ROI_MIOU, TWO_CLASS_MIOU, BOUNDARY_IOU),
    *(MASK_AP, MASK_AP50, BOX_AP, BOX_AP50, BOX_RECALL),
)

BOUNDARY_WIDTH = 0.02  # of the mask's diagonal, as in the paper

Rule = Literal["argmax", "probability"]


class MeanIou(MeanMetric):
    """The mean of the IoUs that `update` of a subclass takes; both masks empty count 1."""

    higher_is_better = True

    def __init__(self) -> None:
        super().__init__()
        self.set_dtype(torch.float64)


class PeopleSegMiou(MeanIou):
    """Of each image the mean of the IoUs of people and of background; their mean over images.

    The mIoU that PINTO0309's people-segmentation UNets are published with: a person's probability
    above 0.5 is person, pixels labelled IGNORED do not count, a class that neither has counts 1.
    """

    def update(self, logits: Tensor, labels: Tensor) -> None:  # type: ignore[override]
        """logits [B, 1, S, S]; labels [B, S, S] of PERSON, BACKGROUND, IGNORED."""
        found, known = logits[:, 0] > 0, labels != IGNORED  # 0 is the logit of 0.5
        people = _ious(found & known, labels == PERSON)
        background = _ious(~found & known, labels == BACKGROUND)
        super().update((people + background) / 2)


class InstanceMiou(MeanIou):
    """Of each roi the IoU of the target; their mean over rois.

    The target is where it is the likeliest class ("argmax"; as PINTO0309's human-instance-
    segmentation reports, `instance_miou`), or where its probability is above 0.5 ("probability";
    as served, `roi_miou`).
    """

    def __init__(self, rule: Rule = "argmax") -> None:
        super().__init__()
        self.rule = rule

    def update(self, mask_logits: Tensor, labels: Tensor) -> None:  # type: ignore[override]
        """mask_logits [N, 3, h, w]; labels [N, h, w] of class ids and IGNORED."""
        found = target_mask(mask_logits, self.rule) & (labels != IGNORED)
        super().update(_ious(found, labels == TARGET))


class BoundaryIou(MeanIou):
    """Of each roi the IoU of the parts of the masks near their own contours; mean over rois.

    Cheng et al. 2021 (arXiv:2103.16562): near is within 2 % of the mask's diagonal, in whole
    cells, counted by steps in eight directions as the authors' erosion does; outside of the grid
    nothing is mask. The found mask is the served one, probability above 0.5.
    """

    def update(self, mask_logits: Tensor, labels: Tensor) -> None:  # type: ignore[override]
        """mask_logits [N, 3, h, w]; labels [N, h, w] of class ids and IGNORED."""
        found = target_mask(mask_logits, "probability") & (labels != IGNORED)
        super().update(_ious(boundary(found), boundary(labels == TARGET)))


class TwoClassMiou(MulticlassJaccardIndex):
    """The mean of the IoUs of target and non-target, each over the pixels of all rois together.

    As PINTO0309's head on YOLOv9 features reports it, by the likeliest class; background is left
    out. So is a class that no roi has or shows. `update` is as `InstanceMiou`'s.
    """

    def __init__(self) -> None:
        super().__init__(3, None, ignore_index=IGNORED, validate_args=False, zero_division=math.nan)

    def compute(self) -> Tensor:
        return super().compute()[[TARGET, NON_TARGET]].nanmean()


class BoxAveragePrecision(Metric):
    """The metrics of person boxes, see `peopleseg.systems.people.evaluation.boxes`.

    images: the truth. The metrics are of those that `update` was called for; an image that two
    processes looked at counts once.
    """

    full_state_update = False
    higher_is_better = True
    image_ids: list[Tensor]
    counts: list[Tensor]
    rows: list[Tensor]

    def __init__(self, images: Sequence[AnnotatedImage]) -> None:
        super().__init__()
        self.images = {image.id: image for image in images}
        self.add_state("image_ids", [], dist_reduce_fx="cat")
        self.add_state("counts", [], dist_reduce_fx="cat")
        self.add_state("rows", [], dist_reduce_fx="cat")

    def update(self, image_id: int, boxes_xyxy: Tensor, scores: Tensor) -> None:
        """One image's boxes [n, 4], in image pixels, and scores [n]; n may be 0."""
        rows = torch.cat((boxes_xyxy, scores[:, None]), dim=1).to(self.device, torch.float32)
        self.image_ids.append(torch.tensor([image_id], device=self.device))
        self.counts.append(torch.tensor([len(rows)], device=self.device))
        self.rows.append(rows)

    def update_from(self, image_id: int, predictions: Tensor, letterbox: Letterbox) -> None:
        """One image's predictions of a detector, [5, anchors], selected as they are served."""
        rows = torch.from_numpy(found_boxes(predictions.float().cpu().numpy(), letterbox))
        self.update(image_id, rows[:, :4], rows[:, 4])

    def compute(self) -> dict[str, Tensor]:
        image_ids, counts, rows = (
            torch.cat(state if isinstance(state, list) else [state]).cpu()
            for state in (self.image_ids, self.counts, self.rows)
        )
        parts = np.split(rows.numpy(), counts.cumsum(0)[:-1].tolist())
        by_image = dict(zip(image_ids.tolist(), parts, strict=True))
        metrics = box_metrics(by_image, self.images)
        return {name: _number(value) for name, value in metrics.items()}


def mask_metrics() -> dict[str, Metric]:
    """The metrics of a mask head on true boxes, by name; all take the same arguments."""
    return {
        INSTANCE_MIOU: InstanceMiou("argmax"),
        ROI_MIOU: InstanceMiou("probability"),
        TWO_CLASS_MIOU: TwoClassMiou(),
        BOUNDARY_IOU: BoundaryIou(),
    }


def target_mask(mask_logits: Tensor, rule: Rule) -> Tensor:
    """Where the target is: logits [N, 3, h, w] to [N, h, w] of bool."""
    if rule == "argmax":
        return mask_logits.argmax(dim=1) == TARGET
    return mask_logits.softmax(dim=1)[:, TARGET] > 0.5


def boundary(masks: Tensor) -> Tensor:
    """The cells of masks [N, h, w] of bool within BOUNDARY_WIDTH of their contour."""
    height, width = masks.shape[1:]
    reach = max(1, round(BOUNDARY_WIDTH * float(np.hypot(height, width))))
    outside = F.pad((~masks).float(), (reach,) * 4, value=1.0)
    near_outside = F.max_pool2d(outside[:, None], 2 * reach + 1, stride=1)[:, 0] > 0
    return masks & near_outside


def _ious(found: Tensor, true: Tensor) -> Tensor:
    """[N, h, w] of bool twice to [N] float64; 1 where both are empty."""
    intersection = (found & true).sum(dim=(1, 2))
    union = (found | true).sum(dim=(1, 2))
    return torch.where(union > 0, intersection.double() / union.clamp(min=1), 1.0)


def _number(value: float | None) -> Tensor:
    return torch.tensor(math.nan if value is None else value, dtype=torch.float64)
