"""Rewrite an FP32 graph so that ONNX Runtime's CPU provider keeps it in its blocked layout.

There, convolutions and what follows them work on blocks of 16 channels (NCHWc). ONNX Runtime leaves
that layout for one of its own fusions, and enters it where it does not pay. The responses stay: no
operator computes anything else.
"""

from typing import Any

import onnx_ir as ir
from onnxscript.rewriter import RewriteRule

from conversion.export.rewriting import lengths, node_of, rewritten


def keep_blocked(model: Any) -> Any:
    """The graph rewritten; one without SiLU and single-channel resizing as it is."""
    return rewritten(
        model,
        RewriteRule(_silu, _parted_silu),
        RewriteRule(_resizing, _resizing_plainly, _has_single_channel),
    )


def _silu(op: Any, x: Any) -> Any:
    return op.Mul(x, op.Sigmoid(x))


def _parted_silu(op: Any, x: ir.Value) -> Any:
    """The product reads x through a Sum of one.

    ONNX Runtime does not recognise it then, and so does not make a QuickGelu of it, which exists in
    the plain layout alone: around each, all channels would be reordered twice.
    """
    return op.Mul(op.Sum(x), op.Sigmoid(x))


def _resizing(op: Any, maps: Any) -> Any:
    return op.Resize(maps, _allow_other_inputs=True, _outputs=["resized"])


def _has_single_channel(context: Any, maps: ir.Value, **_: Any) -> bool:
    return lengths(maps)[0] == 1


def _resizing_plainly(op: Any, maps: ir.Value, resized: ir.Value) -> Any:
    """Of maps read without and again with their axis of channels.

    Which costs nothing, and leaves the layout in which one channel is resized as sixteen.
    """
    resize, axis = node_of(resized), op.Constant(value_ints=[1])
    plain = op.Unsqueeze(op.Squeeze(maps, axis), axis)
    return op.Resize(plain, *resize.inputs[1:], **resize.attributes)
