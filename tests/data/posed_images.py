"""Images of people whose joints are painted where they are."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from peopleseg.labels.keypoints import NAMES
from tests.data.people_images import write_image
from tests.data.skeletons import skeleton

SIZE_HW = (300, 240)
COLOURS = {"left": (250, 20, 20), "right": (20, 20, 250)}  # RGB; the nose is green
NOSE = (20, 250, 20)
_RADIUS_PX = 3


def write_posed(folder: Path, count: int = 4) -> tuple[Path, Path]:
    """Images of a person each, who stands and faces us. Returns images and annotations."""
    images = folder / "images"
    images.mkdir(parents=True)
    entries, annotations = [], []
    for number in range(1, count + 1):
        points = standing(100.0 + 7 * number)
        write_image(images / f"{number}.png", painted(points))
        entries.append(entry(number))
        annotations.append(annotation(number, points))
    return images, write_coco(folder / "people.json", entries, annotations)


def write_coco(path: Path, images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> Path:
    categories = [{"id": 1, "name": "person"}]
    data = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(data))
    return path


def standing(x: float) -> NDArray[np.float32]:
    """(17, 3), in whole pixels."""
    return np.round(skeleton("standing", x=x, y=20, height=250))


def painted(points: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(300, 240, 3) RGB, grey where no joint is."""
    image = np.full((*SIZE_HW, 3), 60, np.uint8)
    for name, (x, y, _) in zip(NAMES, points, strict=True):
        colour = COLOURS.get(name.partition("_")[0], NOSE)
        cv2.circle(image, (int(x), int(y)), _RADIUS_PX, colour, cv2.FILLED)
    return image


def entry(number: int) -> dict[str, Any]:
    height, width = SIZE_HW
    return {"id": number, "file_name": f"{number}.png", "width": width, "height": height}


def annotation(number: int, points: NDArray[np.float32], **changes: Any) -> dict[str, Any]:
    """Of the only person of an image, in a box around the joints."""
    low, high = points[:, :2].min(axis=0) - 4, points[:, :2].max(axis=0) + 5
    plain = {
        "id": number,
        "image_id": number,
        "category_id": 1,
        "bbox": [*low.tolist(), *(high - low).tolist()],
        "area": 9000.0,
        "iscrowd": 0,
        "keypoints": points.ravel().tolist(),
    }
    return {**plain, **changes}
