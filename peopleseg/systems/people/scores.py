"""How sure a response is of a person: by the detector, how clear the mask is, and the mask head.

A detector's score tells nothing of the mask (Mask Scoring R-CNN, arXiv:1903.00241). The score of an
response is the probability that the person is right, a mask with an IoU of at least 0.5, by a
logistic fit of all three (Platt 1999).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from peopleseg.pixels.masks import THRESHOLD

GIVEN_SCORE = 1.0  # of a box that the caller brought: such a person is answered as asked
LEAST_CONFIDENCE = 0.01  # an empty mask has none; its logarithm stays finite
_NEAREST_TO_CERTAIN = 1e-6  # of a probability whose logit is taken


@dataclass(frozen=True)
class ScoreFit:
    """The probability that a person is right: a sigmoid of a weighted sum.

    detection: weight of the logit of the detector's score, above 0; mask: of the logarithm of the
    mask's confidence, 0 or more; shift: what is added; presence: weight of the logarithm of the
    mask head's probability that somebody is there, 0 or more.
    """

    detection: float
    mask: float
    shift: float
    presence: float = 0.0

    def __call__(
        self,
        scores: NDArray[np.floating],
        confidences: NDArray[np.floating],
        presence_logits: NDArray[np.floating] | None = None,
    ) -> NDArray[np.float32]:
        """Detector's scores (n,) and confidences (n,), both in [0, 1], to probabilities (n,).

        presence_logits: (n,); None where the head does not judge presence: all are there.
        """
        clear = np.log(np.maximum(confidences, LEAST_CONFIDENCE))
        total = self.detection * _logit(scores) + self.mask * clear + self.shift
        if presence_logits is not None:
            logits = np.asarray(presence_logits, dtype=np.float64)
            total = total - self.presence * np.logaddexp(0, -logits)
        return _sigmoid(total).astype(np.float32)

    def least_detection(self, min_score: float) -> float:
        """The detector's score below which nobody reaches min_score, however sure the head is."""
        least = (_logit(np.asarray(min_score)) - self.shift) / self.detection
        return float(_sigmoid(least))


def with_score_fit(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a step, with its numbers of `score_fit`, in their order, as a ScoreFit."""
    numbers = settings.get("score_fit")
    return {**settings, "score_fit": None if numbers is None else ScoreFit(*numbers)}


def mask_confidences(masks: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Masks (n, h, w) x 255 to the mean probability of the cells that are the person's, (n,).

    0 for an empty mask.
    """
    own = masks > THRESHOLD
    cells = own.sum(axis=(1, 2))
    total = np.where(own, masks, 0).sum(axis=(1, 2), dtype=np.int64)
    return (total / (255.0 * np.maximum(cells, 1))).astype(np.float32)


def distinct(rles: Sequence[Mapping[str, Any]], max_iou: float) -> list[int]:
    """Whose mask is no repetition of an earlier one's: their places, in order.

    rles: COCO's, the best person first. max_iou: of two people's masks, above which the later one
    is the same person.
    """
    kept: list[int] = []
    for place, rle in enumerate(rles):
        others = [rles[other] for other in kept]
        if not others or coco_mask.iou([rle], others, [0] * len(others)).max() <= max_iou:
            kept.append(place)
    return kept


def _logit(probability: NDArray[np.floating]) -> NDArray[np.float64]:
    inside = np.clip(
        np.asarray(probability, dtype=np.float64), _NEAREST_TO_CERTAIN, 1 - _NEAREST_TO_CERTAIN
    )
    return np.log(inside / (1 - inside))  # type: ignore[no-any-return]


def _sigmoid(logit: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(-np.logaddexp(0, -logit))  # type: ignore[no-any-return]
