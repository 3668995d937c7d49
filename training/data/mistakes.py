"""Where a detector finds somebody and nobody is: what a mask head learns to tell from people.

A head that only ever sees people answers with a mask wherever it is asked. The mistakes are hard
negatives (Shrivastava et al. 2016, arXiv:1604.03540) of its presence logit alone: masks that learn
to be empty there are soon empty over doubtful people too.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from peopleseg.pixels.geometry import INPUT_SIZE
from peopleseg.systems.people.selection import MAX_IOU, suppressed
from training.data.samples import IGNORED, SMALLEST_ROI_PX, RoiBatch

LEAST_SCORE = 0.1  # from which a detector is taken to believe in a person
MOST_SHARED = 0.1  # of a mistake's box with somebody's
MOST_OF_AN_IMAGE = 4


def with_mistakes(batch: RoiBatch, predictions: Tensor) -> tuple[RoiBatch, Tensor]:
    """The batch with some of the detector's mistakes as rois, whose cells are all IGNORED, and
    which of its rois are people's, [N] bool.

    predictions: [B, 5, anchors] cx, cy, w, h in pixels of the images, and score. As many as the
    batch says, drawn from torch's global generator among the surest of each image.
    """
    found = torch.cat(
        [
            F.pad(mistakes(one, people)[:MOST_OF_AN_IMAGE], (1, 0), value=index)
            for index, (one, people) in enumerate(zip(predictions, batch.people_xyxy, strict=True))
        ]
    )
    count = round(batch.mistakes * len(batch.rois))
    chosen = found[torch.randperm(len(found))[:count].to(found.device)]
    unknown = batch.labels.new_full((len(chosen), *batch.labels.shape[1:]), IGNORED)
    more = batch._replace(
        rois=torch.cat((batch.rois, chosen)), labels=torch.cat((batch.labels, unknown))
    )
    return more, torch.arange(len(more.rois), device=chosen.device) < len(batch.rois)


def mistakes(predictions: Tensor, people_xyxy: Tensor) -> Tensor:
    """Boxes (m, 4) of one image that are next to nobody's, the surest first.

    predictions: [5, anchors]; people_xyxy: [p, 4], where people are or may be.
    """
    sure = predictions[:, predictions[4] >= LEAST_SCORE].float()
    centres, sizes, scores = sure[:2].T, sure[2:4].T, sure[4]
    boxes = torch.cat((centres - sizes / 2, centres + sizes / 2), dim=1).clamp(0, INPUT_SIZE)
    large = (boxes[:, 2:] - boxes[:, :2]).amin(dim=1) >= SMALLEST_ROI_PX
    boxes, scores = boxes[large], scores[large]
    kept = suppressed(boxes.cpu().numpy(), scores.cpu().numpy(), 0.0, MAX_IOU)
    boxes = boxes[torch.from_numpy(kept).to(boxes.device)]
    return boxes[_most_shared(boxes, people_xyxy) <= MOST_SHARED]


def _most_shared(boxes: Tensor, regions: Tensor) -> Tensor:
    """(n,) the largest part of each box (n, 4) that lies in one of the regions (p, 4)."""
    if len(regions) == 0:
        return boxes.new_zeros(len(boxes))
    low = torch.maximum(boxes[:, None, :2], regions[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], regions[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(dim=2)
    return shared.amax(dim=1) / (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
