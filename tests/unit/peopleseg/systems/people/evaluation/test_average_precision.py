"""COCO's average precision, of everybody and of people of a size."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peopleseg.labels.coco import AnnotatedImage, Annotation
from peopleseg.pixels.masks import encode_rle
from peopleseg.systems.people.evaluation.average_precision import (
    SIZES,
    Kind,
    average_precision,
    average_precision_by_size,
    size_of,
)

SIDE = 300  # of the image, pixels
SMALL, MEDIUM, LARGE = (0, 0, 31, 32), (100, 0, 196, 95), (0, 100, 97, 197)
MEDIUM_TOO = (40, 0, 72, 33)


def person(box: tuple[int, int, int, int]) -> Annotation:
    x1, y1, x2, y2 = box
    mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
    mask[y1:y2, x1:x2] = 1
    return Annotation(box, encode_rle(mask), crowd=False)


def image(*people: Annotation) -> AnnotatedImage:
    return AnnotatedImage(1, Path("1.jpg"), SIDE, SIDE, list(people))


def result(found: Annotation, score: float = 0.9) -> dict[str, Any]:
    x1, y1, x2, y2 = found.box_xyxy
    box = [x1, y1, x2 - x1, y2 - y1]
    found_as = {"bbox": box, "score": score, "segmentation": found.segmentation}
    return {"image_id": 1, "category_id": 1, **found_as}


@pytest.mark.parametrize("kind", ["segm", "bbox"])
@pytest.mark.parametrize("missing", range(4))
def test_who_is_missed_costs_the_people_of_that_size(missing: int, kind: Kind) -> None:
    people = [person(box) for box in (SMALL, MEDIUM, MEDIUM_TOO, LARGE)]
    found = [result(one) for number, one in enumerate(people) if number != missing]
    by_size = average_precision_by_size([image(*people)], found, kind)
    assert tuple(by_size) == SIZES
    size = size_of(np.count_nonzero(people[missing].mask(SIDE, SIDE)))
    assert size == ("small", "medium", "medium", "large")[missing]
    for name, precision in by_size.items():
        assert (precision.ap50 == pytest.approx(1.0)) == (name != size)
        assert (precision.ap == pytest.approx(1.0)) == (name != size)


@pytest.mark.parametrize("kind", ["segm", "bbox"])
def test_who_is_wrong_and_of_another_size_costs_only_everybody(kind: Kind) -> None:
    found = [result(person(SMALL), 0.5), result(person(MEDIUM), 0.9)]
    alone = [image(person(SMALL))]
    assert average_precision(alone, found, kind) == pytest.approx((0.5, 0.5))
    assert average_precision_by_size(alone, found, kind)["small"] == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize("kind", ["segm", "bbox"])
def test_without_anybody_there_is_nothing_to_measure(kind: Kind) -> None:
    nobody = [image()]
    assert average_precision(nobody, [result(person(SMALL))], kind) == (None, None)
    assert set(average_precision_by_size(nobody, [], kind).values()) == {(None, None)}


def test_the_size_is_that_of_the_mask_also_where_boxes_are_measured() -> None:
    thin = person((0, 0, 5, 100))
    wide = Annotation((0, 0, 100, 100), thin.segmentation, crowd=False)
    by_size = average_precision_by_size([image(wide)], [result(wide)], "bbox")
    assert by_size["small"].ap == pytest.approx(1.0)
    assert by_size["medium"].ap is by_size["large"].ap is None
