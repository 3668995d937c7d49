"""Rewrite an FP32 graph so that logits of doubled maps are computed before the maps are doubled.

A head ends in a transposed convolution that doubles height and width, a norm, a ReLU and a 3x3
convolution to a few logits. ONNX Runtime's CPU provider computes channels in blocks of 16, so two
logits take as long as sixteen. By phases (conversion.export.phases) they are eight at half the
size, and what is doubled is the logits, by DepthToSpace.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from onnxscript.rewriter import RewriteRule

from conversion.export.phases import PHASES, convolution_in_phases, transposed_in_phases
from conversion.export.rewriting import BLOCK, attributes_of, node_of, rewritten, stored

_DOUBLING = {"kernel_shape": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0)}
_SAME_SIZE = {"kernel_shape": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1)}


def double_late(model: Any) -> Any:
    """The graph rewritten; one without such an ending as it is."""
    return rewritten(model, RewriteRule(_ending, _computed_by_phases, _is_doubling))


def _ending(op: Any, maps: Any, doubling: Any, weights: Any) -> Any:
    """From the maps to the logits."""
    doubled = op.ConvTranspose(maps, doubling, _allow_other_inputs=True, _outputs=["doubled"])
    normed = op.BatchNormalization(doubled, _allow_other_inputs=True, _outputs=["normed"])
    return op.Conv(op.Relu(normed), weights, _allow_other_inputs=True, _outputs=["logits"])


def _is_doubling(context: Any, doubled: ir.Value, logits: ir.Value, **_: Any) -> bool:
    double, conv = node_of(doubled), node_of(logits)
    if any(stored(value) is None for value in (*double.inputs[1:], *conv.inputs[1:])):
        return False
    fits = _is(double, _DOUBLING) and _is(conv, _SAME_SIZE)
    return fits and len(PHASES) * len(stored(conv.inputs[1])) <= BLOCK


def _is(convolution: ir.Node, attributes: Mapping[str, Any]) -> bool:
    return attributes_of(convolution) == {**attributes, "dilations": (1, 1), "group": 1}


def _computed_by_phases(
    op: Any, maps: ir.Value, doubled: ir.Value, normed: ir.Value, logits: ir.Value, **_: Any
) -> Any:
    """The logits of all phases, each from what it reads of one phase, added up and interleaved."""
    double, norm, conv = node_of(doubled), node_of(normed), node_of(logits)
    pointwise = transposed_in_phases(stored(double.inputs[1]))
    two_by_two = convolution_in_phases(stored(conv.inputs[1]))
    bias = [_stored(op, logits, "bias", np.repeat(stored(b), len(PHASES))) for b in conv.inputs[2:]]
    total = None
    for number, phase in enumerate(PHASES):
        weights = _stored(op, doubled, f"phase{number}", pointwise[number])
        x = op.Conv(maps, weights, *double.inputs[2:], kernel_shape=[1, 1])
        x = op.Relu(op.BatchNormalization(x, *norm.inputs[1:], **norm.attributes))
        weights = _stored(op, logits, f"phase{number}", two_by_two[number])
        part = op.Conv(x, weights, *bias, kernel_shape=[2, 2], pads=phase.pads)
        bias = []  # added once
        total = part if total is None else op.Add(total, part)
    return op.DepthToSpace(total, blocksize=2, mode="CRD")


def _stored(op: Any, value: ir.Value, name: str, array: Any) -> ir.Value:
    return op.initializer(ir.tensor(array), name=f"{value.name}_{name}")
