"""Where the networks run: on the CPUs, or on the machine's first NVIDIA GPU."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import onnxruntime

from benchmarks.speed.errors import MissingTool
from peopleseg.runtime.onnx_session import ModelLoadError, open_session
from peopleseg.systems.people.pipeline import PeoplePipeline
from peopleseg.systems.pipeline import OnnxModel, open_on_processors
from serving.onnx_model import Instance, execution_providers

Device = Literal["cpu", "cuda"]
CPU: Device = "cpu"
CUDA: Device = "cuda"
PROVIDERS: dict[str, str] = {
    CPU: "CPUExecutionProvider",
    CUDA: "CUDAExecutionProvider",
}  # of ONNX Runtime
_QUERY = ("nvidia-smi", "--id=0", "--query-gpu=name,driver_version", "--format=csv,noheader")


def require(device: str) -> None:
    """Raises MissingTool unless networks can run there."""
    if device == CPU:
        return
    missing = []
    if not gpu():
        missing.append("an NVIDIA GPU with its driver (nvidia-smi finds none)")
    if PROVIDERS[device] not in onnxruntime.get_available_providers():
        missing.append(
            f"ONNX Runtime's {PROVIDERS[device]} (pip uninstall onnxruntime; pip install "
            f"'onnxruntime-gpu[cuda,cudnn]=={onnxruntime.__version__}')"
        )
    if missing:
        raise MissingTool(f"--device {device} needs {' and '.join(missing)}")


def gpu() -> dict[str, str]:
    """Name and driver of the first GPU; empty where there is none."""
    try:
        done = subprocess.run(_QUERY, capture_output=True, text=True)
    except FileNotFoundError:
        return {}
    if done.returncode != 0:
        return {}
    name, driver = done.stdout.strip().rsplit(", ", 1)
    return {"gpu": name, "driver": driver}


def open_on_gpu(path: Path, preferred: Sequence[tuple[str, dict[str, Any]]] = ()) -> OnnxModel:
    """An artifact in ONNX Runtime on the GPU, as configs/cuda.pbtxt has it served.

    preferred: providers that come before CUDA's. Raises MissingTool where one is missing.
    """
    try:
        providers = [*preferred, *execution_providers(Instance("GPU"))]
        return OnnxModel(open_session(path, onnxruntime.SessionOptions(), providers))
    except ModelLoadError as error:
        raise MissingTool(str(error)) from error


def open_model(path: Path, *, threads: int, device: str) -> OnnxModel:
    """threads: on the CPUs."""
    return open_on_gpu(path) if device == CUDA else open_on_processors(path, threads=threads)


def open_pipeline(repository: Path, *, threads: int, device: str, **more: Any) -> PeoplePipeline:
    """What a repository serves. more: other options of a PeoplePipeline."""
    open_network = open_on_gpu if device == CUDA else None
    return PeoplePipeline(repository, threads=threads, open_network=open_network, **more)


def server_arguments(device: str) -> list[str]:
    """Triton's, so that it takes the configs that put the networks there."""
    return [f"--model-config-name={CUDA}"] if device == CUDA else []
