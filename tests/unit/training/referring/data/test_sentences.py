"""`peopleseg generate-expressions --sentences`: what people wrote, as a file of references."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from peopleseg.errors import PeoplesegError
from peopleseg.labels.referring import load_references
from tests.data.people_images import write_data_set
from training.referring.generate_command import Options, run


def made(folder: Path, *said: Any, **options: Any) -> dict[str, Any]:
    """The references made of sentences about made-up images."""
    images, annotations = write_data_set(folder, count=3)
    file, out = folder / "sentences.json", folder / "references.json"
    file.write_text(json.dumps(said))
    assert (
        run(Options(images=images, annotations=annotations, sentences=file, out=out, **options))
        == 0
    )
    data: dict[str, Any] = json.loads(out.read_text())
    return data


def somebody(folder: Path) -> dict[str, int]:
    """The ids of a person of `write_data_set`."""
    _, annotations = write_data_set(folder / "asked", count=3)
    person = json.loads(annotations.read_text())["annotations"][0]
    return {"image_id": person["image_id"], "ann_id": person["id"]}


def test_each_sentence_means_its_person(tmp_path: Path) -> None:
    person = somebody(tmp_path)
    data = made(
        tmp_path, {**person, "sentence": " man in red "}, {**person, "sentence": "the tall one"}
    )
    assert [one["caption"] for one in data["images"]] == ["man in red", "the tall one"]
    source = json.loads((tmp_path / "people.json").read_text())["annotations"]
    everybody = Counter(one["image_id"] for one in source)
    for image, one in zip(data["images"], data["annotations"], strict=True):
        assert image["source_annotation_id"] == person["ann_id"] and "claim" not in image
        assert image["people"] == everybody[person["image_id"]]
        assert one["bbox"] == source[0]["bbox"] and one["segmentation"] == source[0]["segmentation"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"ann_id": 888}, "sentence 1 is of the annotation 888 in the image"),
        ({"image_id": 444}, "sentence 1 is of the annotation .* in the image 444"),
        ({"sentence": " "}, "is no list of sentences; expected objects with image_id"),
        ({"ann_id": None}, "is no list of sentences"),
        ({"image_id": True}, "is no list of sentences"),
    ],
)
def test_sentences_of_nobody_are_told(changes: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(PeoplesegError, match=told):
        made(tmp_path, {**somebody(tmp_path), "sentence": "man in red", **changes})
    assert not (tmp_path / "references.json").exists()


def test_no_sentence_and_no_json_are_told(tmp_path: Path) -> None:
    with pytest.raises(PeoplesegError, match="is no list of sentences"):
        made(tmp_path)
    file = tmp_path / "no.json"
    file.write_text("{")
    images, annotations = tmp_path / "images", tmp_path / "people.json"
    options = Options(images=images, annotations=annotations, sentences=file, out=tmp_path / "out")
    with pytest.raises(PeoplesegError, match="no.json cannot be read as JSON"):
        run(options)


def test_sentences_and_clothes_are_two_ways(tmp_path: Path) -> None:
    with pytest.raises(PeoplesegError, match="give one of them"):
        made(tmp_path, {}, parts=tmp_path / "people.json")


def test_the_sentences_at_hand_are_of_people_with_masks(people_data: Path, tmp_path: Path) -> None:
    file = people_data.parent / "refcoco" / "person_refs_with_masks.json"
    if not file.exists():
        pytest.skip(f"no sentences at {file}")
    images, out = people_data / "train", tmp_path / "references.json"
    annotations = people_data / "person_train.json"
    run(Options(images=images, annotations=annotations, sentences=file, out=out))
    found = load_references(out, images)
    assert len(found) == 69 and len({one.person.box_xyxy for one in found}) == 11
    assert all(one.person.masked and one.caption for one in found)
