"""An ONNX file opened, and its tensors against those of a Triton config."""

from functools import cache
from pathlib import Path
from typing import Any

import onnxruntime

from peopleseg.errors import PeoplesegError
from peopleseg.runtime.onnx_threads import ERRORS

# Triton's type by ONNX Runtime's.
TYPES = {
    "tensor(bool)": "TYPE_BOOL",
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(uint16)": "TYPE_UINT16",
    "tensor(uint32)": "TYPE_UINT32",
    "tensor(uint64)": "TYPE_UINT64",
    "tensor(int8)": "TYPE_INT8",
    "tensor(int16)": "TYPE_INT16",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
    "tensor(float16)": "TYPE_FP16",
    "tensor(float)": "TYPE_FP32",
    "tensor(double)": "TYPE_FP64",
}


class ModelLoadError(PeoplesegError, RuntimeError):
    """The config, the file and this machine do not fit together. The message says where."""


def open_session(
    path: Path,
    options: onnxruntime.SessionOptions,
    providers: list[str | tuple[str, dict[str, Any]]],
) -> onnxruntime.InferenceSession:
    """Raises ModelLoadError: no such file, not an ONNX model, or a provider that did not start."""
    if not path.is_file():
        raise ModelLoadError(f"there is no model file {path}")
    first = providers[0] if isinstance(providers[0], str) else providers[0][0]
    if first == "CUDAExecutionProvider":
        onnxruntime.preload_dlls()  # CUDA's libraries, where they come from wheels
    share_memory()
    if first == "CPUExecutionProvider":
        options.log_severity_level = ERRORS
    try:
        session = onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:
        raise ModelLoadError(f"ONNX Runtime cannot load {path}: {error}") from error
    if first not in session.get_providers():
        # ONNX Runtime only warns, and would serve from the CPU.
        raise ModelLoadError(f"{first} did not start for {path}; ONNX Runtime's warning says why")
    return session


@cache
def share_memory() -> None:
    """Let the sessions of this process that ask for it take their memory from one place.

    The two of a graph do not compute at the same time: a detector takes a quarter less so.
    """
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(memory, None)


def check_signature(config: dict[str, Any], session: onnxruntime.InferenceSession) -> None:
    """Compare names, types and shapes of the config with the graph's.

    All inputs must be in the config; outputs may be left out. Raises ModelLoadError that lists
    every difference.
    """
    batched = int(config.get("max_batch_size", 0)) > 0
    inputs = {node.name: node for node in session.get_inputs()}
    outputs = {node.name: node for node in session.get_outputs()}
    configured = {tensor["name"] for tensor in config["input"]}
    differences = [
        f"input {name} of the graph is not in the config"
        for name in inputs
        if name not in configured
    ]
    for role, tensors, nodes in (
        ("input", config["input"], inputs),
        ("output", config["output"], outputs),
    ):
        for tensor in tensors:
            if tensor["name"] in nodes:
                differences += _differences(role, tensor, nodes[tensor["name"]], batched)
            else:
                differences.append(
                    f"{role} {tensor['name']} of the config is not in the graph, "
                    f"which has {', '.join(nodes)}"
                )
    if differences:
        raise ModelLoadError("config and model file differ: " + "; ".join(differences))


def _differences(role: str, tensor: dict[str, Any], node: Any, batched: bool) -> list[str]:
    differences = []
    found = TYPES.get(node.type, node.type)
    if found != tensor["data_type"]:
        differences.append(
            f"{role} {tensor['name']} is {tensor['data_type']} in the config, {found} in the graph"
        )
    dims = [int(length) for length in tensor["dims"]]
    if batched:
        dims.insert(0, -1)
    if not _fits(dims, node.shape):
        differences.append(
            f"{role} {tensor['name']} has shape {dims} in the config"
            f"{' with its batch axis' if batched else ''}, {node.shape} in the graph"
        )
    return differences


def _fits(dims: list[int], shape: list[int | str | None]) -> bool:
    """Whether the axes agree; -1 in the config, a name or nothing in the graph is any length."""
    if len(dims) != len(shape):
        return False
    return all(
        wanted == -1 or not isinstance(length, int) or wanted == length
        for wanted, length in zip(dims, shape, strict=True)
    )
