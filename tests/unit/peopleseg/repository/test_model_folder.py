"""Versions and configs of a model, as Triton sees them."""

from pathlib import Path

import pytest

from peopleseg.repository.model_folder import config_files, is_version, versions_in
from peopleseg.repository.version_folder import newest_version


@pytest.mark.parametrize(
    ("name", "expected"),
    [("1", True), ("10", True), ("0", False), ("02", False), ("", False), ("1a", False)]
    + [(".1", False), ("-1", False), ("\u00b2", False), ("\u0663", False), ("configs", False)],
)
def test_a_version_is_a_whole_number_without_a_leading_zero(name: str, expected: bool) -> None:
    assert is_version(name) == expected


def test_whoever_counts_versions_finds_the_same(tmp_path: Path) -> None:
    model = tmp_path / "yolov9"
    assert versions_in(model) == []
    for name in ("10", "2", "011", "configs", ".export-1"):
        (model / name).mkdir(parents=True)
    (model / "12").touch()
    assert versions_in(model) == [2, 10]
    assert newest_version(model) == 10


def test_the_default_config_is_the_first(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    for name in ("tensorrt.pbtxt", "cuda.pbtxt", "notes.txt"):
        (tmp_path / "configs" / name).touch()
    names = [path.relative_to(tmp_path).as_posix() for path in config_files(tmp_path)]
    assert names == ["config.pbtxt", "configs/cuda.pbtxt", "configs/tensorrt.pbtxt"]
