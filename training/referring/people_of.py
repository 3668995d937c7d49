"""What a COCO file says of the people of an image, as expressions are made from it."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from peopleseg.labels.coco import AnnotatedImage, Annotation, box_pixels
from peopleseg.labels.keypoints import INDEX, VISIBLE, keypoints_fault, read_keypoints
from peopleseg.labels.numbers import is_number
from peopleseg.labels.referring import area_of
from training.referring.expressions.colour_names import Shares, colour_shares
from training.referring.expressions.people import Everybody, Garment, Person
from training.referring.prompts import TORSO

FEWEST_TORSO_PX = 150  # fewer pixels tell no colour
TORSO_INNER = 0.8  # of the way from its middle to shoulders and hips: no arms, no background


def everybody_of(
    image: AnnotatedImage,
    entries: Sequence[Mapping[str, Any]],
    image_rgb: NDArray[np.uint8] | None = None,
) -> Everybody:
    """The people of an image; entries: of image.annotations, as the file has them.

    image_rgb: (height, width, 3), from which the colours of clothes are taken where keypoints tell
    where they are.
    """
    people = tuple(
        _person(annotation, entry, image_rgb)
        for annotation, entry in zip(image.annotations, entries, strict=True)
        if not annotation.crowd
    )
    return Everybody((image.height, image.width), people, complete=len(people) == len(entries))


def clothes_of(parts: Any) -> tuple[Garment, ...] | None:
    """`parts` of an annotation, each a label, area_share and median_rgb; None where it is none."""
    if not (isinstance(parts, list) and all(isinstance(part, dict) for part in parts)):
        return None
    found = []
    for part in parts:
        name, share, rgb = (part.get(key) for key in ("label", "area_share", "median_rgb"))
        if not (isinstance(name, str) and is_number(share) and _is_rgb(rgb)):
            return None
        found.append(Garment(name, float(share), (int(rgb[0]), int(rgb[1]), int(rgb[2]))))
    return tuple(found)


def _is_rgb(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(is_number, value))


def _person(
    annotation: Annotation, entry: Mapping[str, Any], image_rgb: NDArray[np.uint8] | None
) -> Person:
    values = entry.get("keypoints")
    known = values is not None and keypoints_fault(values) is None
    keypoints = read_keypoints(values) if known else None
    return Person(
        annotation.box_xyxy,
        area_of(entry),
        keypoints,
        clothes_of(entry.get("parts")),
        None if image_rgb is None else _upper_colours(annotation, keypoints, image_rgb),
        None if image_rgb is None else _all_colours(annotation, image_rgb),
    )


def _upper_colours(
    annotation: Annotation,
    keypoints: NDArray[np.float32] | None,
    image_rgb: NDArray[np.uint8],
) -> dict[str, Shares] | None:
    """Of the torso's pixels; None where it is not seen, or too small."""
    if keypoints is None:
        return None
    corners = keypoints[[INDEX[name] for name in TORSO]]
    if not (corners[:, 2] == VISIBLE).all():
        return None
    middle = corners[:, :2].mean(axis=0)
    inner = np.rint(middle + TORSO_INNER * (corners[:, :2] - middle)).astype(np.int32)
    size_hw = image_rgb.shape[0], image_rgb.shape[1]
    torso = cv2.fillConvexPoly(np.zeros(size_hw, np.uint8), cv2.convexHull(inner), (1,)) > 0
    if annotation.masked:
        torso &= annotation.mask(*size_hw) > 0
    return colour_shares(image_rgb[torso]) if torso.sum() >= FEWEST_TORSO_PX else None


def _all_colours(annotation: Annotation, image_rgb: NDArray[np.uint8]) -> dict[str, Shares]:
    """Of the mask's pixels; without a mask of the box's, which tells what is surely not worn."""
    size_hw = image_rgb.shape[0], image_rgb.shape[1]
    if annotation.masked:
        return colour_shares(image_rgb[annotation.mask(*size_hw) > 0])
    return colour_shares(image_rgb[box_pixels(annotation.box_xyxy, size_hw)].reshape(-1, 3))
