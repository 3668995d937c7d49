"""A checkpoint of weights alone as a safetensors file, which other programs read too.

Its tensors are the entry `state_dict`, its metadata the other entries, as JSON.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save

SUFFIX = ".safetensors"
_OTHERS = "checkpoint"  # one entry of the metadata, as several have no order of their own


def write_weights(checkpoint: Mapping[str, Any], path: Path) -> None:
    """The same bytes for the same checkpoint. Raises OSError."""
    tensors = {name: values.contiguous() for name, values in checkpoint["state_dict"].items()}
    others = {name: entry for name, entry in checkpoint.items() if name != "state_dict"}
    path.write_bytes(save(tensors, {_OTHERS: json.dumps(others)}))


def read_weights(path: Path) -> dict[str, Any]:
    """The checkpoint, on the CPU. Raises SafetensorError, OSError, ValueError."""
    with safe_open(path, framework="pt") as file:
        others = (file.metadata() or {}).get(_OTHERS)
        if others is None:
            raise ValueError("it does not say which network its weights are of")
        state = {name: file.get_tensor(name) for name in file.keys()}
    return {**json.loads(others), "state_dict": state}
