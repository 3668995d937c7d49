"""Read references to people: a text, or a scribble, that means one person of an image.

The file is RefHuman's (Miao et al., arXiv 2410.20508), COCO with one image entry for each prompt:
its `caption`, and exactly one annotation, of the person who is meant, with `keypoints` and
`scribble`: 5 scribbles of 12 points x, y.

More may be said than RefHuman does. An entry without a caption is of a person of whom there is no
text, to be pointed at. `"everybody": false` says that the text was made without knowing of all
people of the image; `people` says how many there are, to tell what chance would find.
`side_by_side` lists the images (file_name, width, height), from left to right with their tops in
line, of which the entry's image is made up.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peopleseg.labels.coco import (
    AnnotatedImage,
    Annotation,
    annotated_image,
    first_lines,
    load_labels,
)
from peopleseg.labels.coco_file import AnnotationError
from peopleseg.labels.keypoints import keypoints_fault, read_keypoints
from peopleseg.labels.numbers import is_number

SCRIBBLES, SCRIBBLE_POINTS = 5, 12  # of a person; of a scribble
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reference:
    """One person of an image, and what means this one and nobody else."""

    id: int
    sources: tuple[AnnotatedImage, ...]  # the image; or those side by side of which it is made up
    person: Annotation  # in pixels of the whole image
    keypoints: NDArray[np.float32] | None  # (17, 3) x, y, visibility; None: the pose is not known
    area_px: float
    caption: str | None  # None: no text means this person
    scribbles: NDArray[np.float32] | None  # (5, 12, 2) x, y image pixels
    everybody: bool  # of the image was known to whoever made the text
    people: int | None = None  # in the image; None: not told

    @property
    def size_hw(self) -> tuple[int, int]:
        """Of the whole image, pixels."""
        return max(one.height for one in self.sources), sum(one.width for one in self.sources)

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(source.path for source in self.sources)


def has_captions(annotations: Path) -> bool:
    """Whether a file is one of references, by the captions of its images; False for what is none.

    Most files are COCO's own and large: those that have the word nowhere are not parsed.
    """
    try:
        text = annotations.read_bytes()
        return b'"caption"' in text and any(
            "caption" in image for image in json.loads(text)["images"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def load_references(annotations: Path, images: Path) -> list[Reference]:
    """All references of a file, in its order.

    An entry that is broken is left out and told, as a warning of this module's logger; a broken
    mask, keypoints or scribble is left out of its entry and told. Raises AnnotationError when the
    file is not in COCO format, no entry has a caption, or an image cannot be used as described.
    """
    labels = load_labels(annotations, images)
    if not any("caption" in entry for entry in labels.data["images"]):
        raise AnnotationError(
            f"{annotations} has no caption in any of its {len(labels.images)} images; expected a "
            "file of references, as `peopleseg generate-expressions` makes of COCO annotations"
        )
    references, broken = [], []
    for entry, image in zip(labels.data["images"], labels.images, strict=True):
        sources = _sources(entry, image, annotations, images)
        if reason := _entry_fault(entry, image):
            broken.append(f"image {image.id}: {reason}")
            continue
        (said,) = labels.entries[image.id]
        left_out = _parts_left_out(said)
        broken += [f"image {image.id}: {reason}; it is left out" for reason in left_out.values()]
        references.append(_reference(entry, image, sources, said, left_out))
    if broken:
        head = f"{annotations}: {len(broken)} broken references:"
        _LOG.warning("%s", "\n".join((head, *first_lines(broken))))
    return references


def area_of(said: Mapping[str, Any]) -> float:
    """Of the person of an annotation, in pixels; of its box, where it does not say."""
    area: Any = said.get("area")
    known = is_number(area) and area > 0
    return float(area if known else said["bbox"][2] * said["bbox"][3])


def _reference(
    entry: Mapping[str, Any],
    image: AnnotatedImage,
    sources: tuple[AnnotatedImage, ...],
    said: Mapping[str, Any],
    left_out: Mapping[str, str],
) -> Reference:
    known = {key: said.get(key) for key in ("keypoints", "scribble") if key not in left_out}
    scribbles, (person,) = known.get("scribble"), image.people
    return Reference(
        id=image.id,
        sources=sources,
        person=person,
        keypoints=read_keypoints(known.get("keypoints")),
        area_px=area_of(said),
        caption=entry.get("caption"),
        scribbles=None if scribbles is None else _scribble_array(scribbles),
        everybody=entry.get("everybody", True),
        people=entry.get("people"),
    )


def _sources(
    entry: Mapping[str, Any], image: AnnotatedImage, annotations: Path, images: Path
) -> tuple[AnnotatedImage, ...]:
    """Raises AnnotationError."""
    listed = entry.get("side_by_side")
    if listed is None:
        return (
            AnnotatedImage(image.id, image.path, image.width, image.height, upright=image.upright),
        )
    if not (isinstance(listed, list) and listed and all(isinstance(one, dict) for one in listed)):
        raise AnnotationError(
            f"{annotations}: image {image.id} has the side_by_side {listed!r:.60}; expected a list "
            "of objects with file_name, width and height"
        )
    sources = tuple(
        annotated_image({**one, "id": image.id}, annotations, images, image.upright)
        for one in listed
    )
    size = sum(one.width for one in sources), max(one.height for one in sources)
    if size != (image.width, image.height):
        raise AnnotationError(
            f"{annotations}: image {image.id} is said to be {image.width} x {image.height} pixels, "
            f"those side by side make {size[0]} x {size[1]}"
        )
    return sources


def _entry_fault(entry: Mapping[str, Any], image: AnnotatedImage) -> str | None:
    caption, everybody = entry.get("caption"), entry.get("everybody", True)
    people = entry.get("people")
    if caption is not None and not (isinstance(caption, str) and caption.strip()):
        return f"its caption is {caption!r:.40}, expected a text"
    if not isinstance(everybody, bool):
        return f"its everybody is {everybody!r:.40}, expected true or false"
    if people is not None and not (type(people) is int and people >= 1):
        return f"its people is {people!r:.40}, expected a number from 1 on"
    if len(image.annotations) != 1:
        return f"it has {len(image.annotations)} annotations of people, expected the one it means"
    if not image.people:
        return "its annotation is a crowd, expected one person"
    return None


def _parts_left_out(said: Mapping[str, Any]) -> dict[str, str]:
    """What is broken of an annotation, by its key, in words."""
    faults = {"keypoints": keypoints_fault, "scribble": _scribble_fault}
    found = {key: fault(said[key]) for key, fault in faults.items() if said.get(key) is not None}
    return {key: reason for key, reason in found.items() if reason}


def _scribble_fault(values: Any) -> str | None:
    """Nested lists of any depth are taken: what counts are the numbers and their order."""
    numbers = 2 * SCRIBBLES * SCRIBBLE_POINTS
    flat = list(_flat(values))
    if len(flat) != numbers or not all(map(is_number, flat)):
        return (
            f"its scribble has {len(flat)} values, expected {numbers} finite numbers: {SCRIBBLES} "
            f"scribbles of {SCRIBBLE_POINTS} points x, y"
        )
    return None


def _scribble_array(values: Any) -> NDArray[np.float32]:
    return np.array(list(_flat(values)), np.float32).reshape(SCRIBBLES, SCRIBBLE_POINTS, 2)


def _flat(values: Any) -> Sequence[Any]:
    if not isinstance(values, list):
        return [values]
    return [number for value in values for number in _flat(value)]
