"""Smaller COCO files."""

import copy

import pytest

from training.data.subset import rest, subset

PEOPLE = {1}  # ids of the category


def coco() -> dict:
    """40 pictures: every fourth is empty, every fifth with a crowd, every seventh with a dog."""
    images = [{"id": 100 - i, "file_name": f"{i}.jpg", "license": i % 3} for i in range(40)]
    annotations = []
    for i, image in enumerate(images):
        base = {"image_id": image["id"], "bbox": [0, 0, 9, 9], "segmentation": [[0] * 6]}
        if i % 4:
            annotations.append({**base, "id": 3 * i, "category_id": 1, "iscrowd": 0})
        if i % 5 == 0:
            annotations.append({**base, "id": 3 * i + 1, "category_id": 1, "iscrowd": 1})
        if i % 7 == 0:
            annotations.append({**base, "id": 3 * i + 2, "category_id": 18})
    return {"info": {"year": 2017}, "images": images, "annotations": annotations, "licenses": [1]}


def test_without_a_wish_everything_is_kept_and_nothing_changed():
    data = coco()
    assert subset(data, PEOPLE) == data == coco()


def test_entries_and_their_order_stay():
    data = coco()
    before = copy.deepcopy(data)
    part = subset(data, PEOPLE, images_count=11, seed=3)
    ids = {image["id"] for image in part["images"]}
    assert len(ids) == 11
    assert part["images"] == [image for image in data["images"] if image["id"] in ids]
    assert part["annotations"] == [a for a in data["annotations"] if a["image_id"] in ids]
    assert part["info"] == data["info"] and part["licenses"] == data["licenses"]
    assert data == before


def test_the_seed_decides_and_smaller_subsets_lie_in_larger_ones():
    data = coco()
    assert subset(data, PEOPLE, images_count=9, seed=1) == subset(
        data, PEOPLE, images_count=9, seed=1
    )
    assert subset(data, PEOPLE, images_count=9, seed=1) != subset(
        data, PEOPLE, images_count=9, seed=2
    )
    chosen = [
        {image["id"] for image in subset(data, PEOPLE, images_count=n, seed=1)["images"]}
        for n in (3, 9, 27, 40)
    ]
    assert chosen[0] < chosen[1] < chosen[2] < chosen[3]


def test_only_people_means_somebody_who_is_not_in_a_crowd():
    part = subset(coco(), PEOPLE, only_people=True)
    assert [image["file_name"] for image in part["images"]] == [
        f"{i}.jpg" for i in range(40) if i % 4
    ]


def test_crowds_can_be_left_out():
    data = coco()
    part = subset(data, PEOPLE, no_crowds=True)
    assert part["images"] == data["images"]
    assert part["annotations"] == [a for a in data["annotations"] if not a.get("iscrowd")]
    assert len(part["annotations"]) < len(data["annotations"])


def test_the_rest_and_the_part_are_everything():
    data = coco()
    part = subset(data, PEOPLE, images_count=9, only_people=True, no_crowds=True)
    others = rest(data, part)
    ids = [{image["id"] for image in one["images"]} for one in (part, others)]
    assert len(ids[0]) == 9 and not ids[0] & ids[1]
    assert ids[0] | ids[1] == {image["id"] for image in data["images"]}
    assert others["annotations"] == [a for a in data["annotations"] if a["image_id"] in ids[1]]
    assert any(a.get("iscrowd") for a in others["annotations"])
    assert others["info"] == data["info"] and data == coco()


def test_a_number_that_cannot_be_had_is_named():
    with pytest.raises(ValueError, match="31 pictures asked for, only 30 fit"):
        subset(coco(), PEOPLE, images_count=31, only_people=True)


@pytest.mark.parametrize(
    "data", [{"images": [{}], "annotations": []}, {"images": [], "annotations": [{}]}]
)
def test_what_an_entry_lacks_is_named(data):
    with pytest.raises(ValueError, match="an image or annotation lacks '(id|image_id)'"):
        subset(data, PEOPLE)
