"""`peopleseg export` as it is typed: what it takes, prints and returns."""

from pathlib import Path

import pytest
import torch

from conversion.export import command, pinned_runtime
from conversion.export.settings import MissingRequirement
from peopleseg.cli import main as cli
from peopleseg.cli.application import parse
from peopleseg.repository.manifest import Manifest
from tests.data.encoded import some_images
from tests.export.networks import checkpoint, image_files, people_unet


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("c") / "unet.ckpt", people_unet("b0", shrink=16))


def run(*arguments: object) -> int:
    return cli.main(["export", *map(str, arguments)])


def test_a_checkpoint_becomes_the_next_version(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the example images, as no others are named."""
    options = ("--model-repository", tmp_path, "--skip-pinned-runtime")
    for number in ("1", "2"):
        assert run(source, *options, "--data-licence", "CC0", "--accuracy-data", "mine") == 0
        printed = capsys.readouterr()
        version = tmp_path / "people_unet" / number
        assert printed.out.startswith(f"{version}: ")
        assert "fp32 on cpu" in printed.out
        assert "people_unet: tracing ..." in printed.err
    manifest = Manifest.read(version)
    assert (manifest.data_licence, manifest.accuracy_data) == ("CC0", "mine")
    assert manifest.parity["batches"]["images"] == [1, 3]
    assert manifest.parity["onnxruntime_1.19.2"] == "not checked"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--precision", "int8"), "--precision int8 needs --examples to calibrate on, and"),
        (
            ("--precision", "int8", "--accelerator", "cuda", "--examples", ".")
            + ("--images", ".", "--annotations", "."),
            "on CUDA take --precision fp16",
        ),
        (("--roi-padding", "1.5"), r"1.5 is not a number from 0 to 1"),
        (("--examples", "nowhere"), "--examples nowhere: there is no such file or folder"),
        (("--precision", "fp8"), '"fp8" for --precision. Choose from: "fp32"'),
        (("--limit", "0"), '"0" for --limit. 0 is not a whole number from 1'),
        (("--images", "nowhere"), "--images nowhere: there is no such folder"),
        (("--annotations", "no.json"), "--annotations no.json: there is no such file"),
    ],
)
def test_wrong_usage_is_told_and_changes_nothing(
    options: tuple[str, ...],
    message: str,
    source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(source, *options, "--model-repository", tmp_path) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_is_not_there_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "no.ckpt") == 2
    assert "there is no checkpoint" in capsys.readouterr().err


def test_a_file_that_is_no_checkpoint_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.ckpt").write_text("notes")
    assert run(tmp_path / "notes.ckpt", "--model-repository", tmp_path) == 1
    assert "is not a checkpoint" in capsys.readouterr().err


def test_what_is_missing_on_this_machine_gives_2(
    source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def offline() -> Path:
        raise MissingRequirement("no network here")

    monkeypatch.setattr(pinned_runtime, "install", offline)
    assert run(source, "--model-repository", tmp_path) == 2
    assert capsys.readouterr().err.endswith("peopleseg: no network here\n")
    assert [path.name for path in tmp_path.rglob("*")] == ["people_unet"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_nothing_is_made_for_cuda(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--precision", "fp16", "--accelerator", "cuda", "--skip-pinned-runtime")
    assert run(source, *options, "--model-repository", tmp_path) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--accelerator cuda compares on a GPU, and ONNX Runtime or torch finds none" in line
    assert list(tmp_path.iterdir()) == []


def test_a_broken_image_is_named_and_nothing_written(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "half.jpg").write_bytes(some_images(1)[0][:-40])
    options = ("--examples", tmp_path / "half.jpg", "--skip-pinned-runtime")
    assert run(source, *options, "--model-repository", tmp_path / "repository") == 1
    err = capsys.readouterr().err
    assert f"peopleseg: {tmp_path / 'half.jpg'}: image is a damaged or truncated JPEG file" in err
    assert list((tmp_path / "repository" / "people_unet").iterdir()) == []


def test_annotations_that_are_not_cocos_are_refused(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "people.json").write_text("{}")
    images = ("--examples", image_files(tmp_path, 1)[0])
    measured = ("--images", tmp_path, "--annotations", tmp_path / "people.json")
    options = ("--precision", "int8", *images, *measured)
    assert run(source, *options, "--model-repository", tmp_path / "repository") == 1
    assert "is not a COCO annotation file" in capsys.readouterr().err
    assert list((tmp_path / "repository" / "people_unet").iterdir()) == []


def test_the_help_shows_commands_to_type() -> None:
    assert command.__doc__ is not None
    lines = command.__doc__.replace("\\\n", " ").splitlines()
    calls = [line.split()[2:] for line in lines if line.startswith("  peopleseg export")]
    assert len(calls) >= 3
    for call in calls:
        parse(command, call)
