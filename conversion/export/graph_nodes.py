"""Read a graph's nodes, and give it others."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference

Shapes = Mapping[str, tuple[int, ...]]

BLOCK = 16  # channels that ONNX Runtime's CPU provider computes together


def map_shapes(model: Any) -> Shapes:
    """Name to [N, C, H, W] of a graph's maps, 0 for a length that is open or not known."""
    known = shape_inference.infer_shapes(model).graph
    return {
        value.name: tuple(axis.dim_value for axis in axes)
        for value in (*known.input, *known.value_info, *known.output)
        if len(axes := value.type.tensor_type.shape.dim) == 4
    }


def weights_of(graph: Any) -> dict[str, NDArray[Any]]:
    """A graph's stored arrays by name, each in its own dtype."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def replace_nodes(graph: Any, nodes: Sequence[Any]) -> None:
    """Give a graph these nodes, its own among them, in this order."""
    del graph.node[:]
    graph.node.extend(nodes)


def replace_with_read_nodes(graph: Any, nodes: Sequence[Any]) -> None:
    """Give a graph these nodes in place of its own, without those and the weights left unread."""
    if len(nodes) == len(graph.node):
        return
    read = {output.name for output in graph.output}
    kept = []
    for node in reversed(nodes):
        if read.intersection(node.output):
            read.update(node.input)
            kept.append(node)
    replace_nodes(graph, kept[::-1])
    weights = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(weights)


def read_once(graph: Any, *operators: str) -> list[Any]:
    """The nodes of these operators whose result is read by one other alone."""
    read = Counter(name for node in graph.node for name in node.input)
    return [n for n in graph.node if n.op_type in operators and read[n.output[0]] == 1]


def attributes_of(node: Any) -> dict[str, Any]:
    """A node's attributes that are said: those left at their default are not."""
    return {given.name: helper.get_attribute_value(given) for given in node.attribute}


def like(node: Any, inputs: Sequence[str], output: str, name: str) -> Any:
    """A node that does what another does, to other inputs."""
    other = helper.make_node(node.op_type, inputs, [output], name)
    other.attribute.extend(node.attribute)
    return other
