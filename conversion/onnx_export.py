"""Write a network as ONNX that ONNX Runtime 1.19 reads, with its weights stored as FP16."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from peopleseg.contract import Model

OPSET = 17
MAX_IR_VERSION = 10  # of ONNX Runtime 1.19, the one in the pinned server image
_TORCH_DTYPES = {"UINT8": torch.uint8, "FP16": torch.float16, "FP32": torch.float32}
_SMALLEST_HALVED = 1024  # weights; smaller tensors (biases, constants) stay FP32


def export_onnx(module: nn.Module, model: Model, path: Path) -> None:
    """Export `module`, whose arguments and results are the tensors of `model`; any batch size."""
    examples = tuple(
        torch.zeros((2, *tensor.shape), dtype=_TORCH_DTYPES[tensor.dtype])
        for tensor in model.inputs
    )
    tensors = (*model.inputs, *model.outputs)
    with warnings.catch_warnings():
        # torch's newer exporter starts at opset 18; ours has to be readable by ONNX Runtime 1.19.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            examples,
            str(path),
            input_names=[tensor.name for tensor in model.inputs],
            output_names=[tensor.name for tensor in model.outputs],
            dynamic_axes={tensor.name: {0: "batch"} for tensor in tensors},
            opset_version=OPSET,
            dynamo=False,
        )
    exported = onnx.load(path)
    exported.ir_version = min(exported.ir_version, MAX_IR_VERSION)
    onnx.checker.check_model(exported)
    onnx.save(exported, path)


def halve_weights(source: Path, target: Path) -> None:
    """Store the large weights as FP16, each widened to FP32 by a Cast when the graph is loaded.

    The computation stays FP32; the file is half as large.
    """
    model = onnx.load(source)
    graph = model.graph
    casts = []
    for index, weights in enumerate(graph.initializer):
        values = numpy_helper.to_array(weights)
        if values.dtype != np.float32 or values.size < _SMALLEST_HALVED:
            continue
        if np.abs(values).max() > np.finfo(np.float16).max:
            raise ValueError(f"weights {weights.name} do not fit FP16: {np.abs(values).max()}")
        name, stored = weights.name, f"{weights.name}_fp16"
        halved = numpy_helper.from_array(values.astype(np.float16), stored)
        graph.initializer[index].CopyFrom(halved)
        casts.append(helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, target)
