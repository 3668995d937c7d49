"""`peopleseg segment` and `peopleseg evaluate` against the real server and its models."""

import json
from pathlib import Path
from typing import Any

import pytest
from skimage.data import astronaut

from peopleseg.cli.main import main
from peopleseg.pixels.images import decode_image
from peopleseg.pixels.masks import decode_rle
from tests.data.people_images import data_set, people_image, write_image

pytestmark = pytest.mark.server

METRICS = ("mask_ap", "mask_ap50", "box_ap", "box_ap50", "roi_miou", "foreground_miou")


def test_segment_finishes_the_others_when_one_image_is_bad(
    server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    write_image(photos / "astronaut.png", astronaut())
    write_image(photos / "metrics.jpg", people_image(3).image_rgb)
    (photos / "bad.jpg").write_bytes(b"this is no image")

    assert main(["segment", str(photos), "--url", server.grpc_url, "--out", str(out)]) == 1

    written = sorted(path.name for path in out.iterdir())
    assert written == ["astronaut.png", "metrics.png", "results.json"]
    assert decode_image((out / "astronaut.png").read_bytes()).shape == (512, 512, 3)
    results = json.loads((out / "results.json").read_text())
    names = [Path(result["file_name"]).name for result in results]
    assert "astronaut.png" in names and "bad.jpg" not in names
    first = results[names.index("astronaut.png")]
    assert decode_rle(first["segmentation"]).shape == (512, 512)
    assert len(first["bbox"]) == 4 and 0 < first["score"] <= 1
    printed = capsys.readouterr()
    assert f"{photos / 'bad.jpg'}: " in printed.err and "preprocess" in printed.err
    assert "astronaut.png: " in printed.out


def test_segment_of_good_images_succeeds(
    server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "astronaut.bmp"
    write_image(image, astronaut())
    out = tmp_path / "out"
    assert main(["segment", str(image), "--url", server.grpc_url, "--out", str(out)]) == 0
    assert capsys.readouterr().err == ""


def test_evaluate_prints_and_writes_the_metrics(
    server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, annotations = data_set(tmp_path / "data")
    file = tmp_path / "accuracy.json"
    arguments = ["--images", str(images), "--annotations", str(annotations)]
    options = ["--url", server.grpc_url, "--json", str(file), "--limit", "4"]

    assert main(["evaluate", *arguments, *options]) == 0

    report = json.loads(file.read_text())
    assert report["images"] == 4 and report["failed"] == [] and report["seconds"] > 0
    assert report["people"] >= report["rois"] >= 1
    printed = capsys.readouterr().out
    for name in METRICS:
        assert 0 <= report[name] <= 1
        assert f"{name:16} {report[name]:.4f}" in printed
