"""Fit what a score means, how likely somebody found is right, and where masks end."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from tqdm import tqdm

from peopleseg.errors import PeoplesegError
from peopleseg.labels.coco import PERSON_CATEGORY_ID, AnnotatedImage
from peopleseg.pixels.geometry import Letterbox
from peopleseg.repository.tensors import bytes_tensor
from peopleseg.systems.people.contract import MIN_SCORE_PARAMETER
from peopleseg.systems.people.evaluation.matches import Entry, matched
from peopleseg.systems.people.evaluation.metrics import Segmenter, mask_iou, masks_in_true_boxes
from peopleseg.systems.people.evaluation.scores import Judged, Point, best, curve
from peopleseg.systems.people.person import people_in
from peopleseg.systems.people.pipeline import PeoplePipeline
from peopleseg.systems.people.scores import ScoreFit, mask_confidences
from peopleseg.systems.step import Arrays

FIT_MIN_SCORE = 0.01  # of the detector: people below it would outnumber all others
_PULL = 1.0  # towards the detector's own scores, in people: few decide little
_START = (1.0, 1.0, 0.0, 0.0)  # in the order of ScoreFit's fields
_BOUNDS = ((0.05, 5.0), (0.0, 10.0), (-5.0, 5.0), (0.0, 5.0))


SHIFTS = np.round(np.arange(-1.5, 1.501, 0.05), 2)  # of the target's logit


class FitError(PeoplesegError, ValueError):
    """Nothing can be fitted. The message says why, and what to do."""


class Found(NamedTuple):
    """Everybody found in some images who counts."""

    scores: NDArray[np.float64]  # (n,) the detector's
    confidences: NDArray[np.float64]  # (n,) the masks'
    presence_logits: NDArray[np.float64]  # (n,) the mask head's
    right: NDArray[np.bool_]  # (n,) at mask IoU 0.5
    people: int  # who are to be found

    def fitted(self, score_fit: ScoreFit) -> NDArray[np.float32]:
        """Their scores (n,) by a fit."""
        return score_fit(self.scores, self.confidences, self.presence_logits)

    def judged(self, scores: NDArray[np.floating]) -> Judged:
        """The same people with other scores."""
        return Judged(np.asarray(scores, dtype=np.float64), self.right, self.people)


def find(pipeline: PeoplePipeline, images: Sequence[AnnotatedImage]) -> Found:
    """Everybody whom a pipeline without a fit finds from FIT_MIN_SCORE on.

    Raises OSError, and what the pipeline raises, of the first image that fails.
    """
    entries: list[Entry] = []
    for image in tqdm(images, unit="image", disable=None):
        inputs = {"image": bytes_tensor(image.read())}
        parameters = {MIN_SCORE_PARAMETER: FIT_MIN_SCORE}
        entries += _entries(pipeline.tensors("person_segmentation", inputs, parameters), image.id)
    compared = matched(images, entries, "segm")
    counted = [
        (entry["score"], entry["confidence"], entry["presence_logit"], right)
        for one in compared
        for entry, right, ignored in zip(one.found, one.right, one.ignored, strict=True)
        if not ignored
    ]
    scores, confidences, presence_logits, right = np.array(counted, np.float64).reshape(-1, 4).T
    people = sum(len(one.people) for one in compared)
    return Found(scores, confidences, presence_logits, right > 0, people)


def fit(found: Found) -> ScoreFit:
    """The fit of the highest likelihood, with a little pull towards the detector's own scores.

    Raises FitError where nobody found is right, or everybody is: there is nothing to tell apart.
    """
    if not found.right.any() or found.right.all():
        raise FitError(
            f"of {len(found.right)} people found {int(found.right.sum())} are right; a fit needs "
            "some who are and some who are not: measure on more images"
        )

    def cost(numbers: NDArray[np.float64]) -> float:
        likely = found.fitted(ScoreFit(*numbers)).astype(np.float64)
        pull = _PULL * float(((numbers - np.array(_START)) ** 2).sum())
        return log_loss(likely, found.right) + pull / len(found.right)

    result = minimize(cost, np.array(_START), bounds=_BOUNDS, method="Powell")
    return ScoreFit(*(round(float(number), 3) for number in result.x))


class MaskFit(NamedTuple):
    """A shift of the target's logit, and the mean IoU of masks in true boxes that it changes."""

    shift: float
    miou_before: float
    miou: float


def fit_masks(segmenter: Segmenter, images: Sequence[AnnotatedImage]) -> MaskFit:
    """The shift of SHIFTS with the best mean IoU, as `roi_miou` measures it, of unshifted masks.

    Raises OSError, and what the segmenter raises; FitError where nobody has a mask.
    """
    ious: list[list[float]] = []  # of each true box, by shift
    least = 255 / (1 + np.exp(SHIFTS))  # a probability x 255 above it is above 0.5 when shifted
    for image in tqdm(images, unit="image", disable=None):
        for mask, true in masks_in_true_boxes(segmenter, image.read(), image):
            ious.append([mask_iou(mask > value, true) for value in least])
    if not ious:
        raise FitError("nobody has a mask of 16 pixels or more; measure on images with masks")
    mean = np.mean(ious, axis=0)
    unshifted = int(np.argmin(np.abs(SHIFTS)))
    best_place = int(np.lexsort((np.abs(SHIFTS), -mean))[0])  # of equal ones the smallest
    return MaskFit(float(SHIFTS[best_place]), float(mean[unshifted]), float(mean[best_place]))


def log_loss(scores: NDArray[np.floating], right: NDArray[np.bool_]) -> float:
    """Mean negative log-likelihood of who is right, given their scores in [0, 1]."""
    inside = np.clip(scores.astype(np.float64), 1e-6, 1 - 1e-6)
    return float(-np.where(right, np.log(inside), np.log(1 - inside)).mean())


def best_min_score(found: Found, score_fit: ScoreFit) -> Point:
    """From which score on F1 is highest. Raises FitError where it is 0 everywhere."""
    point = best(curve(found.judged(found.fitted(score_fit))))
    if not point.f1 > 0:
        raise FitError(
            "no score tells who is right: F1 is 0 from every score on; train longer, or measure on "
            "more images"
        )
    return point


def _entries(tensors: Arrays, image_id: int) -> Iterable[Entry]:
    """The people of a response, with what the mask head thought of their rois."""
    letterbox = Letterbox.from_array(tensors["letterbox"])
    of_rois = letterbox.boxes_to_image(tensors["rois"][:, 1:]).tolist()
    presence = dict(zip(map(tuple, of_rois), tensors["presence_logit"][:, 0], strict=True))
    people = people_in(tensors)
    confidences = mask_confidences(people.masks)
    for box, score, rle, confidence in zip(
        people.boxes.tolist(), people.scores, people.rles, confidences, strict=True
    ):
        x1, y1, x2, y2 = box
        yield {
            "image_id": image_id,
            "category_id": PERSON_CATEGORY_ID,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "score": float(score),
            "confidence": float(confidence),
            "presence_logit": float(presence[tuple(box)]),
            "segmentation": rle,
        }
