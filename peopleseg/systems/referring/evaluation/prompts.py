"""Images with prompts whose person is known, to measure on.

A COCO file with keypoints gives a click on each person with a known mask. A file of references, in
RefHuman's format, gives its texts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from peopleseg.labels.coco import AnnotatedImage
from peopleseg.labels.coco_file import AnnotationError
from peopleseg.labels.poses import Posed, load_poses
from peopleseg.labels.referring import has_captions, load_references
from peopleseg.systems.referring.contract import ON
from peopleseg.systems.referring.evaluation.answers import Groups, TruePerson
from peopleseg.systems.referring.evaluation.metrics import ReferringMetrics
from peopleseg.systems.referring.found import Found


@dataclass(frozen=True)
class Prompted:
    """An image and its prompts."""

    image: AnnotatedImage
    points: NDArray[np.float32] | None  # (P, 1, 3) clicks, or
    texts: tuple[str, ...]  # P of them
    true: tuple[TruePerson, ...]  # whom each means

    @property
    def path(self) -> Path:
        return self.image.path

    @property
    def files(self) -> tuple[Path, ...]:
        return self.image.files

    def measured(self, found: Sequence[Found]) -> ReferringMetrics:
        """Of the answers to its prompts."""
        metrics = ReferringMetrics()
        for one, true in zip(found, self.true, strict=True):
            none = one.score <= 0
            metrics.add(
                Groups(
                    np.array([] if none else [one.score]),
                    one.keypoints[None, :, :2][: 1 - none],
                    one.image_mask[None][: 1 - none],
                ),
                true,
            )
        return metrics


def load_prompts(annotations: Path, images: Path, limit: int | None = None) -> list[Prompted]:
    """Of the first so many images. Raises AnnotationError, also where there is no prompt."""
    prompts = _texts if has_captions(annotations) else _clicks
    found = list(prompts(annotations, images))
    if not found:
        raise AnnotationError(
            f"{annotations} has nobody with keypoints and a mask to click on; take annotations of "
            "COCO's person_keypoints kind, or a file of references"
        )
    return found[:limit]


def deepest(mask: NDArray[np.uint8]) -> tuple[float, float]:
    """x, y of the middle of the pixel that is farthest from the mask's edge."""
    depth = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return float(column) + 0.5, float(row) + 0.5


def _clicks(annotations: Path, images: Path) -> Iterator[Prompted]:
    by_image: dict[int, list[Posed]] = {}
    for one in load_poses(annotations, images):
        if one.person.masked:
            by_image.setdefault(one.image.id, []).append(one)
    for people in by_image.values():
        image = people[0].image
        masks = [one.person.mask(image.height, image.width) for one in people]
        clicks = [[(*deepest(mask), ON)] for mask in masks]
        true = tuple(
            TruePerson(
                *_places(one.keypoints),
                one.area_px,
                mask,
                [other for other in masks if other is not mask],
                len(image.people),
            )
            for one, mask in zip(people, masks, strict=True)
        )
        yield Prompted(image, np.array(clicks, np.float32), (), true)


def _texts(annotations: Path, images: Path) -> Iterator[Prompted]:
    by_image: dict[Path, list[tuple[str, AnnotatedImage, TruePerson]]] = {}
    for one in load_references(annotations, images):
        if one.caption is None or len(one.sources) > 1:
            continue
        (image,) = one.sources
        mask = one.person.mask(image.height, image.width) if one.person.masked else None
        keypoints = np.zeros((17, 3), np.float32) if one.keypoints is None else one.keypoints
        true = TruePerson(*_places(keypoints), one.area_px, mask, among=one.people)
        by_image.setdefault(image.path, []).append((one.caption, image, true))
    for said in by_image.values():
        texts, shown, true_people = zip(*said, strict=True)
        yield Prompted(shown[0], None, texts, true_people)


def _places(keypoints: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    return keypoints[:, :2], keypoints[:, 2] > 0
