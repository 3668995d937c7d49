"""What a data set is like: people, overlaps, sizes, pixels of each class, class weights.

Shares are of the images with people. A roi is the box of a person, with both sides of at least
SMALLEST_SIDE_PX, padded and cut to the image. Crowds are nobody here. Pixels are counted in the
rois of people with a mask, those of the others' boxes left out that no mask covers; a metric of
pixels is None where nobody has a mask.
"""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from peopleseg.labels.coco import AnnotatedImage, Annotation, box_pixels
from peopleseg.pixels.geometry import INPUT_SIZE, Letterbox
from peopleseg.systems.people.contract import MASK_CLASSES
from training.data.images import SMALLEST_SIDE_PX, DataError

RATIO_OFFSET = 1e-3  # keeps the weight of an absent class finite
SEPARATION = 1.2  # more weight for other people, whom the target must be told apart from
ROI_PADDING = 0.1  # at each edge, in parts of the side, as published

Weights = tuple[float, float, float]  # of background, target, non-target; their sum is 3


@dataclass(frozen=True)
class Measured:
    """What one image with people adds."""

    people: int
    unmasked: int  # of the people
    pair_ious: NDArray[np.float64]  # (pairs,) of the boxes of every two people
    roi_sizes_wh: NDArray[np.float64]  # (rois, 2) unpadded, network pixels
    roi_pixels: NDArray[np.int64]  # (3,) of MASK_CLASSES, all rois together
    person_share: float | None  # of the image's pixels


def class_weights(ratios: Sequence[float]) -> Weights:
    """ln(1 / (ratio + 0.001)) of each class, scaled to sum 3.

    ratios: of background, target and non-target pixels, each under 0.999. Raises ValueError.
    """
    if len(ratios) != 3 or not all(0 <= ratio < 1 - RATIO_OFFSET for ratio in ratios):
        raise ValueError(f"pixel ratios {list(ratios)}; expected 3 numbers from 0 to below 0.999")
    return _to_sum_3([math.log(1 / (ratio + RATIO_OFFSET)) for ratio in ratios])


def separation_aware(weights: Weights) -> Weights:
    """The same with SEPARATION times the weight of other people, scaled to sum 3 again."""
    background, target, non_target = weights
    return _to_sum_3([background, target, SEPARATION * non_target])


def read_class_weights(path: Path) -> Weights:
    """The separation-aware ones of a file that `peopleseg data-stats --json` wrote.

    Raises DataError when the file is another one, or not there.
    """
    try:
        found = json.loads(path.read_text())["class_weights"]["separation_aware"]
        background, target, non_target = map(float, found)
    except OSError as error:
        raise DataError(f"class weights: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"class weights: {path} has no 3 class weights at class_weights.separation_aware "
            f"({error!r}); write it with peopleseg data-stats --json"
        ) from error
    return background, target, non_target


def statistics(
    images: Sequence[AnnotatedImage], roi_padding: float = ROI_PADDING
) -> dict[str, Any]:
    """All metrics, ready for JSON. Raises DataError when nobody is large enough for a roi."""
    peopled = [image for image in images if image.people]
    measured = [
        _measured(image, roi_padding)
        for image in tqdm(peopled, desc="measuring", unit="image", disable=None, delay=2)
    ]
    if not any(len(m.roi_sizes_wh) for m in measured):
        raise DataError(
            f"none of the {len(images)} images has a person of {SMALLEST_SIDE_PX} pixels"
        )
    counts = [m.people for m in measured]
    return {
        "images": len(images),
        "images_with_people": len(measured),
        "people": sum(counts),
        "people_without_mask": sum(m.unmasked for m in measured),
        "crowds": sum(a.crowd for image in images for a in image.annotations),
        "people_per_image": {
            "mean": _mean(counts),
            "max": max(counts),
            "histogram": {str(n): many for n, many in sorted(Counter(counts).items())},
        },
        "multi_person_images": sum(n > 1 for n in counts),
        "multi_person_share": _mean([n > 1 for n in counts]),
        "overlaps": _overlaps(measured),
        "rois": {"padding": roi_padding, **_rois(measured)},
        "person_pixel_ratio": _mean_or_none([m.person_share for m in measured]),
        "class_weights": _both_weights(measured),
    }


def table(metrics: dict[str, Any], prefix: str = "") -> str:
    """The metrics for a terminal, one a line; the histogram up to 10 people."""
    lines = []
    for name, value in metrics.items():
        if name == "histogram":
            shown = [f"{n}:{images}" for n, images in value.items() if int(n) <= 10]
            lines.append(f"{prefix + name:32} {' '.join(shown)}")
        elif isinstance(value, dict):
            lines.append(table(value, f"{prefix}{name}."))
        else:
            numbers = value if isinstance(value, list) else [value]
            lines.append(f"{prefix + name:32} {' '.join(_shown(number) for number in numbers)}")
    return "\n".join(lines)


