"""Smaller COCO files."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peopleseg.labels.coco import Labels, load_labels
from training.data.images import DataError
from training.data.subset import rest, subset

Read = Callable[[dict[str, Any]], Labels]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """A data set as its file is read."""

    def written_and_read(data: dict[str, Any]) -> Labels:
        file = tmp_path / "coco.json"
        file.write_text(json.dumps(data))
        return load_labels(file, tmp_path)

    return written_and_read


def coco() -> dict[str, Any]:
    """40 images: every fourth is empty, every fifth with a crowd, every seventh with a dog."""
    size = {"width": 20, "height": 10}
    images = [{"id": 100 - i, "file_name": f"{i}.jpg", "license": i % 3, **size} for i in range(40)]
    annotations = []
    for i, image in enumerate(images):
        base = {"image_id": image["id"], "bbox": [0, 0, 9, 9], "segmentation": [[0, 0, 9, 0, 9, 9]]}
        if i % 4:
            annotations.append({**base, "id": 3 * i, "category_id": 1, "iscrowd": 0})
        if i % 5 == 0:
            annotations.append({**base, "id": 3 * i + 1, "category_id": 1, "iscrowd": 1})
        if i % 7 == 0:
            annotations.append({**base, "id": 3 * i + 2, "category_id": 18})
    categories = [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}]
    return {
        "info": {"year": 2017},
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }


def test_without_a_wish_everything_is_kept_and_nothing_changed(read: Read) -> None:
    assert subset(read(coco())) == coco()


def test_entries_and_their_order_stay(read: Read) -> None:
    data = coco()
    labels = read(data)
    before = copy.deepcopy(labels.data)
    part = subset(labels, images_count=11, seed=3)
    ids = {image["id"] for image in part["images"]}
    assert len(ids) == 11
    assert part["images"] == [image for image in data["images"] if image["id"] in ids]
    assert part["annotations"] == [a for a in data["annotations"] if a["image_id"] in ids]
    assert part["info"] == data["info"] and part["categories"] == data["categories"]
    assert labels.data == before


def test_the_seed_decides_and_smaller_subsets_lie_in_larger_ones(read: Read) -> None:
    labels = read(coco())
    nine = subset(labels, images_count=9, seed=1)
    assert nine == subset(labels, images_count=9, seed=1)
    assert nine != subset(labels, images_count=9, seed=2)
    chosen = [
        {image["id"] for image in subset(labels, images_count=n, seed=1)["images"]}
        for n in (3, 9, 27, 40)
    ]
    assert chosen[0] < chosen[1] < chosen[2] < chosen[3]


def test_only_people_means_somebody_who_is_not_in_a_crowd(read: Read) -> None:
    part = subset(read(coco()), only_people=True)
    assert [image["file_name"] for image in part["images"]] == [
        f"{i}.jpg" for i in range(40) if i % 4
    ]


def test_crowds_can_be_left_out(read: Read) -> None:
    data = coco()
    part = subset(read(data), no_crowds=True)
    assert part["images"] == data["images"]
    assert part["annotations"] == [a for a in data["annotations"] if not a.get("iscrowd")]
    assert len(part["annotations"]) < len(data["annotations"])


def test_the_rest_and_the_part_are_everything(read: Read) -> None:
    data = coco()
    labels = read(data)
    part = subset(labels, images_count=9, only_people=True, no_crowds=True)
    others = rest(labels, part)
    ids = [{image["id"] for image in one["images"]} for one in (part, others)]
    assert len(ids[0]) == 9 and not ids[0] & ids[1]
    assert ids[0] | ids[1] == {image["id"] for image in data["images"]}
    assert others["annotations"] == [a for a in data["annotations"] if a["image_id"] in ids[1]]
    assert any(a.get("iscrowd") for a in others["annotations"])
    assert others["info"] == data["info"] and labels.data == coco()


def test_broken_annotations_are_in_no_part(read: Read) -> None:
    """And who has no box is no person that an image is taken for."""
    data = coco()
    first, second, *others = data["annotations"]
    first["bbox"], second["image_id"] = [1, 1, 0, 0], 999
    dog = {"id": 999, "image_id": [7], "category_id": 18}  # is looked at by nobody
    data["annotations"].append(dog)
    labels = read(data)
    part = subset(labels, images_count=20, seed=1)
    both = part["annotations"] + rest(labels, part)["annotations"]
    assert sorted(entry["id"] for entry in both) == sorted(entry["id"] for entry in others)


def test_a_number_that_cannot_be_had_is_named(read: Read) -> None:
    with pytest.raises(DataError, match="31 images asked for, only 30 fit"):
        subset(read(coco()), images_count=31, only_people=True)
