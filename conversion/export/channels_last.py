"""Rewrite an FP32 graph so that class maps are made with the channels last.

Of each pixel the classes then lie side by side, where ONNX Runtime's CPU provider resizes, compares
and adds them three times as fast. The logits are made logarithms of probabilities while they are
small, which moves all classes of a cell alike: then the odds of the classes need no largest logit
taken from each. At 512 x 512 and 21 classes this ending takes longer than the rest of a small
network.
"""

from typing import Any

import numpy as np
import onnx_ir as ir
from onnxscript.rewriter import RewriteRule

from conversion.export.rewriting import attributes_of, node_of, rewritten, stored

_LAST = 3
# The exponential of less is 0 in FP32, and the sum of the classes' may not be.
_LEAST_LOG = -80.0


def channels_last(model: Any) -> Any:
    """The graph rewritten; one without such an ending as it is."""
    return rewritten(model, RewriteRule(_ending, _with_channels_last, _is_of_maps))


def _ending(op: Any, small: Any, scales: Any, axes: Any) -> Any:
    """From the logits to the class, and to the sum of the odds against it."""
    logits = op.Resize(small, None, scales, _outputs=["logits"])
    largest = op.ReduceMax(logits, _outputs=["largest"])
    classes = op.ArgMax(logits, _outputs=["classes"])
    return classes, op.ReduceSum(op.Exp(op.Sub(logits, largest)), axes, _outputs=["total"])


def _is_of_maps(
    context: Any,
    scales: ir.Value,
    axes: ir.Value,
    largest: ir.Value,
    classes: ir.Value,
    total: ir.Value,
    **_: Any,
) -> bool:
    if stored(scales) is None or stored(axes) is None:
        return False
    reduced = attributes_of(node_of(largest)), attributes_of(node_of(classes))
    over_channels = tuple(reduced[0]["axes"]) == (1,) and reduced[1].get("axis") == 1
    dropped = {attributes_of(node_of(one)).get("keepdims", 1) for one in (classes, total)}
    return over_channels and tuple(stored(axes)) == (1,) and dropped == {0}


def _with_channels_last(
    op: Any,
    small: ir.Value,
    scales: ir.Value,
    axes: ir.Value,
    logits: ir.Value,
    **_: Any,
) -> Any:
    name = logits.name
    batch, channels, *plane = stored(scales)
    moved = np.array([batch, *plane, channels], np.float32)
    last = op.initializer(ir.tensor(moved), name=f"{name}_scales")
    least = op.initializer(ir.tensor(np.float32(_LEAST_LOG)), name=f"{name}_least")
    axis = op.initializer(ir.tensor(np.array([_LAST])), name=f"{name}_axis")
    small = op.LogSoftmax(op.Transpose(small, perm=[0, 2, 3, 1]), axis=_LAST)
    resize = node_of(logits)
    odds = op.Exp(op.Resize(op.Max(small, least), None, last, **resize.attributes))
    total = op.Div(
        op.ReduceSum(odds, axis, keepdims=0), op.ReduceMax(odds, axes=[_LAST], keepdims=0)
    )
    return op.ArgMax(odds, axis=_LAST, keepdims=0), total
