"""The weights that an ONNX graph holds."""

from typing import Any

from numpy.typing import NDArray
from onnx import numpy_helper

# With a number, how the name of a convolution ends that takes some of a layer's input channels
# (see conversion.export.early_convolution).
PART = "_part"


def weights_of(graph: Any) -> dict[str, NDArray[Any]]:
    """A graph's stored arrays by name, each in its own dtype."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
