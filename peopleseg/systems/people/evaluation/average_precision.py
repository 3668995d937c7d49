"""COCO average precision of person boxes or masks, by pycocotools."""

import contextlib
import io
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from peopleseg.labels.coco import PERSON_CATEGORY_ID, AnnotatedImage, Annotation

Kind = Literal["bbox", "segm"]

AP_MIN_SCORE = 0.01  # of people who enter an AP; those below hardly change it
SIZES = ("small", "medium", "large")  # COCO's
_MEDIUM_AREA, _LARGE_AREA = 32**2, 96**2  # from which on a person is of that size
_EVERYBODY, *_BY_SIZE = range(1 + len(SIZES))  # pycocotools' order of areas


class AveragePrecision(NamedTuple):
    """None where there is nobody to find."""

    ap: float | None  # mean over the IoU thresholds 0.50, 0.55 ... 0.95
    ap50: float | None  # at IoU 0.50


def average_precision(
    images: Sequence[AnnotatedImage], results: Sequence[dict[str, Any]], kind: Kind
) -> AveragePrecision:
    """AP of COCO results for these images, at most 100 people an image, crowds by COCO's rules.

    Of masks, who has a box alone is as a crowd that fills the box: what is found there is neither
    right nor wrong. A result has image_id, category_id, score, bbox (xywh) and, for segm,
    segmentation (RLE).
    """
    return _of_area(evaluated(images, results, kind), _EVERYBODY)


def average_precision_by_size(
    images: Sequence[AnnotatedImage], results: Sequence[dict[str, Any]], kind: Kind
) -> dict[str, AveragePrecision]:
    """The same of people of each of SIZES, by the area in the image, of mask or else of box."""
    evaluation = evaluated(images, results, kind)
    return {size: _of_area(evaluation, a) for size, a in zip(SIZES, _BY_SIZE, strict=True)}


def size_of(area: float) -> str:
    """The one of SIZES that a person of this area in the image has."""
    return SIZES[(area >= _MEDIUM_AREA) + (area >= _LARGE_AREA)]


def evaluated(
    images: Sequence[AnnotatedImage], results: Sequence[dict[str, Any]], kind: Kind
) -> Any:
    """pycocotools' COCOeval of these results, accumulated. Ids of its entries are above 0."""
    from pycocotools.cocoeval import COCOeval

    true = [_true_entry(image, one, kind) for image in images for one in image.annotations]
    found = [{**one, "iscrowd": 0, "area": _found_area(one, kind)} for one in results]
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints as it goes
        evaluation = COCOeval(_coco(images, true), _coco(images, found), kind)
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _of_area(evaluation: Any, area: int) -> AveragePrecision:
    """Of the precisions [IoU, recall, category, area, most people], as COCOeval sums them up."""
    precisions = evaluation.eval["precision"][..., area, -1]
    return AveragePrecision(_mean(precisions), _mean(precisions[0]))


def _mean(precisions: NDArray[np.float64]) -> float | None:
    known = precisions[precisions > -1]  # pycocotools says -1 for nothing to measure
    return float(known.mean()) if known.size else None


def _true_entry(image: AnnotatedImage, person: Annotation, kind: Kind) -> dict[str, Any]:
    x1, y1, x2, y2 = person.box_xyxy
    return {
        "image_id": image.id,
        "category_id": PERSON_CATEGORY_ID,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "segmentation": person.segmentation or [[x1, y1, x2, y1, x2, y2, x1, y2]],
        "iscrowd": int(person.crowd or (kind == "segm" and not person.masked)),
        "area": _true_area(image, person),
    }


def _true_area(image: AnnotatedImage, person: Annotation) -> float:
    """Of the mask, also where boxes are measured: COCO's sizes are those of masks."""
    x1, y1, x2, y2 = person.box_xyxy
    if not person.masked:
        return (x2 - x1) * (y2 - y1)
    return float(np.count_nonzero(person.mask(image.height, image.width)))


def _found_area(result: dict[str, Any], kind: Kind) -> float:
    from pycocotools import mask as coco_mask

    if kind == "segm":
        return float(coco_mask.area(result["segmentation"]))
    return float(result["bbox"][2] * result["bbox"][3])


def _coco(images: Sequence[AnnotatedImage], entries: Sequence[dict[str, Any]]) -> Any:
    """A COCO object without its file and, unlike loadRes, also of no entries at all."""
    from pycocotools.coco import COCO

    coco = COCO()
    coco.dataset = {
        "images": [
            {"id": image.id, "width": image.width, "height": image.height} for image in images
        ],
        "categories": [{"id": PERSON_CATEGORY_ID, "name": "person"}],
        "annotations": [{**entry, "id": number} for number, entry in enumerate(entries, start=1)],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco
