"""A published detector becomes a version: what it computes stays, a wrong file is told.

The files are small ones of each kind; the decoders are compared with those in numpy, and those with
what a few numbers worked out by hand say.
"""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import external_data_helper
from torch import nn

from conversion.detectors import decoders
from conversion.detectors.command import Kind
from conversion.detectors.decoders import DECODERS
from conversion.detectors.imported import Wanted, import_detector
from conversion.detectors.maps import candidates
from conversion.detectors.source import read_source
from conversion.export.settings import ExportError
from peopleseg.checks.check import planned_faults
from peopleseg.cli import main as cli
from peopleseg.networks.checkpoint import CheckpointError, load_network
from peopleseg.repository.manifest import Manifest, sha256
from peopleseg.systems.people.pipeline import PeoplePipeline
from peopleseg.systems.people.system import PEOPLE
from tests.data.small_repository import write_head, write_images, write_small_repository
from tests.export import numpy_decoders
from tests.export.numpy_decoders import REFERENCES
from tests.export.published_detectors import (
    CHANNELS,
    CLASSES,
    SIZE,
    SmallNanoDet,
    SmallYOLOv8,
    SmallYOLOX,
    WithAttention,
    WithOneImageOnly,
    write_file,
)

ANCHORS = (SIZE // 8) ** 2 + (SIZE // 16) ** 2 + (SIZE // 32) ** 2
FILES: dict[str, tuple[str, nn.Module, int | None]] = {
    "yolov8": ("yolov8", SmallYOLOv8(), 1),
    "yolov8 of any batch": ("yolov8", SmallYOLOv8(), None),
    "yolov8 with attention": ("yolov8", WithAttention(SmallYOLOv8()), 1),
    "yolox": ("yolox", SmallYOLOX(), 1),
    "nanodet by stride": ("nanodet", SmallNanoDet(joint=False), 1),
    "nanodet in one": ("nanodet", SmallNanoDet(joint=True), 1),
    "nanodet of 8 bins": ("nanodet", SmallNanoDet(joint=False, bins=8), 1),
}


@pytest.fixture(params=FILES)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    kind, module, batch = FILES[request.param]
    return kind, write_file(tmp_path / "file.onnx", module, batch=batch)


def run(*arguments: object) -> int:
    return cli.main(["import-detector", *map(str, arguments)])


def test_a_batch_equals_singles_and_both_the_file(file: tuple[str, Path], tmp_path: Path) -> None:
    kind, path = file
    person = 3
    imported = import_detector(path, Wanted(kind, person))
    imported.trace(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3, 640, 640), dtype=np.uint8)
    together = session.run(None, {"pixels": pixels})
    assert together[0].shape == (3, CHANNELS, SIZE // 8, SIZE // 8)
    assert together[1].shape == (3, 5, ANCHORS)
    assert np.abs(np.diff(together[1], axis=0)).max() > 1e-3  # the images tell
    for index in range(3):
        alone = session.run(None, {"pixels": pixels[index : index + 1]})
        for whole, part in zip(together, alone, strict=True):
            np.testing.assert_allclose(whole[index], part[0], rtol=1e-3, atol=1e-3)
    expected = imported.reference(torch.from_numpy(pixels))
    for found, wanted in zip(together, expected, strict=True):
        np.testing.assert_allclose(found, wanted.numpy(), rtol=2e-3, atol=5e-2)
    assert imported.dims["person_class"] == person and imported.dims["classes"] == CLASSES


def outputs_of(kind: str) -> dict[str, np.ndarray]:
    """Of one image, as `FILES` have them but at random."""
    random = np.random.default_rng(1)
    module: Any = next(module for one, module, _ in FILES.values() if one == kind)
    with torch.no_grad():
        found = module(torch.from_numpy(random.normal(0, 60, (1, 3, SIZE, SIZE))).float())
    parts = found if isinstance(found, tuple) else (found,)
    return {str(index): part[0].numpy() for index, part in enumerate(parts)}


@pytest.mark.parametrize("kind", get_args(Kind))
def test_the_decoders_agree_with_those_in_numpy(kind: str) -> None:
    outputs = outputs_of(kind)
    shapes = {name: array.shape for name, array in outputs.items()}
    decoder = DECODERS[kind](shapes, SIZE, 5)
    found = decoder(*(torch.from_numpy(outputs[name])[None] for name in decoder.names))[0].numpy()
    expected = REFERENCES[kind](outputs, SIZE, 5)
    np.testing.assert_allclose(found[:4], expected[:4] * 640 / SIZE, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(found[4], expected[4], rtol=1e-5)


def test_nanodet_plus_has_a_fourth_stride_and_stands_in_the_corners() -> None:
    lengths = [(SIZE // stride) ** 2 for stride in (8, 16, 32, 64)]
    table = np.zeros((sum(lengths), 80 + 32), dtype=np.float32)
    found = numpy_decoders.nanodet({"output": table}, SIZE, 0)
    # Equal bins from 0 to 7 are 3.5 strides to each side.
    np.testing.assert_allclose(found[:, 1], [8, 0, 56, 56, 0])
    np.testing.assert_allclose(found[:, -1], [64, 64, 448, 448, 0])
    decoder = decoders.NanoDet({"output": table.shape}, SIZE, 0)
    decoded = decoder(torch.from_numpy(table)[None])[0].numpy()
    np.testing.assert_allclose(decoded[:4], found[:4] * 640 / SIZE, atol=1e-3)


def test_a_box_worked_out_by_hand() -> None:
    yolox = np.zeros((ANCHORS, 7), dtype=np.float32)
    second_row = SIZE // 8 + 2  # row 1, column 2, stride 8
    yolox[second_row] = [0.5, 0.25, np.log(3), np.log(2), 0.5, 0.1, 0.8]
    np.testing.assert_allclose(
        numpy_decoders.yolox({"output": yolox}, SIZE, 1)[:, second_row],
        [20, 10, 24, 16, 0.4],
        rtol=1e-6,
    )
    bins = np.full((4, 11), -50, dtype=np.float32)
    bins[[0, 1, 2, 3], [1, 2, 3, 4]] = 50  # left, top, right, bottom, in strides
    nanodet = np.zeros((ANCHORS, 80 + 44), dtype=np.float32)
    nanodet[second_row] = [*[0.7] * 80, *bins.reshape(-1)]
    np.testing.assert_allclose(
        numpy_decoders.nanodet({"output": nanodet}, SIZE, 0)[:, second_row],
        [28, 20, 32, 48, 0.7],
        rtol=1e-6,
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return write_small_repository(tmp_path / "repository")


def test_the_version_is_checked_served_and_says_where_it_comes_from(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_file(tmp_path / "file.onnx", SmallYOLOv8())
    images, annotations = write_images(tmp_path / "images")
    options = ["--decoder", "yolov8", "--licence", "CC0", "--examples", images]
    measured = ["--images", images, "--annotations", annotations]
    where = ["--model-repository", repository, "--skip-pinned-runtime"]
    assert run(path, *options, *measured, *where) == 0
    said = capsys.readouterr()
    assert "features are /neck/Add_1_output_0 ..." in said.err
    manifest = Manifest.read(repository / "yolov9" / "2")
    assert manifest.weights_licence == "CC0" and manifest.checkpoint_sha256 == sha256(path)
    assert manifest.variant == {
        "decoder": "yolov8",
        "input_size": SIZE,
        "classes": CLASSES,
        "person_class": 0,
        "features": "/neck/Add_1_output_0",
    }
    assert manifest.accuracy.keys() == {"box_ap", "box_ap50", "box_recall"}
    assert manifest.accuracy_data == "people.json, 2 images"
    assert f"box_ap50 of the file: {manifest.accuracy['box_ap50']:.4f}\n" in said.out
    assert manifest.parity["batches"] == {"images": [1, 3], "random": [1, 3]}
    assert manifest.weights_sha256 == ""
    with pytest.raises(CheckpointError, match="it is an imported detector"):
        load_network(repository / "yolov9" / "2")
    write_head(repository, 2, channels=CHANNELS)
    versions = {"yolov9": 2, "hierarchical_head": 2}
    assert planned_faults(repository, PEOPLE, versions) == []
    assert "roi_features" in "; ".join(
        planned_faults(repository, PEOPLE, {"yolov9": 2})
    )  # the old head does not fit
    people = PeoplePipeline(repository, versions=versions).segment((images / "0.png").read_bytes())
    assert np.isfinite(people.boxes).all()


def test_the_features_are_the_necks_or_those_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_file(tmp_path / "file.onnx", SmallYOLOv8())
    assert run(path, "--decoder", "yolov8", "--list-features") == 0
    listed = capsys.readouterr().out.splitlines()
    found = candidates(read_source(path))
    assert listed == [f"{one.name} [{one.channels}, 16, 16]" for one in found]
    named = [one.name for one in found]
    assert named[0] == "/neck/stem/Conv_output_0" and "/neck/Add_1_output_0" in named
    asked = import_detector(path, Wanted("yolov8", features=named[0]))
    assert asked.dims["features"] == named[0]
    with pytest.raises(ExportError, match="no map nose .*takes one of: /neck/stem/Conv_output_0"):
        import_detector(path, Wanted("yolov8", features="nose"))


def test_a_file_without_a_neck_needs_its_features_named(tmp_path: Path) -> None:
    class NoNeck(SmallYOLOv8):
        def cells(self, images: torch.Tensor) -> list[torch.Tensor]:
            fine = self.neck.stem(images)
            made = self.head[0](fine).flatten(2).transpose(1, 2)
            return [made]

    path = write_file(tmp_path / "file.onnx", NoNeck())
    with pytest.raises(
        ExportError, match=r"name one with --features: /stem/Conv_output_0 \[16\], "
    ):
        import_detector(path, Wanted("yolov8"))


def test_a_graph_for_one_image_alone_is_refused(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_file(tmp_path / "file.onnx", WithOneImageOnly(SmallYOLOv8()))
    options = ["--decoder", "yolov8", "--licence", "CC0", "--skip-pinned-runtime"]
    assert run(path, *options, "--model-repository", repository) == 1
    assert "computes one image at a time" in capsys.readouterr().err
    assert sorted(one.name for one in (repository / "yolov9").iterdir() if one.is_dir()) == [
        "1",
        "configs",
    ]


def pointer(path: Path) -> Path:
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    return path


def page(path: Path) -> Path:
    path.write_bytes(b"<html>no such file</html>")
    return path


def no_model(path: Path) -> Path:
    path.write_bytes(b"no model")
    return path


def without_weights(path: Path) -> Path:
    model = onnx.load(write_file(path, SmallYOLOv8()))
    external_data_helper.convert_model_to_external_data(
        model, location="weights.bin", size_threshold=0
    )
    onnx.save(model, path)
    (path.parent / "weights.bin").unlink()
    return path


def small_yolov8(path: Path) -> Path:
    return write_file(path, SmallYOLOv8())


def wide(path: Path) -> Path:
    model = onnx.load(small_yolov8(path))
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 2 * SIZE
    onnx.save(model, path)
    return path


def of_opset_18(path: Path) -> Path:
    model = onnx.load(small_yolov8(path))
    model.opset_import[0].version = 18
    onnx.save(model, path)
    return path


def decoded_yolox(path: Path) -> Path:
    class Decoded(SmallYOLOX):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images) * 1000

    return write_file(path, Decoded())


@pytest.mark.parametrize(
    ("write", "options", "message"),
    [
        (pointer, "yolov8", "a Git LFS pointer"),
        (page, "yolov8", "is HTML or XML"),
        (no_model, "yolov8", "is not an ONNX model"),
        (without_weights, "yolov8", "weights in another file, weights.bin, which is not beside it"),
        (wide, "yolov8", "expected [batch, 3, side, side]"),
        (of_opset_18, "yolov8", "has opset 18"),
        (small_yolov8, "yolox", "expected one [anchors of strides 8, 16 and 32, 5 + classes]"),
        (small_yolov8, "nanodet", "name another --decoder"),
        (small_yolov8, "yolov8 --person-class 80", "no class 80 among the file's 80"),
        (decoded_yolox, "yolox", "not finite numbers"),
    ],
)
def test_a_wrong_file_is_told_in_a_sentence_and_changes_nothing(
    write: Any,
    options: str,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write(tmp_path / "file.onnx")
    repository = tmp_path / "repository"
    where = ["--model-repository", repository, "--licence", "CC0", "--skip-pinned-runtime"]
    assert run(path, "--decoder", *options.split(), *where) == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("peopleseg: ") and message in told
    assert not list(repository.glob("yolov9/*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--licence is missing"),
        (["--licence", " "], "--licence is missing"),
        (["--licence", "CC0", "--precision", "int8"], "--precision int8 needs --examples"),
        (["--licence", "CC0", "--images", "."], "--annotations is missing: to measure the file"),
        (["--licence", "CC0", "--annotations", "people.json"], "--images is missing: to measure"),
        (["--licence", "CC0", "--precision", "fp8"], '"fp8" for --precision. Choose from'),
    ],
)
def test_wrong_usage_is_told(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = no_model(tmp_path / "file.onnx")
    assert run(path, "--decoder", "yolov8", *options) == 2
    assert message in capsys.readouterr().err
    assert run(tmp_path / "none.onnx", "--decoder", "yolov8", "--licence", "CC0") == 2


def test_the_kinds_of_the_command_are_those_there_are() -> None:
    assert set(get_args(Kind)) == DECODERS.keys() == REFERENCES.keys()


def test_no_map_is_padded_with_the_lowest_number(tmp_path: Path) -> None:
    path = write_file(tmp_path / "file.onnx", SmallYOLOv8())
    imported = import_detector(path, Wanted("yolov8"))
    operators = {node.op_type for node in onnx.load(path).graph.node}
    assert {"Pad", "MaxPool"} <= operators
    operators = {node.op_type for node in imported.graph.graph.node}
    assert "MaxPool" in operators and "Pad" not in operators
