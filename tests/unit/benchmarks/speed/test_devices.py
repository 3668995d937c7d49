"""`--device`: what is missing for a GPU is told first, and what was measured on is recorded."""

from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from benchmarks.speed import devices
from benchmarks.speed.command import COMMANDS
from benchmarks.speed.devices import CPU, CUDA, PROVIDERS, open_pipeline
from benchmarks.speed.errors import MissingTool
from benchmarks.speed.result import RESULTS, folder_of, make_result
from benchmarks.speed.tables import heading
from peopleseg.cli.main import main
from tests.data.small_repository import write_images, write_small_repository

ON_DEVICES = [name for name in COMMANDS if name not in ("report", "versions")]
has_cuda = PROVIDERS[CUDA] in onnxruntime.get_available_providers()
without_cuda = pytest.mark.skipif(has_cuda, reason="this ONNX Runtime has CUDA")


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only program on the PATH: a script, yet to be written."""
    path = tmp_path / "bin" / "nvidia-smi"
    path.parent.mkdir()
    path.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(path.parent))
    return path


@without_cuda
@pytest.mark.parametrize("benchmark", ON_DEVICES)
def test_without_a_gpu_one_sentence_says_what_to_install_before_anything_else(
    benchmark: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--device=cuda", f"--results={tmp_path / 'results'}"]
    if benchmark != "runtimes":
        options += [f"--images={tmp_path / 'none'}"]
    if benchmark == "ensemble":
        options += ["people_foreground"]
    elif benchmark != "runtimes":
        options += [f"--annotations={tmp_path / 'none.json'}"]
    assert main(["bench", benchmark, *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--device cuda needs an NVIDIA GPU with its driver" in line
    assert f"'onnxruntime-gpu[cuda,cudnn]=={onnxruntime.__version__}'" in line
    assert list(tmp_path.iterdir()) == []


@without_cuda
@pytest.mark.parametrize(
    ("script", "missing"),
    [("echo 'NVIDIA H200, 570.86.15'", False), ("echo 'No devices were found'; exit 6", True)],
)
def test_only_what_is_missing_is_named(script: str, missing: bool, nvidia_smi: Path) -> None:
    nvidia_smi.write_text(f"#!/bin/sh\n{script}\n")
    with pytest.raises(MissingTool, match="ONNX Runtime's CUDAExecutionProvider") as raised:
        devices.require(CUDA)
    assert ("NVIDIA GPU" in str(raised.value)) == missing


def test_the_processors_need_nothing(nvidia_smi: Path) -> None:
    nvidia_smi.unlink()
    devices.require(CPU)
    assert devices.gpu() == {}


@pytest.mark.parametrize("device", [CPU, CUDA])
def test_a_result_says_which_device_it_is_of(device: str, nvidia_smi: Path) -> None:
    nvidia_smi.write_text("#!/bin/sh\necho 'NVIDIA H200, 570.86.15'\n")
    result: dict[str, Any] = make_result("direct", [], {}, threads=2, versions={}, device=device)
    assert (result["device"], result["provider"]) == (device, PROVIDERS[device])
    assert result["software"]["onnxruntime"] == onnxruntime.__version__
    named = device == CUDA
    assert ("gpu" in result["machine"]) == ("driver" in result["machine"]) == named
    assert ("NVIDIA H200, driver 570.86.15" in heading(result)) == named


def test_results_of_a_gpu_have_a_folder_of_their_own() -> None:
    assert folder_of(CPU) == RESULTS
    assert folder_of(CUDA) == RESULTS / "cuda"


@without_cuda
def test_a_network_does_not_fall_back_to_the_processors(tmp_path: Path) -> None:
    repository = write_small_repository(tmp_path / "repository")
    here = open_pipeline(repository, threads=1, device=CPU)
    assert here.network("yolov9").providers == [PROVIDERS[CPU]]
    pipeline = open_pipeline(repository, threads=1, device=CUDA)
    for name in ("yolov9", "people_unet", "hierarchical_head"):
        with pytest.raises(MissingTool, match="no CUDA provider.*onnxruntime-gpu"):
            pipeline.network(name)


@pytest.mark.gpu
@pytest.mark.skipif(not has_cuda, reason="this ONNX Runtime has no CUDA")
def test_on_a_gpu_the_pipeline_answers_as_on_the_processors(tmp_path: Path) -> None:
    repository = write_small_repository(tmp_path / "repository")
    images, _ = write_images(tmp_path / "images", count=1)
    image = (images / "0.png").read_bytes()
    on_gpu, on_cpu = (open_pipeline(repository, threads=1, device=one) for one in (CUDA, CPU))
    assert on_gpu.network("yolov9").providers[0] == PROVIDERS[CUDA]
    ours, theirs = on_gpu.segment(image), on_cpu.segment(image)
    assert len(ours.boxes) == len(theirs.boxes) == 1
    assert abs(ours.boxes - theirs.boxes).max() < 1
    assert abs(ours.masks.astype(int) - theirs.masks).mean() < 1
