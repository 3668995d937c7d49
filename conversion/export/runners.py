"""Call a network for arrays by name: in torch, and in ONNX Runtime."""

from collections.abc import Callable, Sequence
from pathlib import Path

import onnxruntime
import torch
from torch import nn

from conversion.export.settings import MissingRequirement
from peopleseg.repository.tensors import Model
from peopleseg.runtime.onnx_threads import options_for
from peopleseg.systems.step import Arrays

Runner = Callable[[Arrays], Arrays]
CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"


def torch_runner(module: nn.Module, model: Model) -> Runner:
    """Arguments and results of `module` are the tensors of `model`, in order."""

    @torch.no_grad()
    def run(inputs: Arrays) -> Arrays:
        outputs = module(*(torch.from_numpy(inputs[tensor.name]) for tensor in model.inputs))
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return {
            tensor.name: output.numpy()
            for tensor, output in zip(model.outputs, outputs, strict=True)
        }

    return run


def onnx_runner(path: Path, providers: Sequence[str] = (CPU,)) -> Runner:
    """An ONNX file, on the CPU unless `providers` says otherwise."""
    options = options_for(threads=2)
    session = onnxruntime.InferenceSession(path, options, providers=list(providers))
    names = [output.name for output in session.get_outputs()]

    def run(inputs: Arrays) -> Arrays:
        return dict(zip(names, session.run(names, inputs), strict=True))

    return run


def require_cuda() -> None:
    """Raises MissingRequirement unless ONNX Runtime can compute on a GPU of this machine."""
    if CUDA not in onnxruntime.get_available_providers() or not torch.cuda.is_available():
        raise MissingRequirement(
            "--accelerator cuda compares on a GPU, and ONNX Runtime or torch finds none; export on "
            "a machine that has one, with onnxruntime-gpu in place of onnxruntime, or without "
            "--accelerator: the graph is the same"
        )
