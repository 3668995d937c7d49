"""`peopleseg segment` against a server within the test."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from peopleseg.cli.main import main
from peopleseg.labels.coco import load_images
from peopleseg.pixels.images import decode_image
from peopleseg.pixels.masks import decode_rle
from tests.data.fake_triton import FakeTriton, one_person
from tests.data.people_images import people_image, write_image


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with FakeTriton(one_person) as fake:
        yield fake.grpc_url


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for seed, name in enumerate(("a.png", "b.jpg", "more/a.webp")):
        write_image(folder / name, people_image(seed, size_hw=(60, 80)).image_rgb)
    return folder


def read(path: Path) -> list[dict[str, object]]:
    return list(json.loads(path.read_text()))


def test_every_image_gets_an_overlay_and_results(
    url: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["segment", str(photos), "--url", url, "--out", str(out)]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["a.png", "a_2.png", "b.png", "results.json"]
    results = read(out / "results.json")
    assert [r["file_name"] for r in results] == [
        str(photos / name) for name in ("a.png", "b.jpg", "more/a.webp")
    ]
    assert [r["image_id"] for r in results] == [1, 2, 3]
    assert results[0]["bbox"] == [0, 0, 40, 60] and results[0]["category_id"] == 1
    assert decode_rle(results[0]["segmentation"]).shape == (60, 80)  # type: ignore[arg-type]
    drawn = decode_image((out / "a.png").read_bytes())
    before = decode_image((photos / "a.png").read_bytes())
    assert (drawn != before)[:, :40].any() and (drawn == before)[:, 50:].all()
    printed = capsys.readouterr()
    assert printed.out.count("1 person ->") == 3
    assert printed.err == ""


def test_failures_are_named_and_the_others_finished(
    url: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "broken.jpg").write_bytes(b"no image at all")
    (photos / "empty.png").touch()
    out = tmp_path / "out"
    missing = tmp_path / "missing.jpg"
    assert main(["segment", str(missing), str(photos), "--url", url, "--out", str(out)]) == 1
    assert sorted(p.name for p in out.glob("*.png")) == ["a.png", "a_2.png", "b.png"]
    assert len(read(out / "results.json")) == 3
    err = capsys.readouterr().err
    assert f"{missing}: there is no such file" in err
    assert f"{photos / 'broken.jpg'}: in ensemble" in err and "is not an image" in err
    assert f"{photos / 'empty.png'}: " in err and "0 bytes" in err
    assert "3 failed" in err


def test_the_overlay_is_turned_as_the_camera_was_held(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn a quarter clockwise to see it upright
    image = tmp_path / "turned.jpg"
    Image.fromarray(np.zeros((40, 90, 3), dtype=np.uint8)).save(image, exif=exif)
    assert main(["segment", str(image), "--url", url, "--out", str(tmp_path / "out")]) == 0
    drawn = decode_image((tmp_path / "out" / "turned.png").read_bytes())
    assert drawn.shape == (90, 40, 3)


def test_people_below_the_least_score_are_left_out(url: str, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    certain = ["segment", str(photos / "a.png"), "--url", url, "--out", str(out), "--min-score"]
    assert main([*certain, "0.999"]) == 0
    assert read(out / "results.json") == []
    assert main([*certain, "0.001"]) == 0
    assert len(read(out / "results.json")) == 1


def test_a_whole_coco_file_is_what_pycocotools_and_our_own_reader_load(
    url: str, photos: Path, tmp_path: Path
) -> None:
    (photos / "broken.jpg").write_bytes(b"no image at all")
    out = tmp_path / "out"
    options = ["--url", url, "--out", str(out), "--format", "coco"]
    assert main(["segment", str(photos), *options]) == 1
    assert not (out / "results.json").exists()
    coco = COCO(str(out / "annotations.json"))
    assert coco.getCatIds(["person"]) == [1]
    names = {image["id"]: image["file_name"] for image in coco.loadImgs(coco.getImgIds())}
    assert names == {
        1: str(photos / "a.png"),
        2: str(photos / "b.jpg"),
        4: str(photos / "more" / "a.webp"),
    }
    assert {(image["height"], image["width"]) for image in coco.imgs.values()} == {(60, 80)}
    assert sorted(coco.anns) == [1, 2, 3]
    for annotation in coco.loadAnns(coco.getAnnIds(catIds=[1], iscrowd=False)):
        assert annotation["bbox"] == [0, 0, 40, 60]
        assert annotation["area"] == coco.annToMask(annotation).sum() > 0
    images = load_images(out / "annotations.json", photos)
    assert [len(annotated_image.people) for annotated_image in images] == [1, 1, 1]


def test_images_that_are_not_taken_are_named_in_one_line(
    url: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = [photos / name for name in ("._a.png", "IMG.HEIC", "more/x.jfif")]
    for path in others:
        path.touch()
    arguments = ["segment", str(photos), "--url", url, "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert all(str(path) in line for path in others) and str(photos / "a.png") not in line
    for number in range(9):
        (photos / f"{number}.gif").touch()
    assert main(arguments) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.count(str(photos)) == 5 and " and 7 more" in line


@pytest.mark.parametrize("score", ["0", "1.1", "high"])
def test_an_unfit_least_score_is_refused_before_anything_is_sent(
    photos: Path, score: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["segment", str(photos), "--min-score", score]) == 2
    assert "for --min-score" in capsys.readouterr().err


def test_a_second_run_does_not_take_its_own_overlays(
    url: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert main(["segment", str(photos), "--url", url, "--out", str(photos / "out")]) == 0
    assert len(list((photos / "out").glob("*.png"))) == 3


def test_no_server_is_one_clear_message(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("peopleseg.cli.segment_command.READY_TIMEOUT_S", 0.3)
    with FakeTriton(one_person) as fake:
        url = fake.grpc_url
    assert main(["segment", str(photos), "--url", url, "--out", str(tmp_path / "out")]) == 1
    err = capsys.readouterr().err
    assert err.startswith("peopleseg: no person_segmentation is ready") and url in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_url_with_a_scheme_is_explained(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["segment", str(photos), "--url", "http://localhost:8001"]) == 2
    assert "expected host:port" in capsys.readouterr().err
