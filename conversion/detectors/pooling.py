"""Let a MaxPool pad its maps itself, where a file pads them before with the lowest number.

INT8 has no place for such a number: a range that reaches to it leaves nothing for the others.
"""

from typing import Any

import numpy as np
from onnx import helper

from conversion.export.graph_nodes import (
    attributes_of,
    read_once,
    replace_with_read_nodes,
    weights_of,
)

_LOWEST = -1e30  # or less; no map has it


def pad_in_pooling(model: Any) -> None:
    """Rewrite a graph in place; the responses stay."""
    graph = model.graph
    constants = weights_of(graph)
    paddings = {}
    for node in read_once(graph, "Pad"):
        pads = _spatial_pads(node, constants)
        if pads is not None:
            paddings[node.output[0]] = node.input[0], pads
    for node in graph.node:
        attributes = attributes_of(node)
        if node.op_type != "MaxPool" or node.input[0] not in paddings:
            continue
        if attributes.pop("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
            continue
        node.input[0], pads = paddings[node.input[0]]
        own = attributes.get("pads", [0] * 4)
        attributes["pads"] = [a + b for a, b in zip(own, pads, strict=True)]
        del node.attribute[:]
        node.attribute.extend(helper.make_attribute(name, v) for name, v in attributes.items())
    read = {name for node in graph.node for name in node.input}
    unread = [n for n in graph.node if n.op_type == "Pad" and n.output[0] not in read]
    replace_with_read_nodes(graph, [node for node in graph.node if node not in unread])


def _spatial_pads(node: Any, constants: dict[str, Any]) -> list[int] | None:
    """Top, left, bottom, right of a node that pads maps with the lowest number alone."""
    if len(node.input) != 3 or not constants.keys() >= {*node.input[1:]}:
        return None
    pads, value = (constants[name] for name in node.input[1:])
    before, after = np.split(pads, 2)
    if len(before) != 4 or before[:2].any() or after[:2].any() or value > _LOWEST:
        return None
    return [int(length) for length in (*before[2:], *after[2:])]
