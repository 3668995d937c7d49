"""Rewrite an FP32 graph so that maps are convolved before they are enlarged: fewer operations.

Resizing does the same linear thing to every channel, a 1x1 convolution the same to every cell: they
commute, and a map of half the height and width has a quarter of the cells. A UNet convolves maps
beside deeper ones, enlarged to their size, which is the sum of a convolution of each. So is that of
any two maps, which then need not be copied beside each other: ONNX Runtime adds in a convolution.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from conversion.export.graph_nodes import (
    BLOCK,
    Shapes,
    attributes_of,
    like,
    map_shapes,
    read_once,
    replace_with_read_nodes,
    weights_of,
)
from conversion.export.onnx_export import BATCH

# What exporters other than torch's may leave out of a convolution; the kernel's size is then that
# of its weights, which nobody looks at here.
_UNSAID: dict[str, Any] = {"kernel_shape": [0, 0], "strides": [1, 1], "group": 1, "pads": [0] * 4}


def convolve_early(model: Any) -> None:
    """Rewrite a graph in place; without 1x1 convolutions of enlarged or joined maps it stays.

    So does one whose maps are of unknown sizes: ONNX Runtime's CPU provider adds within a
    convolution only what it knows to be of one size, and little is gained where it does not.
    """
    _part_convolutions(model)
    _enlarge_late(model)


def _part_convolutions(model: Any) -> None:
    """Make a convolution of two joined maps the sum of a convolution of each."""
    graph, shapes = model.graph, map_shapes(model)
    weights = weights_of(graph)
    pairs = _pairs(graph, shapes)
    nodes: list[Any] = []
    for node in graph.node:
        if _is_pointwise(node) and node.input[0] in pairs and node.input[1] in weights:
            pair = pairs[node.input[0]]
            of_each = np.split(weights[node.input[1]], [shapes[pair[0]][1]], axis=1)
            nodes += _parts(graph, node, pair, of_each)
        else:
            nodes.append(node)
    replace_with_read_nodes(graph, nodes)


def _enlarge_late(model: Any) -> None:
    """Let a convolution of enlarged maps read the small ones, and enlarge what it makes."""
    graph, shapes = model.graph, map_shapes(model)
    resizes = _enlarging(graph, shapes)
    nodes: list[Any] = []
    for node in graph.node:
        resize = resizes.get(node.input[0]) if _is_pointwise(node) else None
        if resize is None:
            nodes.append(node)
            continue
        (result,) = node.output
        small = f"{result}_small"
        nodes.append(like(node, [resize.input[0], *node.input[1:]], small, node.name))
        nodes.append(like(resize, [small, *resize.input[1:]], result, f"{result}_made"))
        # ONNX Runtime does not infer that resizing keeps the batch, nor then that sizes are equal.
        axes: list[str | int] = [BATCH, *shapes[result][1:]]
        graph.value_info.append(helper.make_tensor_value_info(result, TensorProto.FLOAT, axes))
    replace_with_read_nodes(graph, nodes)


def _enlarging(graph: Any, shapes: Shapes) -> dict[str, Any]:
    """The nodes that enlarge maps for one reader, by what they make."""
    return {
        node.output[0]: node
        for node in read_once(graph, "Resize")
        if len(node.input) == 3  # by a factor: a size would be that of all axes, channels too
        and {node.input[0], node.output[0]} <= shapes.keys()
        and 0 < np.prod(shapes[node.input[0]][1:]) < np.prod(shapes[node.output[0]][1:])
    }


def _pairs(graph: Any, shapes: Shapes) -> dict[str, Sequence[str]]:
    """Maps whose channels are joined for one reader, by their name as one.

    One is enlarged, or both fill ONNX Runtime's blocks of channels; else the parts of a convolution
    take longer than the whole.
    """
    enlarged = _enlarging(graph, shapes).keys()
    known = {name: channels for name, (_, channels, *_) in shapes.items() if channels}
    return {
        node.output[0]: pair
        for node in read_once(graph, "Concat")
        if len(pair := node.input) == 2
        and node.attribute[0].i == 1
        and known.keys() >= set(pair)
        and (enlarged & set(pair) or not any(known[name] % BLOCK for name in pair))
    }


def _is_pointwise(node: Any) -> bool:
    """Whether a node is a 1x1 convolution, of every cell and all channels."""
    if node.op_type != "Conv":
        return False
    said = _UNSAID | attributes_of(node)
    return {*said["kernel_shape"], *said["strides"], said["group"]} == {1} and not any(said["pads"])


def _parts(
    graph: Any, conv: Any, pair: Sequence[str], weights: Sequence[NDArray[np.float32]]
) -> list[Any]:
    """The nodes that convolve each of the pair by its weights, and add what they make."""
    (result,), (_, joint, *bias) = conv.output, conv.input
    nodes = []
    for number, (maps, values) in enumerate(zip(pair, weights, strict=True)):
        ending = f"_part{number}"
        graph.initializer.append(numpy_helper.from_array(values, joint + ending))
        inputs = [maps, joint + ending, *bias]
        nodes.append(like(conv, inputs, result + ending, conv.name + ending))
        bias = []  # added once; resizing keeps a constant, so in either part
    made = [node.output[0] for node in nodes]
    return [*nodes, helper.make_node("Add", made, [result], f"{result}_made")]
