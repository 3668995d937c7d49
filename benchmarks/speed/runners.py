"""Every way to run a network: what opens it, by device and by name.

Each takes arrays in the machine's memory and gives such, as a step of the server does: what a GPU
needs to get and give them is part of a call.
"""

import copy
import os
import shutil
import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import onnxruntime
import torch
from torch import Tensor, nn

from benchmarks.speed.devices import CPU, CUDA, open_model, open_on_gpu
from benchmarks.speed.errors import MissingTool
from benchmarks.speed.networks import Network
from conversion.export import engine
from conversion.export.runners import Runner, torch_runner
from conversion.export.settings import MissingRequirement
from peopleseg.repository.cache import cache_folder
from peopleseg.systems.configs import profiles
from peopleseg.systems.pipeline import OnnxModel

TENSORRT = "TensorrtExecutionProvider"
_WARM_UPS = 3  # calls before a CUDA graph is captured, as PyTorch's documentation does

Open = Callable[[Network, int], Runner]  # the number: threads on the CPUs


class OnGpu(nn.Module):
    """A function of tensors on the GPU, for tensors in the machine's memory."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self._function = function

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        outputs = self._function(*(tensor.cuda() for tensor in inputs))
        return tuple(tensor.cpu() for tensor in _as_tuple(outputs))


class Captured:
    """A function of tensors on the GPU as a CUDA graph: one for each shape of its inputs."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._graphs: dict[Any, tuple[Any, list[Tensor], Any]] = {}

    def __call__(self, *inputs: Tensor) -> Any:
        shapes = tuple(tensor.shape for tensor in inputs)
        if shapes not in self._graphs:
            self._graphs[shapes] = self._capture(inputs)
        graph, held, outputs = self._graphs[shapes]
        for own, tensor in zip(held, inputs, strict=True):
            own.copy_(tensor)
        graph.replay()
        return outputs

    def _capture(self, inputs: tuple[Tensor, ...]) -> tuple[Any, list[Tensor], Any]:
        held = [tensor.clone() for tensor in inputs]
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(_WARM_UPS):
                self._function(*held)
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = self._function(*held)
        return graph, held, outputs


def open_runner(network: Network, runtime: str, *, device: str, threads: int) -> Runner:
    """threads: on the CPUs. Raises MissingTool where the runtime is not on this machine."""
    try:
        return OPENERS[device][runtime](network, threads)
    except MissingRequirement as error:
        raise MissingTool(str(error)) from error


def in_onnxruntime(network: Network, threads: int, *, device: str, precision: str) -> Runner:
    graph = network.graph(accelerator=device, precision=precision)
    return _by_name(open_model(graph, threads=threads, device=device))


def in_tensorrt_provider(network: Network, threads: int) -> Runner:
    """ONNX Runtime's TensorRT provider, in FP16 as configs/tensorrt.pbtxt has it served."""
    if TENSORRT not in onnxruntime.get_available_providers():
        raise MissingTool(f"the installed ONNX Runtime has no {TENSORRT}: install onnxruntime-gpu")
    engine.require()  # loads TensorRT's libraries, too
    onnxruntime.preload_dlls()  # and CUDA's
    chosen = profiles(network.exportable.model, network.exportable.input_shapes)
    options: dict[str, Any] = {"trt_fp16_enable": True} | {
        f"trt_profile_{which}_shapes": ",".join(
            f"{name}:{'x'.join(map(str, getattr(profile, field)))}"
            for name, profile in chosen.items()
        )
        for which, field in (("min", "smallest"), ("opt", "usual"), ("max", "largest"))
    }
    graph = network.graph(accelerator="tensorrt")
    return _by_name(open_on_gpu(graph, preferred=[(TENSORRT, options)]))


