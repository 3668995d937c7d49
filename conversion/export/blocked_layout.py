"""Rewrite an FP32 graph so that ONNX Runtime's CPU provider keeps it in its blocked layout.

There, convolutions and what follows them work on blocks of 16 channels (NCHWc). ONNX Runtime leaves
that layout for one of its own fusions, and enters it where it does not pay. The responses stay: no
operator computes anything else.
"""

from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from conversion.export.graph_nodes import map_shapes, replace_nodes

_CHANNEL_AXIS = "channel_axis"


def keep_blocked(model: Any) -> None:
    """Rewrite a graph in place; one without SiLU and single-channel resizing stays as it is."""
    _part_silus(model.graph)
    _resize_single_channels_plainly(model)


def leave_blocked(model: Any) -> None:
    """Undo `keep_blocked` in place: its nodes only hand on what they read."""
    graph = model.graph
    read_instead: dict[str, str] = {}
    nodes = []
    for node in graph.node:
        node.input[:] = [read_instead.get(name, name) for name in node.input]
        if _CHANNEL_AXIS in node.input or (node.op_type == "Sum" and len(node.input) == 1):
            read_instead[node.output[0]] = node.input[0]
        else:
            nodes.append(node)
    replace_nodes(graph, nodes)
    for tensor in [one for one in graph.initializer if one.name == _CHANNEL_AXIS]:
        graph.initializer.remove(tensor)


def _part_silus(graph: Any) -> None:
    """Let the product of x and sigmoid(x) read x through a Sum of one.

    ONNX Runtime does not recognise it then, and so does not make a QuickGelu of it, which exists in
    the plain layout alone: around each, all channels would be reordered twice.
    """
    sigmoids = {node.output[0]: node for node in graph.node if node.op_type == "Sigmoid"}
    nodes = []
    for node in graph.node:
        if node.op_type == "Mul":
            for place, name in enumerate(node.input):
                sigmoid, other = sigmoids.get(name), node.input[1 - place]
                if sigmoid is not None and sigmoid.input[0] == other:
                    same = f"{node.output[0]}_of"
                    nodes.append(helper.make_node("Sum", [other], [same], name=f"{same}_made"))
                    node.input[1 - place] = same
                    break
        nodes.append(node)
    replace_nodes(graph, nodes)


def _resize_single_channels_plainly(model: Any) -> None:
    """Let a Resize of one channel read it without and again with its axis.

    Which costs nothing, and leaves the layout in which one channel is resized as sixteen.
    """
    graph = model.graph
    single = {name for name, (_, channels, *_) in map_shapes(model).items() if channels == 1}
    nodes = []
    for node in graph.node:
        if node.op_type == "Resize" and node.input[0] in single:
            maps, plain, again = node.input[0], f"{node.output[0]}_map", f"{node.output[0]}_of"
            for operator, read, made in (("Squeeze", maps, plain), ("Unsqueeze", plain, again)):
                nodes.append(
                    helper.make_node(operator, [read, _CHANNEL_AXIS], [made], name=f"{made}_made")
                )
            node.input[0] = again
        nodes.append(node)
    if len(nodes) > len(graph.node):
        axis = numpy_helper.from_array(np.array([1], dtype=np.int64), _CHANNEL_AXIS)
        graph.initializer.append(axis)
        replace_nodes(graph, nodes)