def _measured(image: AnnotatedImage, roi_padding: float) -> Measured:
    boxes = np.array([person.box_xyxy for person in image.people], dtype=np.float64)
    sides = boxes[:, 2:] - boxes[:, :2]
    large = sides.min(axis=1) >= SMALLEST_SIDE_PX
    scale = Letterbox.fit(image.width, image.height, INPUT_SIZE).scale_x
    masked = image.masked_people
    masks = np.zeros((len(masked), image.height, image.width), dtype=np.uint8)
    for mask, person in zip(masks, masked, strict=True):
        mask[:] = person.mask(image.height, image.width)
    anybody = masks.any(axis=0)
    known = _known(image, anybody)
    return Measured(
        people=len(boxes),
        unmasked=len(boxes) - len(masked),
        pair_ious=_pair_ious(boxes),
        roi_sizes_wh=sides[large] * scale,
        roi_pixels=_roi_pixels(masked, masks, known, roi_padding),
        person_share=float(anybody.sum() / known.sum()) if masked else None,
    )


def _known(image: AnnotatedImage, anybody: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a mask is, or a person without one is not."""
    known = np.ones_like(anybody)
    for person in image.people:
        if not person.masked:
            known[box_pixels(person.box_xyxy, (image.height, image.width))] = False
    return known | anybody


def _roi_pixels(
    people: Sequence[Annotation],
    masks: NDArray[np.uint8],
    known: NDArray[np.bool_],
    roi_padding: float,
) -> NDArray[np.int64]:
    """(3,) of MASK_CLASSES, in the rois of these people, whose masks are (people, H, W)."""
    anybody, pixels = masks.any(axis=0), np.zeros(3, dtype=np.int64)
    height, width = known.shape
    for person, mask in zip(people, masks, strict=True):
        box = np.array(person.box_xyxy)
        if (box[2:] - box[:2]).min() < SMALLEST_SIDE_PX:
            continue
        inside = _padded(box, roi_padding, (height, width))
        counted, someone, target = (
            np.count_nonzero(where[inside]) for where in (known, anybody, mask)
        )
        pixels += counted - someone, target, someone - target
    return pixels


def _padded(
    box: NDArray[np.float64], padding: float, size_hw: tuple[int, int]
) -> tuple[slice, slice]:
    """Rows and columns of a box (4,) xyxy, padded, rounded outwards and cut to the image."""
    around = padding * (box[2:] - box[:2])
    return box_pixels([*(box[:2] - around), *(box[2:] + around)], size_hw)


def _pair_ious(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    first, second = np.triu_indices(len(boxes), k=1)
    a, b = boxes[first], boxes[second]
    sides = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None)
    both = sides.prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return both / np.maximum(areas[first] + areas[second] - both, 1e-9)


def _overlaps(measured: Sequence[Measured]) -> dict[str, Any]:
    """Of boxes; the mean is over every two people of an image, whether they overlap or not."""
    ious = np.concatenate([m.pair_ious for m in measured])
    images = [bool((m.pair_ious > 0).any()) for m in measured]
    return {
        "images": sum(images),
        "image_share": _mean(images),
        "pairs": int((ious > 0).sum()),
        "mean_box_iou": float(ious.mean()) if len(ious) else 0.0,
        "max_box_iou": float(ious.max(initial=0)),
    }


def _rois(measured: Sequence[Measured]) -> dict[str, Any]:
    widths, heights = np.concatenate([m.roi_sizes_wh for m in measured]).T
    ratios = _pixel_ratios(measured)
    return {
        "count": len(widths),
        "width_px": {"mean": _mean(widths), "median": float(np.median(widths))},
        "height_px": {"mean": _mean(heights), "median": float(np.median(heights))},
        "pixel_ratios": ratios and dict(zip(MASK_CLASSES, ratios, strict=True)),
    }


def _both_weights(measured: Sequence[Measured]) -> dict[str, list[float]] | None:
    ratios = _pixel_ratios(measured)
    if ratios is None:
        return None
    plain = class_weights(ratios)
    return {"plain": list(plain), "separation_aware": list(separation_aware(plain))}


def _pixel_ratios(measured: Sequence[Measured]) -> list[float] | None:
    pixels = np.sum([m.roi_pixels for m in measured], axis=0)
    return (pixels / pixels.sum()).tolist() if pixels.any() else None


def _to_sum_3(weights: Sequence[float]) -> Weights:
    background, target, non_target = (3 * weight / sum(weights) for weight in weights)
    return background, target, non_target


def _mean(values: Any) -> float:
    return float(np.mean(values))


def _mean_or_none(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _mean(known) if known else None


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
