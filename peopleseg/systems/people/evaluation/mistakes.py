"""What is wrong in responses: false positives by what they are, and missed people by size.

The kinds are those of TIDE (Bolya et al. 2020, arXiv:2008.08115) for one class, and beside them
parts of people and of crowds, which TIDE counts as background.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peopleseg.systems.people.evaluation.average_precision import SIZES, Kind, size_of
from peopleseg.systems.people.evaluation.matches import RIGHT_IOU, Entry, Matched

PLACED_IOU = 0.1  # below it, something else was found
FALSE_POSITIVES = {
    "duplicate": "a person whom another detection with a better score fits",
    "poorly_placed": "IoU with a person is 0.1 to 0.5",
    "part_or_crowd": "at least half of it lies in a person, or a tenth in a crowd",
    "background": "anything else",
}


def false_positives(images: Sequence[Matched], kind: Kind) -> dict[str, int]:
    """How many of each kind of FALSE_POSITIVES."""
    found = Counter(name for one in images for name in kinds_of(one, kind))
    return {name: found[name] for name in FALSE_POSITIVES}


def kinds_of(image: Matched, kind: Kind) -> list[str]:
    """For each false positive of an image its kind, of several the first in FALSE_POSITIVES."""
    wrong = image.wrong
    overlap = _largest(wrong, image.people, kind, own_area=False)
    in_person = _largest(wrong, image.people, kind, own_area=True)
    in_crowd = _largest(wrong, image.crowds, kind, own_area=True)
    is_kind = {
        "duplicate": overlap >= RIGHT_IOU,
        "poorly_placed": overlap >= PLACED_IOU,
        "part_or_crowd": (in_person >= RIGHT_IOU) | (in_crowd >= PLACED_IOU),
        "background": np.ones(len(wrong), dtype=np.bool_),
    }
    return [
        next(name for name in FALSE_POSITIVES if is_kind[name][row]) for row in range(len(wrong))
    ]


def missed_by_size(images: Sequence[Matched]) -> dict[str, dict[str, int]]:
    """Of each of COCO's sizes, how many people there are and how many of them are missed."""
    people, missed = Counter[str](), Counter[str]()
    for one in images:
        for person, is_missed in zip(one.people, one.missed, strict=True):
            people[size_of(person["area"])] += 1
            missed[size_of(person["area"])] += int(is_missed)
    return {size: {"people": people[size], "missed": missed[size]} for size in SIZES}


def worst(images: Sequence[Matched], count: int) -> list[Matched]:
    """The images with the most mistakes: false positives plus missed people, each counting one.

    Of equals that whose false positives have the higher scores; images without a mistake are none.
    """
    wrong = [one for one in images if mistakes(one)]
    return sorted(wrong, key=_wrongness, reverse=True)[:count]


def mistakes(image: Matched) -> int:
    """False positives plus missed people."""
    return len(image.wrong) + int(image.missed.sum())


def _wrongness(image: Matched) -> tuple[int, float]:
    return mistakes(image), sum(one["score"] for one in image.wrong)


def _largest(
    found: Sequence[Entry], true: Sequence[Entry], kind: Kind, *, own_area: bool
) -> NDArray[np.float64]:
    """Of each found one the largest IoU, or part of its own area, with any of the true ones."""
    from pycocotools import mask as coco_mask

    if not found or not true:
        return np.zeros(len(found))
    field = "bbox" if kind == "bbox" else "segmentation"
    shapes: Any = [[entry[field] for entry in entries] for entries in (found, true)]
    # COCO's overlap with a crowd is the part of the found one's own area
    return coco_mask.iou(*shapes, [int(own_area)] * len(true)).max(axis=1)
