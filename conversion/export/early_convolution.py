"""Rewrite an FP32 graph so that maps are convolved before they are enlarged: fewer operations.

Resizing does the same linear thing to every channel, a 1x1 convolution the same to every cell: they
commute, and a map of half the height and width has a quarter of the cells. A UNet convolves maps
beside deeper ones, enlarged to their size, which is the sum of a convolution of each. So is that of
any two maps, which then need not be copied beside each other: ONNX Runtime adds in a convolution.
"""

import math
from typing import Any

import numpy as np
import onnx_ir as ir
from onnxscript.rewriter import RewriteRule

from conversion.export.onnx_export import BATCH
from conversion.export.rewriting import (
    BLOCK,
    attributes_of,
    lengths,
    node_of,
    rewritten,
    stored,
)

# What exporters other than torch's may leave out of a convolution.
_UNSAID: dict[str, Any] = {"strides": (1, 1), "group": 1, "pads": (0, 0, 0, 0)}


def convolve_early(model: Any) -> Any:
    """The graph rewritten; one without 1x1 convolutions of enlarged or joined maps as it is.

    So is one whose maps are of unknown sizes: ONNX Runtime's CPU provider adds within a
    convolution only what it knows to be of one size, and little is gained where it does not.
    """
    parted = rewritten(model, RewriteRule(_of_joint_maps, _sum_of_parts, _gains_by_parts))
    return rewritten(parted, RewriteRule(_of_enlarged_maps, _enlarged_late, _gains_by_order))


def _of_joint_maps(op: Any, first: Any, second: Any, weights: Any) -> Any:
    joint = op.Concat(first, second, axis=1)
    return op.Conv(joint, weights, _allow_other_inputs=True, _outputs=["made"])


def _gains_by_parts(
    context: Any, first: ir.Value, second: ir.Value, made: ir.Value, **_: Any
) -> bool:
    """Whether one is enlarged, or both fill ONNX Runtime's blocks of channels; else the parts of a
    convolution take longer than the whole."""
    channels = [lengths(maps)[0] for maps in (first, second)]
    if not all(channels) or not _is_pointwise(node_of(made)):
        return False
    return any(map(_is_enlarged, (first, second))) or not any(n % BLOCK for n in channels)


def _sum_of_parts(
    op: Any, first: ir.Value, second: ir.Value, weights: ir.Value, made: ir.Value
) -> Any:
    """A convolution of each of the two by its weights, added up."""
    conv = node_of(made)
    bias, parts = conv.inputs[2:], []
    of_each = np.split(stored(weights), [lengths(first)[0]], axis=1)
    for number, (maps, values) in enumerate(zip((first, second), of_each, strict=True)):
        own = op.initializer(ir.tensor(values), name=f"{made.name}_weights{number}")
        parts.append(op.Conv(maps, own, *bias, **conv.attributes))
        bias = ()  # added once; resizing keeps a constant, so in either part
    return op.Add(*parts)


def _of_enlarged_maps(op: Any, small: Any, scales: Any, weights: Any) -> Any:
    enlarged = op.Resize(small, None, scales, _outputs=["enlarged"])
    return op.Conv(enlarged, weights, _allow_other_inputs=True, _outputs=["made"])


def _gains_by_order(context: Any, enlarged: ir.Value, made: ir.Value, **_: Any) -> bool:
    return _is_enlarged(enlarged) and _is_pointwise(node_of(made))


def _enlarged_late(op: Any, small: ir.Value, enlarged: ir.Value, made: ir.Value, **_: Any) -> Any:
    """A convolution of the small maps, and what it makes enlarged."""
    conv, resize = node_of(made), node_of(enlarged)
    convolved = op.Conv(small, *conv.inputs[1:], **conv.attributes)
    # Nobody infers that resizing keeps the batch, nor ONNX Runtime then that sizes are equal.
    made.shape = ir.Shape([BATCH, *lengths(made)])
    return op.Resize(convolved, *resize.inputs[1:], **resize.attributes)


def _is_enlarged(maps: ir.Value) -> bool:
    """Whether these are other maps, enlarged for one reader by a factor: a size would be that of
    all axes, channels too."""
    resize = maps.producer()
    if resize is None or resize.op_type != "Resize" or len(resize.inputs) != 3:
        return False
    small = resize.inputs[0]
    assert small is not None
    return len(maps.uses()) == 1 and 0 < math.prod(lengths(small)) < math.prod(lengths(maps))


def _is_pointwise(conv: ir.Node) -> bool:
    """Whether a convolution is 1x1, of every cell and all channels, by weights of its own."""
    weights, said = stored(conv.inputs[1]), _UNSAID | attributes_of(conv)
    if weights is None or weights.shape[2:] != (1, 1):
        return False
    return {*said["strides"], said["group"]} == {1} and not any(said["pads"])
