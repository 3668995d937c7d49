"""Write a network as ONNX that ONNX Runtime 1.19 reads; its weights may be stored as FP16."""

import re
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from conversion.export.settings import ExportError
from peopleseg.repository.limits import MAX_IR_VERSION, OPSET
from peopleseg.repository.tensors import Model, Tensor

BATCH = "batch"  # the name of every tensor's first axis
AXES = {  # by the number of axes
    3: ("channels", "height", "width"),
    2: ("values", "anchors"),
    1: ("values",),
}
# The decoding of a detector's boxes, by the names that torch's exporter gives its nodes; the
# convolutions of that layer lie one level deeper.
_DECODING = r"/network/layers\.{last}/[^/]+"
_TORCH_DTYPES = {
    "UINT8": torch.uint8,
    "INT64": torch.int64,
    "FP16": torch.float16,
    "FP32": torch.float32,
}
_ONNX_DTYPES = {
    "UINT8": TensorProto.UINT8,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
}
_SMALLEST_HALVED = 1024  # weights; smaller tensors (biases, constants) stay FP32


def export_onnx(
    module: nn.Module,
    model: Model,
    path: Path,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> None:
    """Export `module`, whose arguments and results are the tensors of `model`; any batch size.

    input_shapes: true lengths without the batch axis, where the model leaves them open. The graph
    names the axes that `model` leaves open, as Triton compares them with its config, and computes
    with the true lengths. Raises ExportError for another type or name than the model's.
    """
    shapes = {tensor.name: tensor.shape for tensor in model.inputs} | dict(input_shapes or {})
    examples = tuple(
        torch.zeros((2, *map(abs, shapes[tensor.name])), dtype=_TORCH_DTYPES[tensor.dtype])
        for tensor in model.inputs
    )
    names = ([tensor.name for tensor in tensors] for tensors in (model.inputs, model.outputs))
    exported = traced(module, examples, *names)
    _declare_unread_inputs(exported.graph, model)
    check_contract(exported.graph, model)
    name_open_axes(exported, model)
    save(exported, path)


def traced(
    module: nn.Module, examples: tuple[torch.Tensor, ...], inputs: list[str], outputs: list[str]
) -> Any:
    """The graph of a module for any batch, by examples of its arguments; the names of both ends."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        path = Path(folder) / "traced.onnx"
        # torch's newer exporter starts at opset 18; ours has to be readable by ONNX Runtime 1.19.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            examples,
            str(path),
            input_names=inputs,
            output_names=outputs,
            dynamic_axes={name: {0: BATCH} for name in (*inputs, *outputs)},
            opset_version=OPSET,
            dynamo=False,
        )
        model = onnx.load(path)
    model.ir_version = min(model.ir_version, MAX_IR_VERSION)
    return model


def check_contract(graph: Any, model: Model) -> None:
    """Raises ExportError unless the graph's tensors have the names and types of `model`."""
    tensors, values = (*model.inputs, *model.outputs), (*graph.input, *graph.output)
    wanted = [(tensor.name, _ONNX_DTYPES[tensor.dtype]) for tensor in tensors]
    found = [(value.name, value.type.tensor_type.elem_type) for value in values]
    if found != wanted:
        named = [f"{name} {TensorProto.DataType.Name(dtype)}" for name, dtype in found]
        raise ExportError(
            f"{model.name}: the graph has {', '.join(named)}; the tensor contract says "
            f"{', '.join(f'{tensor.name} {tensor.dtype}' for tensor in tensors)}; nothing was "
            "written"
        )


def name_open_axes(exported: Any, model: Model) -> None:
    """Give the axes that `model` leaves open a name instead of a length, in place.

    Triton's onnxruntime backend loads no graph that names a length where its config has -1, as far
    as ONNX Runtime can tell: for an output, that is what it infers and not what the graph declares.

    Inside, a Reshape gives each input that is read its true lengths back. So another length is
    refused, and optimisers (TensorRT needs a known number of channels) still know them.
    """
    graph = exported.graph
    for tensor, value in zip(model.inputs, graph.input, strict=True):
        if -1 in tensor.shape:
            _restore_lengths(graph, value)
            _name_axes(tensor, value)
    for tensor, value in zip(model.outputs, graph.output, strict=True):
        if -1 in tensor.shape:
            _hide_lengths(graph, value)
        _name_axes(tensor, value)


def halve_weights(source: Path, target: Path) -> None:
    """Store the large weights as FP16, each widened to FP32 by a Cast when the graph is loaded.

    The computation stays FP32; the file is half as large. Raises ExportError for weights beyond
    FP16's range.
    """
    model = onnx.load(source)
    graph = model.graph
    casts = []
    for index, weights in enumerate(graph.initializer):
        values = numpy_helper.to_array(weights)
        if values.dtype != np.float32 or values.size < _SMALLEST_HALVED:
            continue
        check_fits_fp16(weights.name, values)
        name, stored = weights.name, f"{weights.name}_fp16"
        halved = numpy_helper.from_array(values.astype(np.float16), stored)
        graph.initializer[index].CopyFrom(halved)
        casts.append(helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    save(model, target)


def decoding_nodes(graph: Any) -> set[str]:
    """Names of the nodes that make boxes of a detector's maps: positions up to 640 pixels.

    They need more than the 11 bits of FP16 or the 8 of INT8.
    """
    if not any(output.name == "predictions" for output in graph.output):
        return set()
    layers = re.findall(r"/network/layers\.(\d+)/", " ".join(node.name for node in graph.node))
    names = re.compile(_DECODING.format(last=max(map(int, layers))))
    return {
        node.name
        for node in graph.node
        if names.fullmatch(node.name) or "predictions" in node.output
    }


def check_fits_fp16(name: str, values: Any) -> None:
    """Raises ExportError for weights beyond FP16's range."""
    largest = np.abs(values).max(initial=0)
    if largest > np.finfo(np.float16).max:
        raise ExportError(
            f"weights {name} reach {largest:g}, beyond FP16; export with --precision fp32 "
            "--weights fp32; nothing was written"
        )


def save(model: Any, path: Path) -> None:
    """Check a graph and write it. Raises onnx's own errors for one that is not valid."""
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _declare_unread_inputs(graph: Any, model: Model) -> None:
    """Put back the inputs that torch leaves out because nothing is computed with them."""
    found = {value.name: value for value in graph.input}
    values = [
        found.get(tensor.name)
        or helper.make_tensor_value_info(
            tensor.name, _ONNX_DTYPES[tensor.dtype], [BATCH, *tensor.shape]
        )
        for tensor in model.inputs
    ]
    del graph.input[:]
    graph.input.extend(values)


def _restore_lengths(graph: Any, value: Any) -> None:
    readers = [node for node in graph.node if value.name in node.input]
    if not readers:
        return
    lengths = [axis.dim_value for axis in value.type.tensor_type.shape.dim]
    shape, known = f"{value.name}_shape", f"{value.name}_known"
    # 0 takes the batch as it is.
    graph.initializer.append(numpy_helper.from_array(np.array([0, *lengths[1:]]), shape))
    for node in readers:
        node.input[:] = [known if name == value.name else name for name in node.input]
    graph.node.insert(0, helper.make_node("Reshape", [value.name, shape], [known]))


def _hide_lengths(graph: Any, value: Any) -> None:
    """Let an output pass a Reshape to its own lengths, whose sum with 0 nobody can foresee."""
    name, known = value.name, f"{value.name}_known"
    for node in graph.node:
        node.input[:] = [known if read == name else read for read in node.input]
        node.output[:] = [known if made == name else made for made in node.output]
    lengths = [axis.dim_value for axis in value.type.tensor_type.shape.dim]
    constants = {
        "nothing": np.array([0]),
        "one": np.array([1]),
        "lengths": np.array([0, *lengths[1:]]),
    }
    graph.initializer.extend(
        numpy_helper.from_array(values, f"{name}_{key}") for key, values in constants.items()
    )
    for operator, inputs, output in (
        ("Shape", [known], f"{name}_shape"),
        ("Slice", [f"{name}_shape", f"{name}_nothing", f"{name}_one"], f"{name}_batch"),
        ("Mul", [f"{name}_batch", f"{name}_nothing"], f"{name}_zero"),
        ("Add", [f"{name}_lengths", f"{name}_zero"], f"{name}_hidden"),
        ("Reshape", [known, f"{name}_hidden"], name),
    ):
        graph.node.append(helper.make_node(operator, inputs, [output], name=f"{output}_made"))


def _name_axes(tensor: Tensor, value: Any) -> None:
    axes = value.type.tensor_type.shape.dim[1:]
    for length, name, axis in zip(tensor.shape, AXES[len(axes)], axes, strict=True):
        if length == -1:
            axis.dim_param = f"{tensor.name}_{name}"
        else:
            axis.dim_value = length
