"""People with keypoints, as COCO's person_keypoints files have them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peopleseg.labels.coco import AnnotatedImage, Annotation, load_labels
from peopleseg.labels.coco_file import AnnotationError
from peopleseg.labels.keypoints import COUNT, keypoints_fault, read_keypoints
from peopleseg.labels.referring import area_of

FEWEST_KEYPOINTS = 3  # of a person who counts


@dataclass(frozen=True)
class Posed:
    """A person whose pose is known."""

    image: AnnotatedImage
    person: Annotation
    keypoints: NDArray[np.float32]  # (17, 3) x, y in image pixels, visibility, as COCO has them
    area_px: float  # of the mask, where it is told; else of the box


def load_poses(annotations: Path, images: Path, limit: int | None = None) -> list[Posed]:
    """The first so many people with FEWEST_KEYPOINTS or more, in the file's order.

    Raises AnnotationError, also where there is nobody.
    """
    people = [one for one in _people(annotations, images) if is_posed(one)]
    if not people:
        raise AnnotationError(
            f"{annotations} has nobody with {FEWEST_KEYPOINTS} keypoints or more; take annotations "
            "of COCO's person_keypoints kind"
        )
    return people[:limit]


def load_unposed(annotations: Path, images: Path) -> list[Posed]:
    """Those whom `load_poses` leaves out, but for crowds; their keypoints do not count.

    Raises AnnotationError.
    """
    return [one for one in _people(annotations, images) if not is_posed(one)]


def is_posed(one: Posed) -> bool:
    return int((one.keypoints[:, 2] > 0).sum()) >= FEWEST_KEYPOINTS


def _people(annotations: Path, images: Path) -> list[Posed]:
    labels = load_labels(annotations, images)
    return [
        Posed(image, person, _keypoints(entry), area_of(entry))
        for image in labels.images
        for person, entry in zip(image.annotations, labels.entries[image.id], strict=True)
        if not person.crowd
    ]


def _keypoints(entry: dict[str, Any]) -> NDArray[np.float32]:
    """All 0 where none can be read."""
    values = entry.get("keypoints")
    keypoints = None if keypoints_fault(values) else read_keypoints(values)
    return np.zeros((COUNT, 3), np.float32) if keypoints is None else keypoints
