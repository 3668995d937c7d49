"""Where a detector finds somebody and nobody is: rois that a mask head has to leave empty.

A head that only ever sees people answers with a mask wherever it is asked, and its confidence then
says nothing of a detector's mistakes. They are trained on as hard negatives (Shrivastava et al.
2016, arXiv:1604.03540).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from peopleseg.geometry import INPUT_SIZE
from peopleseg.people import MAX_IOU, suppressed
from training.data.samples import BACKGROUND, SMALLEST_ROI_PX, RoiBatch

LEAST_SCORE = 0.1  # from which a detector is taken to believe in a person
MOST_SHARED = 0.1  # of a mistake's box with somebody's


def with_mistakes(batch: RoiBatch, predictions: Tensor) -> RoiBatch:
    """The batch with the detector's surest mistakes as rois, whose cells are all BACKGROUND.

    predictions: [B, 5, anchors] cx, cy, w, h in pixels of the images, and score. Of each image at
    most its `most_mistakes` are taken.
    """
    found = [
        F.pad(mistakes(one, people)[:most], (1, 0), value=index)
        for index, (one, people, most) in enumerate(
            zip(predictions, batch.people_xyxy, batch.most_mistakes, strict=True)
        )
    ]
    rois = torch.cat((batch.rois, *found))
    nobody = batch.labels.new_full(
        (len(rois) - len(batch.rois), *batch.labels.shape[1:]), BACKGROUND
    )
    return batch._replace(rois=rois, labels=torch.cat((batch.labels, nobody)))


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
