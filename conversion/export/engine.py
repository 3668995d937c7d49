"""Build a TensorRT engine of an ONNX file, and run it, on the GPU that is to serve it."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from conversion.export.runners import Runner
from conversion.export.settings import ExportError, MissingRequirement
from peopleseg.labels.files import write_atomically
from peopleseg.systems.configs import Profile
from peopleseg.systems.step import Arrays

WORKSPACE_BYTES = 4 << 30
_WHERE = (
    "run the export inside nvcr.io/nvidia/tritonserver:24.10-py3 on a machine with the GPU that is "
    "to serve, after `pip install tensorrt torch`"
)


def require() -> None:
    """Raises MissingRequirement unless an engine can be built and run here."""
    try:
        import_module("tensorrt")
    except ImportError as error:
        raise MissingRequirement(
            f"a TensorRT engine needs the Python package tensorrt, which is missing; {_WHERE}"
        ) from error
    import torch

    if not torch.cuda.is_available():
        raise MissingRequirement(
            f"a TensorRT engine is built on the GPU that runs it, and torch finds none; {_WHERE}"
        )


def build(
    source: Path,
    target: Path,
    profiles: Mapping[str, Profile],
    *,
    precision: str,
    timing_cache: Path,
) -> dict[str, str]:
    """Write the engine of an ONNX file, and return what it runs on, for the manifest.

    precision: fp32, fp16 or int8 (of a quantised graph). timing_cache: measurements of earlier
    builds on this GPU, read and added to. Raises ExportError with what TensorRT says.
    """
    trt: Any = import_module("tensorrt")
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(source.read_bytes()):
        errors = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise ExportError(f"TensorRT cannot read {source.name}: {errors}; nothing was written")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    config.clear_flag(trt.BuilderFlag.TF32)  # 10 bits of mantissa: FP16 by another name
    for flag in {"fp32": (), "fp16": ("FP16",), "int8": ("INT8", "FP16")}[precision]:
        config.set_flag(getattr(trt.BuilderFlag, flag))
    profile = builder.create_optimization_profile()
    for name, (smallest, usual, largest) in profiles.items():
        profile.set_shape(name, smallest, usual, largest)
    config.add_optimization_profile(profile)
    known = timing_cache.read_bytes() if timing_cache.exists() else b""
    config.set_timing_cache(config.create_timing_cache(known), False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ExportError(
            f"TensorRT built no engine of {source.name}; its messages above say why; nothing was "
            "written"
        )
    target.write_bytes(plan)
    write_atomically(timing_cache, bytes(config.get_timing_cache().serialize()))
    return hardware()


def hardware() -> dict[str, str]:
    """GPU, compute capability and TensorRT version: an engine runs on no other."""
    import torch

    major, minor = torch.cuda.get_device_capability()
    return {
        "gpu": torch.cuda.get_device_name(),
        "compute_capability": f"{major}.{minor}",
        "tensorrt": import_module("tensorrt").__version__,
    }


def engine_runner(path: Path) -> Runner:
    """Call an engine for arrays by name, on this machine's first GPU."""
    import torch

    trt: Any = import_module("tensorrt")

    engine = trt.Runtime(trt.Logger(trt.Logger.WARNING)).deserialize_cuda_engine(path.read_bytes())
    context = engine.create_execution_context()
    names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
    inputs = [n for n in names if engine.get_tensor_mode(n) == trt.TensorIOMode.INPUT]
    outputs = [n for n in names if n not in inputs]

    def run(arrays: Arrays) -> Arrays:
        tensors: dict[str, Any] = {}
        for name in inputs:
            tensors[name] = torch.from_numpy(np.ascontiguousarray(arrays[name])).cuda()
            context.set_input_shape(name, tuple(tensors[name].shape))
        for name in outputs:
            dtype = _torch_dtype(trt.nptype(engine.get_tensor_dtype(name)))
            shape = tuple(context.get_tensor_shape(name))
            tensors[name] = torch.empty(shape, dtype=dtype, device="cuda")
        for name, tensor in tensors.items():
            context.set_tensor_address(name, tensor.data_ptr())
        stream = torch.cuda.current_stream()
        context.execute_async_v3(stream.cuda_stream)
        stream.synchronize()
        return {name: tensors[name].cpu().numpy() for name in outputs}

    return run


def _torch_dtype(dtype: Any) -> Any:
    import torch

    return torch.from_numpy(np.empty(0, dtype)).dtype
