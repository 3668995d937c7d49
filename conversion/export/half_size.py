"""Rewrite an FP32 graph so that logits of doubled maps are computed before the maps are doubled.

A head ends in a transposed convolution that doubles height and width, a norm, a ReLU and a 3x3
convolution to a few logits. ONNX Runtime's CPU provider computes channels in blocks of 16, so two
logits take as long as sixteen. By phases (conversion.export.phases) they are eight at half the
size, and what is doubled is the logits, by DepthToSpace.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from onnx import helper, numpy_helper

from conversion.export.graph_nodes import (
    BLOCK,
    attributes_of,
    like,
    read_once,
    replace_with_read_nodes,
    weights_of,
)
from conversion.export.phases import (
    PHASES,
    Phase,
    Weights,
    convolution_in_phases,
    transposed_in_phases,
)

_DOUBLING = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0] * 4}
_SAME_SIZE = {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1] * 4}


class _Ending(NamedTuple):
    """The nodes from the maps to the logits."""

    double: Any
    norm: Any
    relu: Any
    conv: Any


def double_late(model: Any) -> None:
    """Rewrite a graph in place; one without such an ending stays as it is."""
    graph = model.graph
    weights = weights_of(graph)
    endings = {ending.conv.name: ending for ending in _endings(graph, weights)}
    nodes: list[Any] = []
    for node in graph.node:
        ending = endings.get(node.name)
        nodes += _computed_by_phases(graph, ending, weights) if ending else [node]
    replace_with_read_nodes(graph, nodes)


def _endings(graph: Any, weights: Mapping[str, Weights]) -> Iterator[_Ending]:
    operators = ("ConvTranspose", "BatchNormalization", "Relu")
    made = {node.output[0]: node for node in read_once(graph, *operators)}
    for conv in (node for node in graph.node if node.op_type == "Conv"):
        chain = [conv]
        while len(chain) < len(_Ending._fields) and chain[0].input[0] in made:
            chain.insert(0, made[chain[0].input[0]])
        if [node.op_type for node in chain] != [*operators, "Conv"]:
            continue
        ending = _Ending(*chain)
        known = weights.keys() >= {*ending.double.input[1:], *conv.input[1:]}
        if known and _is(ending.double, _DOUBLING) and _is(conv, _SAME_SIZE):
            if len(PHASES) * len(weights[conv.input[1]]) <= BLOCK:
                yield ending


def _is(convolution: Any, attributes: Mapping[str, Any]) -> bool:
    return attributes_of(convolution) == {**attributes, "dilations": [1, 1], "group": 1}


def _computed_by_phases(
    graph: Any, ending: _Ending, weights: Mapping[str, Weights]
) -> Iterator[Any]:
    """The nodes that make the logits of all phases, added up, and interleave the phases."""
    pointwise = transposed_in_phases(weights[ending.double.input[1]])
    two_by_two = convolution_in_phases(weights[ending.conv.input[1]])
    total = ""
    for number, phase in enumerate(PHASES):
        *nodes, last = _of_phase(
            graph, ending, phase, f"_phase{number}", pointwise[number], two_by_two[number]
        )
        if number == 0:
            for name in ending.conv.input[2:]:  # the bias, which is added once
                of_phases = np.repeat(weights[name], len(PHASES))
                last.input.append(_stored(graph, f"{name}_phases", of_phases))
        yield from (*nodes, last)
        (part,) = last.output
        if total:
            yield helper.make_node("Add", [total, part], [f"{part}_sum"], f"{part}_sum_made")
            total = f"{part}_sum"
        else:
            total = part
    (logits,) = ending.conv.output
    made = f"{logits}_made"
    yield helper.make_node("DepthToSpace", [total], [logits], made, blocksize=2, mode="CRD")


def _of_phase(
    graph: Any, ending: _Ending, phase: Phase, suffix: str, pointwise: Weights, two_by_two: Weights
) -> Iterator[Any]:
    """The nodes that an ending's become for what it reads of one phase."""
    double, norm, relu, conv = ending
    outputs = [f"{node.output[0]}{suffix}" for node in ending]
    weights = _stored(graph, f"{double.input[1]}{suffix}", pointwise)
    inputs = [double.input[0], weights, *double.input[2:]]
    yield helper.make_node("Conv", inputs, outputs[:1], double.name + suffix, kernel_shape=[1, 1])
    yield like(norm, [outputs[0], *norm.input[1:]], outputs[1], norm.name + suffix)
    yield like(relu, outputs[1:2], outputs[2], relu.name + suffix)
    weights = _stored(graph, f"{conv.input[1]}{suffix}", two_by_two)
    inputs, shape = [outputs[2], weights], [2, 2]
    name, pads = conv.name + suffix, phase.pads
    yield helper.make_node("Conv", inputs, outputs[3:], name, kernel_shape=shape, pads=pads)


def _stored(graph: Any, name: str, values: Weights) -> str:
    graph.initializer.append(numpy_helper.from_array(values, name))
    return name
