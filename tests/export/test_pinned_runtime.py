"""Artifacts run under the ONNX Runtime of the pinned image, or a sentence says why not."""

import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from conversion.export import pinned_runtime
from conversion.export.inputs import IMAGES, Case
from conversion.export.parity import Expected
from conversion.export.runners import onnx_runner
from conversion.export.settings import ExportError, MissingRequirement

INPUTS = {"x": np.arange(12, dtype=np.float32).reshape(2, 6)}
CASES = [Expected(Case(IMAGES, INPUTS), {})]


def double(folder: Path, *, opset: int = 17) -> Path:
    """x to 2 x, any batch."""
    tensors = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 6]) for n in "xy"]
    two = numpy_helper.from_array(np.array(2, np.float32), "two")
    node = helper.make_node("Mul", ["x", "two"], ["y"])
    graph = helper.make_graph([node], "double", tensors[:1], tensors[1:], [two])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


@pytest.mark.usefixtures("pinned")
def test_it_is_the_version_of_the_image(root: Path) -> None:
    installed = pinned_runtime.install() / "onnxruntime" / "__init__.py"
    assert f'__version__ = "{pinned_runtime.VERSION}"' in installed.read_text()
    image = (root / "serving" / "image" / "Dockerfile").read_text()
    assert "24.10" in image  # of which 1.19.2 is the ONNX Runtime


@pytest.mark.usefixtures("pinned")
def test_equal_results_have_no_gap_and_others_theirs(tmp_path: Path) -> None:
    path = double(tmp_path)
    found = pinned_runtime.compare(path, CASES, onnx_runner(path))
    assert found[IMAGES]["y"].max == 0
    assert found[IMAGES]["y"].magnitude == pytest.approx(11)
    found = pinned_runtime.compare(path, CASES, lambda inputs: {"y": 2.5 * inputs["x"]})
    assert found[IMAGES]["y"].max == pytest.approx(5.5)


@pytest.mark.usefixtures("pinned")
def test_what_it_cannot_load_is_refused_with_its_reason(tmp_path: Path) -> None:
    path = double(tmp_path, opset=22)  # 1.19 knows opsets up to 21
    with pytest.raises(ExportError, match=r"does not run under ONNX Runtime 1\.19\.2: .*22"):
        pinned_runtime.compare(path, CASES, onnx_runner(path))


def test_without_a_network_one_sentence_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody listens
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(MissingRequirement, match="--skip-pinned-runtime") as missing:
        pinned_runtime.install()
    assert "needs it installed once by pip, which said: " in str(missing.value)
    assert list((tmp_path / "peopleseg").iterdir()) == []


def test_it_is_installed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = []

    def install(command: list[str]) -> None:
        commands.append(command)
        Path(command[command.index("--target") + 1]).mkdir()

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(pinned_runtime, "_install", install)
    assert pinned_runtime.install() == pinned_runtime.install()
    assert len(commands) == 1


def test_a_pip_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def hang(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("pip", 1)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(MissingRequirement, match="no end after"):
        pinned_runtime.install()
