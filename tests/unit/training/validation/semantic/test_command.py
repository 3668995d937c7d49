"""`peopleseg validate` on label maps: tables, pictures, networks together, and what was seen."""

import json
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

from peopleseg.cli.main import main
from peopleseg.networks.checkpoint import save_network
from peopleseg.networks.people.people_unet import PeopleUNet
from peopleseg.networks.semantic.deeplab import VARIANTS, DeepLab
from tests.data.voc_images import write_voc

VAL = ["2012_000003", "2012_000004"]


@pytest.fixture(scope="module")
def voc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pascal VOC's folders, and checkpoints that know nothing; one has seen an image of val."""
    root = write_voc(tmp_path_factory.mktemp("voc") / "VOC2012", 3, 2)
    torch.manual_seed(0)
    for name, variant, names in zip(("one", "two"), VARIANTS, (["a"], [VAL[0], "a"]), strict=True):
        network = DeepLab(variant)
        file = root / f"{name}.ckpt"
        save_network(file, "deeplab", network, dims=network.dims, trained_on=names)
    unet = PeopleUNet("b0", shrink=4)
    save_network(root / "unet.ckpt", "people_unet", unet, dims=unet.dims)
    return root


def run(voc: Path, *arguments: Any, annotations: str = "ImageSets/Segmentation/val.txt") -> int:
    options = [f"--images={voc / 'JPEGImages'}", f"--annotations={voc / annotations}"]
    return main(["validate", *map(str, arguments), *options, "--device=cpu", "--size=64"])


def test_a_list_of_voc_is_measured_with_tables_and_pictures(
    voc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, sheets = tmp_path / "metrics.json", tmp_path / "sheets"
    assert run(voc, voc / "one.ckpt", "--json", file, "--sheets", sheets) == 0
    out = capsys.readouterr().out
    assert "miou_present" in out and "too few to tell: background (2), chair (2)" in out
    report = json.loads(file.read_text())
    assert report["images"] == 2 and report["annotations"] == "val.txt"
    (one,) = report["checkpoints"]
    assert one["images_of_class"]["person"] == 2 and one["images_of_class"]["dog"] == 0
    assert 0 <= one["metrics"]["miou_present"] <= 1 and one["metrics"]["iou dog"] is None
    assert "trained_on_of_these_images" not in one
    assert sorted(path.name for path in sheets.iterdir()) == ["one.confusion.png", "one.png"]
    assert cv2.imread(str(sheets / "one.png")).shape[0] > 2 * 400


def test_two_together_are_one_more_line(
    voc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, sheets = tmp_path / "metrics.json", tmp_path / "sheets"
    both = [voc / "one.ckpt", voc / "two.ckpt"]
    more = ("--together", "--leak-ok", "--json", file, "--sheets", sheets)
    assert run(voc, *both, *more) == 0
    names = [str(one) for one in both]
    rows = json.loads(file.read_text())["checkpoints"]
    assert [row["checkpoint"] for row in rows] == [*names, " + ".join(names)]
    assert [row.get("trained_on_of_these_images") for row in rows] == [None, 1, 1]
    assert (sheets / "together.png").is_file()
    assert "was trained on 1 of these images" in capsys.readouterr().out


def test_a_network_that_has_seen_the_images_is_refused_and_the_others_go_on(
    voc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "metrics.json"
    assert run(voc, voc / "one.ckpt", voc / "two.ckpt", "--json", file) == 1
    printed = capsys.readouterr()
    assert f"two.ckpt: it was trained on 1 of these 2 images ({VAL[0]})" in printed.err
    assert "--leak-ok" in printed.err
    report = json.loads(file.read_text())
    assert [Path(one["checkpoint"]).name for one in report["failed"]] == ["two.ckpt"]
    assert [Path(one["checkpoint"]).name for one in report["checkpoints"]] == ["one.ckpt"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["{voc}/unet.ckpt"], 1, "a people_unet is not measured on label maps"),
        (["{voc}/one.ckpt", "--together"], 1, "--together takes two or more"),
        (["{voc}/one.ckpt", "--detector={voc}/one.ckpt"], 2, "--detector is for networks that"),
        (["{voc}/one.ckpt", "--size=0"], 2, "0 is not a whole number from 1 on"),
    ],
)
def test_wrong_use_is_said(
    voc: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    given = [one.format(voc=voc) for one in arguments]
    options = [f"--images={voc / 'JPEGImages'}", f"--annotations={voc / 'SegmentationClass'}"]
    size = [] if "--size=0" in given else ["--size=64"]
    assert main(["validate", *given, *options, *size, "--device=cpu"]) == code
    assert said in capsys.readouterr().err


def test_options_of_label_maps_are_refused_for_people(
    voc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = tmp_path / "people.json"
    people.write_text("{}")
    options = [f"--images={tmp_path}", f"--annotations={people}", "--device=cpu"]
    assert main(["validate", str(voc / "unet.ckpt"), *options, "--size=64"]) == 2
    assert "--size is for networks that are measured on label maps" in capsys.readouterr().err


def test_an_image_of_another_size_than_its_labels_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    voc = write_voc(tmp_path / "VOC2012", 1, 2)
    image = voc / "JPEGImages" / "2012_000001.jpg"
    cv2.imwrite(str(image), cv2.imread(str(image))[:-4])
    network = DeepLab()
    save_network(voc / "x.ckpt", "deeplab", network, dims=network.dims)
    file = tmp_path / "metrics.json"
    assert run(voc, voc / "x.ckpt", "--json", file, annotations="SegmentationClass") == 0
    report = json.loads(file.read_text())
    assert report["images"] == 2
    assert [Path(one["file"]).name for one in report["skipped"]] == ["2012_000001.jpg"]
    assert "its annotations are for 64 x 48" in capsys.readouterr().err
