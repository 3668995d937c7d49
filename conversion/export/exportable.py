"""A network as it is exported: scaling inside, the tensors of the contract outside."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from conversion.export.onnx_export import export_onnx
from peopleseg.repository.tensors import Model
from peopleseg.systems.shared.contract import PIXELS

Shape = tuple[int, ...]  # without the batch axis; -1 where any length goes

NUMPY_DTYPES: dict[str, Any] = {
    "UINT8": np.uint8,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
}


@dataclass(frozen=True)
class Exportable:
    """A network ready for export as one model of the repository."""

    model: Model
    module: nn.Module  # what is exported: arguments and results are the tensors of `model`
    reference: nn.Module  # what it is compared with: the same, as it was trained
    input_shapes: dict[str, Shape]  # of what it does not read, of any length
    dims: dict[str, Any]  # the arguments that build the network
    settings: dict[str, Any] = field(default_factory=dict)  # of the export, beside the dims
    reference_name: str = "torch"  # where `reference` computes

    @property
    def reads(self) -> tuple[str, ...]:
        """The inputs that it computes with."""
        return tuple(name for name, shape in self.input_shapes.items() if -1 not in shape)

    @property
    def reads_images(self) -> bool:
        """Whether it reads whole images, not rois."""
        return self.reads == (PIXELS.name,)

    def trace(self, path: Path) -> None:
        """Write the graph in FP32. Raises ExportError."""
        export_onnx(self.module, self.model, path, self.input_shapes)
