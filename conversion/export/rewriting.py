"""Rewrite a graph where it has some pattern, by onnxscript's rewriter."""

from typing import Any

import onnx_ir as ir
from onnx import shape_inference
from onnx_ir.passes.common import RemoveUnusedNodesPass
from onnxscript.rewriter import RewriteRule, RewriteRuleSet

BLOCK = 16  # channels that ONNX Runtime's CPU provider computes together


def rewritten(model: Any, *rules: RewriteRule) -> Any:
    """A graph with the rules applied wherever they fit; where none does, the graph as it is.

    A rule finds nodes whose results nobody else reads; it knows the lengths that ONNX infers.
    """
    known = ir.from_proto(shape_inference.infer_shapes(model))
    if not RewriteRuleSet(rules, commute=True).apply_to_model(known):
        return model
    RemoveUnusedNodesPass()(known)
    known.graph.sort()  # a pattern of several results is replaced where the last one is
    return ir.to_proto(known)


def node_of(value: ir.Value) -> ir.Node:
    """The node that makes a value of a pattern."""
    node = value.producer()
    assert node is not None
    return node


def attributes_of(node: ir.Node) -> dict[str, Any]:
    """A node's attributes that are said: those left at their default are not."""
    return {name: attribute.value for name, attribute in node.attributes.items()}


def stored(value: ir.Value | None) -> Any:
    """The array of a value that is stored in the graph; None of another."""
    return None if value is None or value.const_value is None else value.const_value.numpy()


def lengths(value: ir.Value) -> tuple[int, ...]:
    """Channels, height and width of maps, 0 for a length that is open or not known."""
    shape = [] if value.shape is None else list(value.shape)[1:]
    known = tuple(length if isinstance(length, int) else 0 for length in shape)
    return known if len(known) == 3 else (0, 0, 0)
