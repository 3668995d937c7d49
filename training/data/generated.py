"""Images with people-like figures, made up from a seed, for tests and tries without photos.

Each has 0 to 5 figures of head, torso and limbs on a textured background. Later figures stand in
front of earlier ones; masks are of the visible part and exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from peopleseg.labels.coco import PERSON_CATEGORY_ID
from peopleseg.labels.files import write_json
from peopleseg.pixels.masks import encode_rle

MOST_PEOPLE = 5
SMALLEST_AREA_PX = 40  # of a visible part; a figure that shows less does not stand there


@dataclass(frozen=True)
class PeopleImage:
    """An image with everybody in it, from back to front."""

    image_rgb: NDArray[np.uint8]  # (H, W, 3)
    masks: NDArray[np.uint8]  # (N, H, W) of 0 and 1, the visible part of each
    boxes_xyxy: NDArray[np.float32]  # (N, 4) image pixels, tight around the masks


def people_image(
    seed: int, *, count: int | None = None, size_hw: tuple[int, int] = (240, 320)
) -> PeopleImage:
    """The same image for the same arguments; count: at most so many people, by default 0 to 5."""
    rng = np.random.default_rng(seed)
    image = _background(rng, size_hw)
    count = int(rng.integers(0, MOST_PEOPLE + 1)) if count is None else count
    masks: list[NDArray[np.uint8]] = []
    for _ in range(count):
        figure = _figure(rng, image)
        behind = [(mask & (1 - figure)).astype(np.uint8) for mask in masks]
        if all(mask.sum() >= SMALLEST_AREA_PX for mask in (*behind, figure)):
            _paint(rng, image, figure)
            masks = [*behind, figure]
    stacked = np.array(masks, dtype=np.uint8).reshape(-1, *size_hw)
    return PeopleImage(image, stacked, _boxes(stacked))


def coco_annotations(images: Sequence[PeopleImage], names: Sequence[str]) -> dict[str, Any]:
    """A COCO data set of the images; image ids count from 1, masks are compressed RLE."""
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, (image, name) in enumerate(zip(images, names, strict=True), start=1):
        height, width = image.image_rgb.shape[:2]
        entries.append({"id": image_id, "file_name": name, "width": width, "height": height})
        for mask, box in zip(image.masks, image.boxes_xyxy.tolist(), strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": PERSON_CATEGORY_ID,
                    "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
                    "area": int(mask.sum()),
                    "iscrowd": 0,
                    "segmentation": encode_rle(mask),
                }
            )
    categories = [{"id": PERSON_CATEGORY_ID, "name": "person"}]
    return {"images": entries, "annotations": annotations, "categories": categories}


def write_training_data(folder: Path, *, count: int = 40, seed: int = 0) -> list[tuple[Path, Path]]:
    """Write train/ with `count` PNGs and val/ with a quarter as many others, at least 4.

    Returns each one's images folder and annotations, person_train.json and person_val.json.
    Images of 0, 1, ... MOST_PEOPLE people take turns.
    """
    splits = {"train": (count, seed), "val": (max(4, count // 4), seed + count)}
    return [
        write_images(
            folder / name,
            folder / f"person_{name}.json",
            [i % (MOST_PEOPLE + 1) for i in range(images)],
            first,
        )
        for name, (images, first) in splits.items()
    ]


def write_images(
    images: Path, annotations: Path, counts: Sequence[int | None], seed: int
) -> tuple[Path, Path]:
    """Write as many PNGs as counts, each of at most so many people (None: of 0 to MOST_PEOPLE).

    Returns images folder and annotations.
    """
    images.mkdir(parents=True, exist_ok=True)
    made = [people_image(seed + i, count=count) for i, count in enumerate(counts)]
    names = [f"{i:03}.png" for i in range(len(made))]
    for image, name in zip(made, names, strict=True):
        write_image(images / name, image.image_rgb)
    write_json(annotations, coco_annotations(made, names))
    return images, annotations


def write_image(path: Path, image_rgb: NDArray[np.uint8]) -> None:
    """Write an (H, W, 3) uint8 RGB image in the format of the path's suffix."""
    _, encoded = cv2.imencode(path.suffix, cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR))
    path.write_bytes(encoded.tobytes())


def _background(rng: np.random.Generator, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Smooth blotches with fine grain."""
    height, width = size_hw
    blotches = rng.integers(40, 200, (6, 8, 3)).astype(np.float32)
    smooth = cv2.resize(blotches, (width, height), interpolation=cv2.INTER_CUBIC)
    grain = rng.normal(0, 12, (height, width, 3))
    return np.clip(smooth + grain, 0, 255).astype(np.uint8)


def _figure(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) of 0 and 1: head, torso, arms and legs of a standing figure."""
    height, width = image.shape[:2]
    tall = height * rng.uniform(0.35, 0.85)
    x, top = width * rng.uniform(0.15, 0.85), (height - tall) * rng.uniform(0.2, 1.0)
    figure = np.zeros((height, width), dtype=np.uint8)

    def at(across: float, down: float) -> tuple[int, int]:
        return round(x + across * tall), round(top + down * tall)

    def limb(start: tuple[int, int], end: tuple[int, int]) -> None:
        cv2.line(figure, start, end, (1,), max(2, round(tall * 0.06)))

    cv2.circle(figure, at(0, 0.08), max(2, round(tall * 0.08)), (1,), cv2.FILLED)
    cv2.rectangle(figure, at(-0.11, 0.17), at(0.11, 0.55), 1, cv2.FILLED)
    for side in (-1, 1):
        limb(at(side * 0.1, 0.2), at(side * rng.uniform(0.15, 0.3), rng.uniform(0.35, 0.55)))
        limb(at(side * 0.06, 0.53), at(side * rng.uniform(0.05, 0.18), 0.97))
    return figure


def _paint(rng: np.random.Generator, image: NDArray[np.uint8], figure: NDArray[np.uint8]) -> None:
    """Skin above, shirt, trousers below, with a little grain."""
    rows = np.flatnonzero(figure.any(axis=1))
    top, tall = rows[0], len(rows)
    lightness = np.array([[110, 80, 60], [60, 60, 60], [0, 0, 0]])
    skin, shirt, trousers = rng.integers(0, 256, (3, 3)) * 0.5 + lightness
    for colour, start, end in ((skin, 0, 0.18), (shirt, 0.18, 0.55), (trousers, 0.55, 1.0)):
        band = slice(top + int(tall * start), top + int(tall * end) + 1)
        part = figure[band] > 0
        grain = rng.normal(0, 6, (np.count_nonzero(part), 3))
        image[band][part] = np.clip(colour + grain, 0, 255).astype(np.uint8)


def _boxes(masks: NDArray[np.uint8]) -> NDArray[np.float32]:
    xywh = np.array([cv2.boundingRect(mask) for mask in masks], dtype=np.float32).reshape(-1, 4)
    return np.concatenate((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), axis=1)
