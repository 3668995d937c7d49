"""`peopleseg generate-expressions`: a file that is read as RefHuman's, the same for a seed."""

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peopleseg.labels.coco_file import AnnotationError
from peopleseg.labels.referring import load_references
from tests.data.people_images import people_image, write_data_set, write_image
from tests.data.reference_files import keypoints_in
from training.data.generated import coco_annotations
from training.data.images import DataError, read_rgb
from training.referring.generate import SMALLEST_SHARE
from training.referring.generate_command import Options, run
from training.referring.side_by_side import joined

Captured = pytest.CaptureFixture[str]


def people_with_keypoints(folder: Path, count: int = 8) -> tuple[Path, Path]:
    """Made-up images; the first shows nobody, the last a crowd too."""
    images, file = write_data_set(folder, count=count)
    data = json.loads(file.read_text())
    for person in data["annotations"]:
        person |= {"keypoints": keypoints_in(person["bbox"]), "num_keypoints": 17}
    last = data["images"][-1]["id"]
    crowd = {"image_id": last, "category_id": 1, "iscrowd": 1, "bbox": [0, 0, 50, 50], "id": 999}
    data["annotations"].append({**crowd, "area": 2500, "segmentation": []})
    file.write_text(json.dumps(data))
    return images, file


def main_people(folder: Path, count: int = 5) -> tuple[Path, Path]:
    """One made-up person in each image, whose clothes are known."""
    images = folder / "photos"
    images.mkdir()
    made = [people_image(seed, count=1, size_hw=(200 + 8 * seed, 150)) for seed in range(count)]
    names = [f"{seed}.png" for seed in range(count)]
    for name, image in zip(names, made, strict=True):
        write_image(images / name, image.image_rgb)
    data = coco_annotations(made, names)
    colours = ([200, 20, 30], [15, 15, 15], [245, 245, 245], [30, 60, 200], [30, 140, 60])
    for person, rgb in zip(data["annotations"], colours, strict=True):
        coat = {"label": "coat", "area_share": 0.5, "median_rgb": rgb}
        person["parts"] = [
            coat,
            {"label": "skin", "area_share": 0.2, "median_rgb": [200, 150, 120]},
        ]
    file = folder / "clothes.json"
    file.write_text(json.dumps(data))
    return images, file


def generate(images: Path, annotations: Path, out: Path, **more: Any) -> dict[str, Any]:
    assert run(Options(images=images, annotations=annotations, out=out, **more)) == 0
    return json.loads(out.read_text())


def test_the_file_has_everybody_large_enough_with_expressions_or_without(
    tmp_path: Path, capsys: Captured
) -> None:
    images, file = people_with_keypoints(tmp_path)
    source = json.loads(file.read_text())
    sizes = {image["id"]: image["width"] * image["height"] for image in source["images"]}
    wanted = {
        (p["image_id"], p["id"])
        for p in source["annotations"]
        if not p["iscrowd"] and p["area"] >= SMALLEST_SHARE * sizes[p["image_id"]]
    }
    data = generate(images, file, tmp_path / "refs.json")
    found = {(one["source_image_id"], one["source_annotation_id"]) for one in data["images"]}
    assert found == wanted
    people = Counter(person["image_id"] for person in source["annotations"])
    known = {one["source_image_id"]: one.get("people") for one in data["images"]}
    assert known and None in known.values() and any(known.values())
    assert all(number in (None, people[image]) for image, number in known.items())
    crowded = [
        one for one in data["images"] if one["source_image_id"] == source["images"][-1]["id"]
    ]
    assert crowded and all("caption" not in one for one in crowded)
    captions = sum("caption" in one for one in data["images"])
    assert captions > 10 and f"{captions} expressions of " in capsys.readouterr().out


def test_no_text_is_of_two_people_of_an_image(tmp_path: Path) -> None:
    images, file = people_with_keypoints(tmp_path, 12)
    data = generate(images, file, tmp_path / "refs.json")
    people = defaultdict(set)
    for one in data["images"]:
        if "caption" in one:
            people[one["source_image_id"], one["caption"]].add(one["source_annotation_id"])
    assert people and all(len(ids) == 1 for ids in people.values())


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    images, file = people_with_keypoints(tmp_path)
    data = generate(images, file, tmp_path / "refs.json")
    references = load_references(tmp_path / "refs.json", images)
    assert [one.caption for one in references] == [one.get("caption") for one in data["images"]]
    source = {one["id"]: one for one in json.loads(file.read_text())["annotations"]}
    for one, entry in zip(references, data["images"], strict=True):
        person = source[entry["source_annotation_id"]]
        x, y, width, height = person["bbox"]
        assert one.person.box_xyxy == pytest.approx((x, y, x + width, y + height))
        assert one.keypoints is not None and one.area_px == person["area"] and one.everybody
        assert one.scribbles is not None
        mask = one.person.mask(*one.size_hw)
        columns, rows = np.floor(one.scribbles.reshape(-1, 2) - 0.051).astype(int).T
        near = np.floor(one.scribbles.reshape(-1, 2) + 0.051).astype(int).T
        assert (mask[rows, columns] | mask[near[1], near[0]]).all()  # they are rounded to 0.1


