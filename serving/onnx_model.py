"""An ONNX model run as its Triton config says: threads, provider, names, types and shapes.

Reads the fields that Triton's native onnxruntime backend reads, so that one config.pbtxt serves
both: https://github.com/triton-inference-server/onnxruntime_backend#model-config-options
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import onnxruntime

from peopleseg.runtime.onnx_session import ModelLoadError, check_signature, open_session
from peopleseg.runtime.onnx_threads import let_threads_sleep
from peopleseg.runtime.shared_processors import SharedProcessors
from serving.request_batching import Arrays, run_requests
from serving.threaded_session import ThreadedSession

DEFAULT_FILE_NAME = "model.onnx"

_EXECUTION_MODES = {
    0: onnxruntime.ExecutionMode.ORT_SEQUENTIAL,
    1: onnxruntime.ExecutionMode.ORT_PARALLEL,
}
# The native backend's numbers: unset (0) is everything, and 2 is nothing.
_GRAPH_LEVELS = {
    0: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    -1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}


@dataclass(frozen=True)
class Instance:
    """What Triton tells an instance of a model about itself."""

    kind: str = "CPU"  # CPU, GPU or MODEL
    device_id: int = 0


class OnnxModel:
    """One instance of a model: an ONNX Runtime session that answers lists of requests."""

    def __init__(self, config: dict[str, Any], version_folder: Path, instance: Instance) -> None:
        """config: Triton's model config as JSON. Raises ModelLoadError."""
        self.name: str = config["name"]
        self.max_batch_size = int(config.get("max_batch_size", 0))
        self.input_names = [tensor["name"] for tensor in config["input"]]
        self.output_names = [tensor["name"] for tensor in config["output"]]
        path = version_folder / (config.get("default_model_filename") or DEFAULT_FILE_NAME)
        self.sessions = open_sessions(config, path, instance)
        check_signature(config, self.sessions.whole)

    def run(
        self, requests: Sequence[Arrays], wanted: Sequence[Sequence[str]]
    ) -> list[Arrays | Exception]:
        """One result a request: the outputs it wants (names, a request), or what went wrong."""
        asked = set().union(*wanted)
        names = [name for name in self.output_names if name in asked]
        results = run_requests(requests, partial(self.sessions.run, names), self.max_batch_size)
        return [
            result if isinstance(result, Exception) else {name: result[name] for name in own}
            for result, own in zip(results, wanted, strict=True)
        ]


def open_sessions(config: dict[str, Any], path: Path, instance: Instance) -> ThreadedSession:
    """On CPUs with the threads that the config says, on a GPU with one. ModelLoadError."""
    providers = execution_providers(instance)
    on_processors = providers == ["CPUExecutionProvider"]

    def open_with(threads: int) -> onnxruntime.InferenceSession:
        return open_session(path, session_options(config, threads), providers)

    return ThreadedSession(
        open_with,
        thread_count(config) if on_processors else 1,
        batches=on_processors and int(config.get("max_batch_size", 0)) > 0,
        processors=SharedProcessors.of_this_server(),
    )


def thread_count(config: dict[str, Any]) -> int:
    """Of one operator; 0, or none in the config, is one for each CPU that is ours."""
    threads = _read_count(config.get("parameters", {}), "intra_op_thread_count")
    return threads or len(os.sched_getaffinity(0))


def session_options(config: dict[str, Any], threads: int) -> onnxruntime.SessionOptions:
    """Threads of an operator; of the config execution mode, memory pattern and graph level.

    Raises ModelLoadError for a value that is not one of the allowed numbers.
    """
    parameters = config.get("parameters", {})
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = _read_count(parameters, "inter_op_thread_count")
    let_threads_sleep(options)
    mode = _read_count(parameters, "execution_mode")
    if mode not in _EXECUTION_MODES:
        raise ModelLoadError(f"parameter execution_mode must be 0 or 1, got {mode}")
    options.execution_mode = _EXECUTION_MODES[mode]
    pattern = _read_count(parameters, "enable_mem_pattern", default="1")
    if pattern not in (0, 1):
        raise ModelLoadError(f"parameter enable_mem_pattern must be 0 or 1, got {pattern}")
    options.enable_mem_pattern = bool(pattern)
    options.add_session_config_entry("session.use_env_allocators", "1")
    graph = config.get("optimization", {}).get("graph") or {}
    level = int(graph.get("level", 0))
    if level not in _GRAPH_LEVELS:
        raise ModelLoadError(f"optimization graph level must be -1, 1 or 2, got {level}")
    options.graph_optimization_level = _GRAPH_LEVELS[level]
    return options


def execution_providers(
    instance: Instance, available: Sequence[str] | None = None
) -> list[str | tuple[str, dict[str, Any]]]:
    """The providers for an instance, first choice first.

    Raises ModelLoadError if it is to run on a GPU and ONNX Runtime cannot.
    """
    if instance.kind.removeprefix("KIND_") != "GPU":
        return ["CPUExecutionProvider"]
    if available is None:
        available = onnxruntime.get_available_providers()
    if "CUDAExecutionProvider" not in available:
        raise ModelLoadError(
            "the instance group says KIND_GPU, but the installed ONNX Runtime has no CUDA "
            f"provider (only {', '.join(available)}): install onnxruntime-gpu, or use a config "
            "with KIND_CPU"
        )
    return [("CUDAExecutionProvider", {"device_id": instance.device_id}), "CPUExecutionProvider"]


def _read_count(parameters: dict[str, Any], name: str, default: str = "0") -> int:
    """A parameter's whole number, `default` if it is not set."""
    text = parameters.get(name, {}).get("string_value", default)
    try:
        count = int(text)
    except ValueError:
        count = -1
    if count < 0:
        raise ModelLoadError(f"parameter {name} must be a whole number from 0 on, got {text!r}")
    return count
