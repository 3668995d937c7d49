"""People as COCO has them: as results, and as a whole file of annotations."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from peopleseg.labels.coco import PERSON_CATEGORY_ID
from peopleseg.pixels.masks import area_of_rle
from peopleseg.systems.people.person import Person


def coco_results(people: Iterable[Person], image_id: int) -> list[dict[str, Any]]:
    """https://cocodataset.org/#format-results, boxes and masks in one: bbox is x, y, w, h."""
    return [
        {
            "image_id": image_id,
            "category_id": PERSON_CATEGORY_ID,
            "bbox": [round(side, 3) for side in _xywh(person.box_xyxy)],
            "score": round(person.score, 6),
            "segmentation": person.rle,
        }
        for person in people
    ]


def coco_image(image_id: int, file_name: str, size_hw: tuple[int, int]) -> dict[str, Any]:
    """An image of `coco_file`; size_hw: as the image is shown, turned as its EXIF says."""
    return {"id": image_id, "file_name": file_name, "height": size_hw[0], "width": size_hw[1]}


def coco_file(
    images: Sequence[Mapping[str, Any]], results: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """https://cocodataset.org/#format-data, of `coco_image`s and `coco_results`.

    Segmentations are RLE, and area is their number of pixels. Everybody keeps their score.
    """
    annotations = [
        {"id": number, **result, "area": area_of_rle(result["segmentation"]), "iscrowd": 0}
        for number, result in enumerate(results, start=1)
    ]
    person = {"id": PERSON_CATEGORY_ID, "name": "person", "supercategory": "person"}
    return {"images": list(images), "annotations": annotations, "categories": [person]}


def _xywh(box_xyxy: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = box_xyxy
    return x1, y1, x2 - x1, y2 - y1
