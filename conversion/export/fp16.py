"""Turn an FP32 graph into one that computes in FP16, for GPUs.

Written for the graphs of this package; the converters at hand put their casts behind the nodes that
read them, which the checker of ONNX refuses.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from conversion.export.onnx_export import check_fits_fp16, decoding_nodes, save

_HALF = "_fp16"
_MADE_FP32 = ("Constant", "ConstantOfShape", "Range")  # by their attributes; cast where it is read
_SCALES = {"Resize": 1}  # inputs that are converted, of operators that want the others in FP32


def to_fp16(source: Path, target: Path) -> None:
    """Inputs and outputs keep their types; weights and everything between become FP16.

    ONNX Runtime's CPU has few operators in FP16 and widens for the others. Raises ExportError
    for weights beyond FP16's range.
    """
    model = onnx.shape_inference.infer_shapes(onnx.load(source), strict_mode=True)
    _Conversion(model.graph).run()
    del model.graph.value_info[:]  # still says FP32
    save(model, target)


class _Conversion:
    """Every FP32 value of a graph, and in which type it is at hand."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.weights = {tensor.name: tensor for tensor in graph.initializer}
        self.floats = {
            value.name
            for value in (*graph.input, *graph.value_info, *graph.output)
            if value.type.tensor_type.elem_type == TensorProto.FLOAT
        } | {name for name, t in self.weights.items() if t.data_type == TensorProto.FLOAT}
        self.halves: dict[str, str] = {}  # FP32 values to their FP16 form
        self.only_half: set[str] = set()  # those that exist in FP16 alone
        self.kept = decoding_nodes(graph)

    def run(self) -> None:
        nodes = [made for node in self.graph.node for made in self._converted(node)]
        for output in self.graph.output:
            if output.name in self.only_half:
                nodes.append(_cast(self.halves[output.name], output.name, TensorProto.FLOAT))
        read = {name for node in nodes for name in node.input}
        weights = [tensor for name, tensor in self.weights.items() if name in read]
        del self.graph.node[:], self.graph.initializer[:]
        self.graph.node.extend(nodes)
        self.graph.initializer.extend(weights)

    def _converted(self, node: Any) -> Iterator[Any]:
        """The node in its type, behind the casts that it needs."""
        in_fp32 = node.op_type in _MADE_FP32 or node.name in self.kept
        converted = 0 if in_fp32 else _SCALES.get(node.op_type, len(node.input))
        for index, name in enumerate(node.input):
            if name not in self.floats:
                continue
            if index < converted:
                yield from self._halved(name)
                node.input[index] = self.halves[name]
            elif name in self.only_half:
                self.only_half.remove(name)
                yield _cast(self.halves[name], name, TensorProto.FLOAT)
        if not in_fp32:
            self._make_half(node)
        yield node

    def _halved(self, name: str) -> Iterator[Any]:
        """Have the FP16 form of an FP32 value; a cast unless it is there or a weight."""
        if name in self.halves:
            return
        self.halves[name] = name + _HALF
        if name not in self.weights:
            yield _cast(name, name + _HALF, TensorProto.FLOAT16)
            return
        values = numpy_helper.to_array(self.weights[name])
        check_fits_fp16(name, values)
        halved = numpy_helper.from_array(values.astype(np.float16), name + _HALF)
        self.weights[name + _HALF] = halved

    def _make_half(self, node: Any) -> None:
        """Let a node write FP16 where it wrote FP32."""
        for index, name in enumerate(node.output):
            if name in self.floats:
                node.output[index] = self.halves[name] = name + _HALF
                self.only_half.add(name)
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.FLOAT16


def _cast(source: str, target: str, dtype: int) -> Any:
    return helper.make_node("Cast", [source], [target], name=f"{target}_cast", to=dtype)
