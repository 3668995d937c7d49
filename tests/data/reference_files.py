"""Files of references to made-up people."""

import json
from pathlib import Path
from typing import Any

from peopleseg.labels.referring import SCRIBBLE_POINTS, SCRIBBLES
from tests.data.people_images import write_data_set
from tests.data.skeletons import skeleton

SCRIBBLE = [float(n) for n in range(SCRIBBLES * SCRIBBLE_POINTS * 2)]


def write_references(
    folder: Path, *, count: int = 5, seed: int = 0, captions: tuple[str, ...] = ("on the left",)
) -> tuple[Path, Path]:
    """Made-up images (the first without people), each person with these captions, every third
    without, every second without a mask but with keypoints. Returns images and annotations."""
    images, people = write_data_set(folder, count=count, seed=seed)
    data = json.loads(people.read_text())
    by_id = {image["id"]: image for image in data["images"]}
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index, person in enumerate(data["annotations"]):
        person = {**person, "keypoints": keypoints_in(person["bbox"]), "num_keypoints": 17}
        if index % 2:
            person |= {"segmentation": [], "mask": "none"}
        texts: list[dict[str, Any]] = [{"caption": text} for text in captions]
        for text in texts if index % 3 else [{}]:
            number = len(entries) + 1
            entries.append({**by_id[person["image_id"]], "id": number, **text})
            annotations.append({**person, "id": number, "image_id": number})
    path = folder / "refs.json"
    path.write_text(json.dumps({**data, "images": entries, "annotations": annotations}))
    return images, path


def keypoints_in(box_xywh: list[float]) -> list[float]:
    """All visible, of somebody who stands in the box."""
    x, y, width, height = box_xywh
    points = skeleton("standing", x=x + width / 2, y=y, height=height)
    points[:, 0] = points[:, 0].clip(x, x + width)
    return [float(value) for value in points.ravel()]