def in_tensorrt(network: Network, threads: int, *, precision: str) -> Runner:
    """An engine as `peopleseg export --accelerator tensorrt` builds it."""
    engine.require()
    graph = network.graph(accelerator="tensorrt", precision=precision)
    plan = graph.with_suffix(".plan")
    engine.build(
        graph,
        plan,
        profiles(network.exportable.model, network.exportable.input_shapes),
        precision=precision,
        timing_cache=cache_folder() / "tensorrt_timing.cache",
    )
    return engine.engine_runner(plan)


def in_torch(
    network: Network,
    threads: int,
    *,
    device: str,
    precision: str,
    through: Callable[[nn.Module], Any] = lambda module: module,
) -> Runner:
    """through: makes of the module what is called."""
    torch.set_num_threads(threads)
    module = network.exportable.module
    if precision == "fp16":
        module = halved(module)
    if device == CPU:
        return torch_runner(through(module), network.exportable.model)
    if not torch.cuda.is_available():
        raise MissingTool(f"torch {torch.__version__} finds no GPU: install its build for CUDA")
    function = through(copy.deepcopy(module).cuda())
    return torch_runner(OnGpu(function), network.exportable.model)


def in_torch_compile(network: Network, threads: int, *, device: str, precision: str) -> Runner:
    """Compiled for what it is asked before it is opened: that takes a minute or more."""
    _require_compiler(device)
    compiled = partial(torch.compile, fullgraph=True)  # an error, where it would do without
    run = in_torch(network, threads, device=device, precision=precision, through=compiled)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of its own parts
        try:
            for case in network.cases.values():
                run(case.inputs)
        except RuntimeError as error:
            reason = " ".join(str(error).split("\n")[:2])
            raise MissingTool(f"torch.compile fails with {network.name}: {reason}") from error
    return run


def halved(module: nn.Module) -> nn.Module:
    """A copy whose network computes in FP16; what goes in and comes out keeps its type."""
    module = copy.deepcopy(module)
    network: Any = module.network
    network.half()
    network.register_forward_pre_hook(
        lambda _, inputs: tuple(None if tensor is None else tensor.half() for tensor in inputs)
    )
    network.register_forward_hook(lambda _, inputs, output: _widened(output))
    return module


def _widened(output: Any) -> Any:
    """A tensor, or a NamedTuple of tensors and None, as FP32."""
    if output is None:
        return None
    if isinstance(output, Tensor):
        return output.float()
    return type(output)(*map(_widened, output))


def _require_compiler(device: str) -> None:
    """Raises MissingTool unless torch.compile finds what it makes programs with."""
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise MissingTool(
            f"torch.compile needs a C++ compiler, and there is no {compiler}: apt install g++"
        )
    if device == CUDA and find_spec("triton") is None:
        raise MissingTool("torch.compile needs the package triton for a GPU: pip install triton")


def _by_name(model: OnnxModel) -> Runner:
    return lambda inputs: model(**inputs)


def _as_tuple(outputs: Any) -> tuple[Tensor, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)


def _in_precisions(name: str, way: Callable[..., Runner], **options: Any) -> dict[str, Open]:
    return {
        name: partial(way, precision="fp32", **options),
        f"{name}_fp16": partial(way, precision="fp16", **options),
    }


# By device; the first is what the others are compared with.
OPENERS: dict[str, dict[str, Open]] = {
    CPU: {
        "onnxruntime": partial(in_onnxruntime, device=CPU, precision="fp32"),
        "torch": partial(in_torch, device=CPU, precision="fp32"),
        "torch_compile": partial(in_torch_compile, device=CPU, precision="fp32"),
    },
    CUDA: {
        **_in_precisions("onnxruntime", in_onnxruntime, device=CUDA),
        "onnxruntime_tensorrt_fp16": in_tensorrt_provider,
        **_in_precisions("tensorrt", in_tensorrt),
        **_in_precisions("torch", in_torch, device=CUDA),
        **_in_precisions("torch_compile", in_torch_compile, device=CUDA),
        **_in_precisions("torch_cuda_graph", in_torch, device=CUDA, through=Captured),
    },
}
