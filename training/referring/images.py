"""Images with the people whom references mean, and their pixels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from peopleseg.labels.coco import AnnotatedImage, Annotation
from peopleseg.labels.referring import Reference
from training.data.images import Skipped, checked, read_rgb
from training.referring.side_by_side import joined


@dataclass
class ReferredPerson:
    """Somebody whom references mean, in image pixels."""

    person: Annotation
    keypoints: NDArray[np.float32] | None  # (17, 3) x, y, visibility
    area_px: float
    scribbles: NDArray[np.float32] | None  # (5, 12, 2) x, y
    captions: list[str] = field(default_factory=list)  # each means this person alone


@dataclass
class ReferredImage:
    """An image, or several side by side, with those whom the references of a file mean."""

    sources: tuple[AnnotatedImage, ...]
    size_hw: tuple[int, int]
    people: list[ReferredPerson] = field(default_factory=list)
    weight: float = 1.0  # how often an epoch of training draws it
    seed: int = 0  # of what is drawn in validation
    everybody: bool = True  # of the image was known to whoever made the texts

    @property
    def path(self) -> Path:
        """The first file."""
        return self.sources[0].path

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(source.path for source in self.sources)

    def read_rgb(self) -> NDArray[np.uint8]:
        """(height, width, 3). Raises BrokenImage."""
        return joined([read_rgb(source) for source in self.sources])


def images_of(references: Sequence[Reference], weight: float = 1.0) -> list[ReferredImage]:
    """The images of references, in their order; those of one box are of one person."""
    images: dict[tuple[Path, ...], ReferredImage] = {}
    people: dict[tuple[tuple[Path, ...], tuple[float, ...]], ReferredPerson] = {}
    for one in references:
        image = images.setdefault(
            one.files, ReferredImage(one.sources, one.size_hw, weight=weight, seed=len(images))
        )
        image.everybody &= one.everybody
        key = (one.files, one.person.box_xyxy)
        if key not in people:
            people[key] = ReferredPerson(one.person, one.keypoints, one.area_px, one.scribbles)
            image.people.append(people[key])
        if one.caption is not None and one.caption not in people[key].captions:
            people[key].captions.append(one.caption)
    return list(images.values())


def usable(images: Sequence[ReferredImage]) -> tuple[list[ReferredImage], list[Skipped]]:
    """The images whose files can all be used, and the files that cannot."""
    sources = {str(source.path): source for image in images for source in image.sources}
    _, skipped = checked(list(sources.values()))
    broken = {one.path for one in skipped}
    return [image for image in images if not broken.intersection(image.files)], skipped


def chunks(image: ReferredImage, size: int) -> Iterator[ReferredImage]:
    """The image with at most so many of its people at a time."""
    for first in range(0, len(image.people), size):
        part = image.people[first : first + size]
        yield replace(image, people=part)
