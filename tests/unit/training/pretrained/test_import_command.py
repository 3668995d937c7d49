"""`peopleseg import-weights`: a published file in, a checkpoint out, or nothing."""

from pathlib import Path

import pytest
import torch

from peopleseg.cli.main import main
from peopleseg.networks.checkpoint import load_network
from peopleseg.networks.people.hierarchical import PersonMaskHead
from peopleseg.networks.people.people_unet import PeopleUNet, people_unet
from peopleseg.networks.people.yolov9 import YOLOv9
from tests.data.published import assert_numbered, numbered, written
from tests.unit.training.pretrained.test_hierarchical import published as published_hierarchical
from tests.unit.training.pretrained.test_yolov9 import published as published_yolov9


def imported(file: Path, *options: str) -> int:
    kind, *rest = options
    out = file.with_suffix(".ckpt")
    return main(["import-weights", kind, str(file), "--out", str(out), *rest])


def test_a_people_unet_becomes_a_checkpoint(tmp_path: Path) -> None:
    state = numbered(lambda: people_unet("b1"))
    file = written(tmp_path / "best_model_b1_0.8833.pth", {"state_dict": state})
    assert imported(file, "people_unet") == 0
    loaded = load_network(file.with_suffix(".ckpt"))
    assert loaded.family == "people_unet"
    assert isinstance(loaded.network, PeopleUNet) and loaded.network.variant == "b1"
    assert_numbered(loaded.network.unet, state)


def test_a_head_becomes_a_checkpoint_with_its_companion(tmp_path: Path) -> None:
    head, unet = numbered(lambda: PersonMaskHead("b0")), numbered(lambda: people_unet("b0"))
    content = {"model_state_dict": published_hierarchical(head, unet)}
    file = written(tmp_path / "best_model_b0_80x60.pth", content)
    assert imported(file, "hierarchical_head", "--roi-size", "80x60") == 0
    loaded = load_network(file.with_suffix(".ckpt"))
    assert loaded.family == "hierarchical_head"
    assert isinstance(loaded.network, PersonMaskHead)
    assert loaded.network.roi_size_hw == (80, 60)
    assert_numbered(loaded.network, head)
    companion = loaded.companions["people_unet"]
    assert isinstance(companion, PeopleUNet)
    assert_numbered(companion.unet, unet)


@pytest.mark.parametrize(("options", "classes"), [((), 4), (("--keep-class", "0"), 1)])
def test_a_detector_becomes_a_checkpoint(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    classes: int,
) -> None:
    torch.manual_seed(0)
    original = YOLOv9("t", 4, auxiliary=True).eval()
    file = written(tmp_path / "yolov9-t.pt", {"model": published_yolov9(original)})
    assert imported(file, "yolov9", *options) == 0
    assert ("--keep-class" in capsys.readouterr().err) == (classes > 1)
    loaded = load_network(file.with_suffix(".ckpt"))
    assert loaded.family == "yolov9" and loaded.dims["classes"] == classes
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        ours, theirs = loaded.network(image), original(image)
    assert torch.equal(ours.features, theirs.features)
    torch.testing.assert_close(ours.predictions, theirs.predictions[:, : 4 + classes])


def test_what_does_not_fit_is_listed_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = numbered(lambda: people_unet("b0"))
    state["decoder.extra.weight"] = state.pop("segmentation_head.0.bias")
    file = written(tmp_path / "unet.pth", state)
    assert imported(file, "people_unet") == 1
    printed = capsys.readouterr().err
    assert str(file) in printed
    assert "missing: segmentation_head.0.bias" in printed
    assert "unexpected: decoder.extra.weight" in printed
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("people_unet",), 1, "No such file"),
        (("people_unet", "--keep-class", "0"), 1, "--keep-class is for yolov9"),
        (("yolov9", "--roi-size", "64x48"), 1, "--roi-size is for hierarchical_head"),
        (("hierarchical_head", "--roi-size", "64"), 2, "--roi-size"),
        (("mask_rcnn",), 2, "Choose from"),
    ],
)
def test_wrong_use_is_said(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    assert imported(tmp_path / "none.pth", *options) == code
    assert words in capsys.readouterr().err


def test_the_folder_of_the_checkpoint_is_made(tmp_path: Path) -> None:
    file = written(tmp_path / "unet.pth", numbered(lambda: people_unet("b0")))
    out = tmp_path / "checkpoints" / "imported" / "unet.ckpt"
    assert main(["import-weights", "people_unet", str(file), "--out", str(out)]) == 0
    assert [path.name for path in out.parent.iterdir()] == ["unet.ckpt"]
