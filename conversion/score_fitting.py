"""Fit what a score means: how likely somebody found is right, on annotated images."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from tqdm import tqdm

from peopleseg.labels.coco import PERSON_CATEGORY_ID, Picture
from peopleseg.systems.people.answer import People
from peopleseg.systems.people.evaluation.matches import Entry, matched
from peopleseg.systems.people.evaluation.scores import Judged, Point, best, curve
from peopleseg.systems.people.pipeline import Pipeline
from peopleseg.systems.people.scores import ScoreFit, mask_confidences

FIT_MIN_SCORE = 0.01  # of the detector: people below it would outnumber all others
_RIDGE = 1e-3  # pull towards a fit that changes nothing: few people decide little
_START = (1.0, 1.0, 0.0)
_BOUNDS = ((0.05, 5.0), (0.0, 10.0), (-5.0, 5.0))


class Found(NamedTuple):
    """Everybody found in some images who counts."""

    scores: NDArray[np.float64]  # (n,) the detector's
    confidences: NDArray[np.float64]  # (n,) the masks'
    right: NDArray[np.bool_]  # (n,) at mask IoU 0.5
    people: int  # who are to be found

    def judged(self, scores: NDArray[np.floating]) -> Judged:
        """The same people with other scores."""
        return Judged(np.asarray(scores, dtype=np.float64), self.right, self.people)


def find(pipeline: Pipeline, pictures: Sequence[Picture]) -> Found:
    """Everybody whom a pipeline without a fit finds from FIT_MIN_SCORE on.

    Raises OSError, and what the pipeline raises, of the first image that fails.
    """
    entries: list[Entry] = []
    for picture in tqdm(pictures, unit="image", disable=None):
        people = pipeline.segment(picture.path.read_bytes(), min_score=FIT_MIN_SCORE)
        entries += _entries(people, picture.id)
    images = matched(pictures, entries, "segm")
    counted = [
        (entry["score"], entry["confidence"], right)
        for one in images
        for entry, right, ignored in zip(one.found, one.right, one.ignored, strict=True)
        if not ignored
    ]
    scores, confidences, right = np.array(counted, dtype=np.float64).reshape(-1, 3).T
    return Found(scores, confidences, right > 0, sum(len(one.people) for one in images))


def fit(found: Found) -> ScoreFit:
    """The fit of the highest likelihood, with a little pull towards the detector's own scores.

    Raises ValueError where nobody found is right, or everybody is: there is nothing to tell apart.
    """
    if not found.right.any() or found.right.all():
        raise ValueError(
            f"of {len(found.right)} people found {int(found.right.sum())} are right; a fit needs "
            "some who are and some who are not: measure on more images"
        )

    def cost(numbers: NDArray[np.float64]) -> float:
        likely = ScoreFit(*numbers)(found.scores, found.confidences).astype(np.float64)
        pull = _RIDGE * float(((numbers - np.array(_START)) ** 2).sum())
        return log_loss(likely, found.right) + pull

    result = minimize(cost, np.array(_START), bounds=_BOUNDS, method="Powell")
    return ScoreFit(*(round(float(number), 3) for number in result.x))


def log_loss(scores: NDArray[np.floating], right: NDArray[np.bool_]) -> float:
    """Mean negative log-likelihood of who is right, given their scores in [0, 1]."""
    inside = np.clip(scores.astype(np.float64), 1e-6, 1 - 1e-6)
    return float(-np.where(right, np.log(inside), np.log(1 - inside)).mean())


def best_min_score(found: Found, score_fit: ScoreFit) -> Point:
    """From which score on F1 is highest."""
    return best(curve(found.judged(score_fit(found.scores, found.confidences))))


def _entries(people: People, image_id: int) -> Iterable[Entry]:
    confidences = mask_confidences(people.masks)
    for box, score, rle, confidence in zip(
        people.boxes, people.scores, people.rles, confidences, strict=True
    ):
        x1, y1, x2, y2 = map(float, box)
        yield {
            "image_id": image_id,
            "category_id": PERSON_CATEGORY_ID,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "score": float(score),
            "confidence": float(confidence),
            "segmentation": rle,
        }
