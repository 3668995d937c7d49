"""Let a graph that was written for one image take any number of them.

Exporters write the batch into constants: lengths to reshape to, sizes to resize to. Here they are
written so that the batch follows from what comes. What else depends on it (a constant that is
joined to each image, say) shows when several images are run together, which the caller has to
do.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper

from conversion.export.onnx_export import BATCH

_SIZES, _SCALES = 3, 2  # which input of a Resize holds the lengths that it makes, and the factors

Shapes = Mapping[str, tuple[int, ...]]  # of every tensor that a node makes


def open_batch(model: Any, shapes: Shapes) -> None:
    """Name the batch axis of the input and let the nodes follow it, in place.

    shapes: of one image. The lengths of the outputs are left to be inferred.
    """
    graph = model.graph
    known = {**shapes, graph.input[0].name: _lengths(graph.input[0])}
    for node in graph.node:
        if node.op_type not in ("Reshape", "Resize"):
            continue
        before, after = known.get(node.input[0], (0,)), known[node.output[0]]
        if node.op_type == "Reshape" and all(after):
            # The first length is the batch, or the batch times the heads of an attention.
            _set_input(graph, node, 1, np.array([-1, *after[1:]], dtype=np.int64))
        elif len(node.input) > _SIZES and all(before):
            scales = np.array(after, dtype=np.float32) / np.array(before, dtype=np.float32)
            _set_input(graph, node, _SCALES, scales)
            del node.input[_SIZES]
    graph.input[0].type.tensor_type.shape.dim[0].dim_param = BATCH
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")
    del graph.value_info[:]  # still say one image


def _set_input(graph: Any, node: Any, index: int, values: NDArray[Any]) -> None:
    name = f"{node.output[0]}_of_each_image"
    graph.initializer.append(numpy_helper.from_array(values, name))
    node.input[index] = name


def _lengths(value: Any) -> tuple[int, ...]:
    return 1, *(axis.dim_value for axis in value.type.tensor_type.shape.dim[1:])
