"""What a model of the repository reads and makes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Tensor:
    name: str
    dtype: str  # Triton's name: BYTES, UINT8, FP16, FP32
    shape: tuple[int, ...]  # without the batch axis; -1 where the length varies
    optional: bool = False  # whether a request may leave this input out


@dataclass(frozen=True)
class Model:
    """One folder of the model repository.

    made_of: an output that one optional input alone is needed for, and that input.
    """

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    max_batch_size: int = 0
    made_of: Mapping[str, str] = field(default_factory=dict)


def bytes_tensor(*values: bytes) -> NDArray[np.object_]:
    """A BYTES tensor (n,), such as encoded images; numpy's own bytes type cuts trailing zeros."""
    return np.array(values, dtype=np.object_)
