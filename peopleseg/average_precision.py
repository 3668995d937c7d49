"""COCO average precision of person boxes or masks, by pycocotools."""

import contextlib
import io
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from peopleseg.coco import PERSON_CATEGORY_ID, Picture

AP_MIN_SCORE = 0.01  # of people who enter an AP; those below hardly change it


class AveragePrecision(NamedTuple):
    """None where there is nobody to find."""

    ap: float | None  # mean over the IoU thresholds 0.50, 0.55 ... 0.95
    ap50: float | None  # at IoU 0.50


def average_precision(
    pictures: Sequence[Picture], results: Sequence[dict[str, Any]], kind: Literal["bbox", "segm"]
) -> AveragePrecision:
    """AP of COCO results for these pictures, at most 100 people a picture, crowds by COCO's rules.

    Of masks, who has a box alone is as a crowd that fills the box: what is found there is neither
    right nor wrong. A result has image_id, category_id, score, bbox (xywh) and, for segm,
    segmentation (RLE).
    """
    from pycocotools.cocoeval import COCOeval

    true = [entry for picture in pictures for entry in _true_entries(picture, kind)]
    truth = _coco(pictures, true)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints as it goes
        evaluation = COCOeval(truth, _coco(pictures, results), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return AveragePrecision(*(_or_none(value) for value in evaluation.stats[:2]))


def _true_entries(picture: Picture, kind: Literal["bbox", "segm"]) -> list[dict[str, Any]]:
    entries = []
    for person in picture.annotations:
        x1, y1, x2, y2 = person.box_xyxy
        entries.append(
            {
                "image_id": picture.id,
                "category_id": PERSON_CATEGORY_ID,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "segmentation": person.segmentation or [[x1, y1, x2, y1, x2, y2, x1, y2]],
                "iscrowd": int(person.crowd or (kind == "segm" and not person.masked)),
            }
        )
    return entries


def _coco(pictures: Sequence[Picture], entries: Sequence[dict[str, Any]]) -> Any:
    """A COCO object without its file and, unlike loadRes, also of no entries at all."""
    from pycocotools.coco import COCO

    coco = COCO()
    coco.dataset = {
        "images": [
            {"id": picture.id, "width": picture.width, "height": picture.height}
            for picture in pictures
        ],
        "categories": [{"id": PERSON_CATEGORY_ID, "name": "person"}],
        "annotations": [
            # area is for COCO's size classes alone, which are not asked for.
            {"iscrowd": 0, **entry, "id": number, "area": entry["bbox"][2] * entry["bbox"][3]}
            for number, entry in enumerate(entries, start=1)
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def _or_none(value: float) -> float | None:
    return None if value < 0 else float(value)  # pycocotools says -1 for nothing to measure
