"""Result files."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from peopleseg import Person
from peopleseg.labels.files import write_atomically, write_json, write_png
from peopleseg.pixels.images import decode_image
from peopleseg.pixels.masks import encode_rle
from peopleseg.systems.people.results import coco_results
from tests.data.people_images import people_image


def test_results_are_cocos() -> None:
    rle = encode_rle(np.ones((4, 5), dtype=np.uint8))
    person = Person((1.0, 0.5, 4.0, 3.0), 0.5, np.zeros((128, 96), dtype=np.uint8), rle)
    (result,) = coco_results([person], 7)
    assert result == {
        "image_id": 7,
        "category_id": 1,
        "bbox": [1.0, 0.5, 3.0, 2.5],
        "score": 0.5,
        "segmentation": rle,
    }
    assert json.loads(json.dumps(result)) == result


def test_files_are_written_into_a_new_folder(tmp_path: Path) -> None:
    image = people_image(2).image_rgb
    write_png(tmp_path / "new" / "a.png", image)
    write_json(tmp_path / "new" / "a.json", {"a": [1]})
    np.testing.assert_array_equal(decode_image((tmp_path / "new/a.png").read_bytes()), image)
    assert json.loads((tmp_path / "new" / "a.json").read_text()) == {"a": [1]}
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == ["a.json", "a.png"]


@pytest.mark.parametrize("broken", ["replace", "write"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    path = tmp_path / "results.json"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError("disk is full")

    if broken == "replace":
        monkeypatch.setattr(os, "replace", fail)
    else:
        monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk is full"):
        write_atomically(path, b"new")
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]
    assert path.read_text() == "old"


def test_a_name_as_long_as_a_name_may_be_is_written(tmp_path: Path) -> None:
    for name in ("n" * 250 + ".json", "\N{SNOWMAN}" * 85):
        write_json(tmp_path / name, [1])
        assert (tmp_path / name).read_text() == "[\n 1\n]\n"
    assert len(list(tmp_path.iterdir())) == 2
