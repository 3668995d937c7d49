"""Let a graph that was written for one picture take any number of them.

Exporters write the batch into constants: lengths to reshape to, sizes to resize to. Here the first
of those lengths follows the batch. What else depends on it (a constant that is joined to each
picture, say) shows when three pictures are run together, which the caller has to do.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference

BATCH = "batch"
_SIZES = 3  # which input of a Resize holds the lengths that it makes
_SCALES = 2


def open_batch(model: Any) -> None:
    """Name the batch axis of the input and make the constants follow it, in place.

    The lengths of the outputs are left to be inferred.
    """
    graph = model.graph
    batch = graph.input[0].type.tensor_type.shape.dim[0]
    batch.dim_value = 1
    shapes = _shapes(model)
    constants = _constants(graph)
    for node in graph.node:
        if node.op_type == "Reshape" and node.input[1] in constants:
            lengths = constants[node.input[1]]
            _reshape_each(graph, node, shapes.get(node.output[0], ()), lengths)
        elif node.op_type == "Resize" and len(node.input) > _SIZES and node.input[_SIZES]:
            _resize_by_scales(graph, node, shapes, constants)
    batch.dim_param = BATCH
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")
    del graph.value_info[:]  # still say one picture


def _reshape_each(
    graph: Any, node: Any, shape: tuple[int, ...], lengths: NDArray[np.int64]
) -> None:
    """The first length follows from the others, whether it is the batch, the batch times the heads
    of an attention, or none of it; where those are not known, it stays what it is."""
    if shape and all(shape):
        _set_input(graph, node, 1, np.array([-1, *shape[1:]]))
    elif len(lengths) and lengths[0] == 1:
        _set_input(graph, node, 1, np.array([0, *lengths[1:]]))


def _resize_by_scales(
    graph: Any,
    node: Any,
    shapes: dict[str, tuple[int, ...]],
    constants: dict[str, NDArray[Any]],
) -> None:
    before, sizes = shapes.get(node.input[0], ()), constants.get(node.input[_SIZES])
    if sizes is None or not before or 0 in before:
        return
    _set_input(graph, node, _SCALES, (sizes / np.array(before)).astype(np.float32))
    del node.input[_SIZES]


def _set_input(graph: Any, node: Any, index: int, values: NDArray[Any]) -> None:
    name = f"{node.output[0]}_of_each_picture"
    graph.initializer.append(numpy_helper.from_array(values, name))
    node.input[index] = name


def _constants(graph: Any) -> dict[str, NDArray[Any]]:
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            value = helper.get_attribute_value(node.attribute[0])
            found[node.output[0]] = numpy_helper.to_array(value)
    return found


def _shapes(model: Any) -> dict[str, tuple[int, ...]]:
    """Of what can be inferred, for one picture; 0 for a length that is not known."""
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    return {
        value.name: tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