def test_the_same_seed_gives_the_same_file_and_another_one_another(tmp_path: Path) -> None:
    images, file = people_with_keypoints(tmp_path)
    texts = [
        (tmp_path / f"{seed}.json", generate(images, file, tmp_path / f"{seed}.json", seed=seed))
        for seed in (1, 1, 2)
    ]
    assert texts[0][1] == texts[1][1] and texts[0][1]["images"] != texts[2][1]["images"]


def test_main_people_stand_alone_and_beside_two_others(tmp_path: Path) -> None:
    images, file = main_people(tmp_path)
    data = generate(images, file, tmp_path / "refs.json", parts=file)
    assert all(one["everybody"] is False and "people" not in one for one in data["images"])
    alone = {one["file_name"] for one in data["images"] if "side_by_side" not in one}
    assert len(alone) == 5
    pairs = {
        tuple(part["file_name"] for part in one["side_by_side"])
        for one in data["images"]
        if "side_by_side" in one
    }
    assert len(pairs) == 5 and {one for one, _ in pairs} == {other for _, other in pairs} == alone
    said = {one.get("claim") for one in data["images"] if "side_by_side" in one}
    assert {"wears red coat", "wears black coat"} <= said and "wears coat" not in said


def test_a_pair_shows_both_images_and_the_mask_where_its_person_is(tmp_path: Path) -> None:
    images, file = main_people(tmp_path)
    generate(images, file, tmp_path / "refs.json", parts=file)
    alone = {}
    for one in load_references(tmp_path / "refs.json", images):
        if len(one.sources) == 1:
            alone[one.files[0]] = one.person.mask(*one.size_hw)
    pairs = [
        one for one in load_references(tmp_path / "refs.json", images) if len(one.sources) == 2
    ]
    assert pairs
    for one in pairs:
        parts = [read_rgb(source) for source in one.sources]
        whole = joined(parts)
        assert whole.shape[:2] == one.size_hw
        first, second = (slice(0, 150), slice(150, 300))
        assert (whole[: len(parts[0]), first] == parts[0]).all()
        assert (whole[: len(parts[1]), second] == parts[1]).all()
        mask, left = one.person.mask(*one.size_hw), one.person.box_xyxy[0] < 150
        own = alone[one.files[0 if left else 1]]
        assert (mask[: len(own), first if left else second] == own).all()
        assert mask.sum() == own.sum()
        x1, y1, x2, y2 = (round(value) for value in one.person.box_xyxy)
        assert mask[y1:y2, x1:x2].sum() == mask.sum()


def test_clothes_of_nobody_are_told(tmp_path: Path) -> None:
    images, file = people_with_keypoints(tmp_path)
    options = Options(images=images, annotations=file, out=tmp_path / "refs.json", parts=file)
    with pytest.raises(AnnotationError, match="has no parts of the one person of any image"):
        run(options)


def test_images_without_people_are_told(tmp_path: Path) -> None:
    images, file = write_data_set(tmp_path, count=1)
    with pytest.raises(DataError, match="has nobody in .*large enough to be referred to, 1%"):
        run(Options(images=images, annotations=file, out=tmp_path / "refs.json"))
    assert not (tmp_path / "refs.json").exists()


@pytest.mark.parametrize("size", [0, 300])
def test_a_broken_image_is_named_and_the_others_go_on(
    tmp_path: Path, size: int, capsys: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    images, file = people_with_keypoints(tmp_path)
    broken = images / "002.png"
    broken.write_bytes(broken.read_bytes()[:size])
    assert run(Options(images=images, annotations=file, out=tmp_path / "refs.json")) == 1
    assert "002.png" in capsys.readouterr().err + caplog.text
    names = {one["file_name"] for one in json.loads((tmp_path / "refs.json").read_text())["images"]}
    assert "002.png" not in names and len(names) > 3


def test_a_limit_takes_the_first_images(tmp_path: Path) -> None:
    images, file = people_with_keypoints(tmp_path)
    data = generate(images, file, tmp_path / "refs.json", limit=3)
    assert {one["file_name"] for one in data["images"]} <= {"000.png", "001.png", "002.png"}
