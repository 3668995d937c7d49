"""Let a MaxPool pad its maps itself, where a file pads them before with the lowest number.

INT8 has no place for such a number: a range that reaches to it leaves nothing for the others.
"""

from typing import Any

import numpy as np
import onnx_ir as ir
from onnxscript.rewriter import RewriteRule

from conversion.export.rewriting import attributes_of, node_of, rewritten, stored

_LOWEST = -1e30  # or less; no map has it


def pad_in_pooling(model: Any) -> Any:
    """The graph rewritten; the responses stay."""
    return rewritten(model, RewriteRule(_of_padded, _padding_itself, _pads_maps_alone))


def _of_padded(op: Any, maps: Any, pads: Any, value: Any) -> Any:
    return op.MaxPool(op.Pad(maps, pads, value), _outputs=["pooled"])


def _pads_maps_alone(
    context: Any, pads: ir.Value, value: ir.Value, pooled: ir.Value, **_: Any
) -> bool:
    """Height and width, with the lowest number, before a pooling that does not choose pads."""
    lengths, lowest = stored(pads), stored(value)
    if lengths is None or lowest is None or len(lengths) != 8 or lowest > _LOWEST:
        return False
    own = attributes_of(node_of(pooled)).get("auto_pad", "NOTSET")
    return own in ("NOTSET", "VALID") and not lengths.reshape(2, 4)[:, :2].any()


def _padding_itself(op: Any, maps: ir.Value, pads: ir.Value, pooled: ir.Value, **_: Any) -> Any:
    attributes = attributes_of(node_of(pooled))
    before, after = stored(pads).reshape(2, 4)[:, 2:]
    total = np.array(attributes.get("pads", [0] * 4)) + (*before, *after)
    return op.MaxPool(maps, **attributes | {"auto_pad": "NOTSET", "pads": total.tolist()})
