"""A published detector in the place of a checkpoint's network: what it is exported as, and what it
is compared with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from conversion.detectors.batches import Shapes
from conversion.detectors.decoders import DECODERS, Decoder
from conversion.detectors.graph import DETECTOR, PreparedPixels, served_graph
from conversion.detectors.maps import Map, choose_map
from conversion.detectors.source import Source, file_runner, read_source, shapes_of
from conversion.export.exportable import Exportable
from conversion.export.onnx_export import save
from conversion.export.settings import ExportError
from peopleseg.runtime.onnx_threads import options_for


@dataclass(frozen=True)
class Wanted:
    """What to make of a file."""

    decoder: str  # one of DECODERS
    person: int = 0  # which of the file's classes is found
    features: str | None = None  # a tensor of its graph; None for the neck's map at stride 8


@dataclass(frozen=True)
class ImportedDetector(Exportable):
    """Its graph is the file's, between pixels and predictions; the reference is the file."""

    graph: Any = None
    reference_name: str = "file"

    def trace(self, path: Path) -> None:
        save(self.graph, path)


class FileReference(nn.Module):
    """The file, image by image, behind the same pixels and before its decoder."""

    def __init__(self, source: Source, neck: Map, decoder: Decoder) -> None:
        super().__init__()
        self.prepare = PreparedPixels(decoder.pixels, source.size)
        self.decoder = decoder
        self._path = source.path
        self._run = file_runner(source, [neck.name, *decoder.names])

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """features (FP16) and predictions. Raises ExportError for numbers that are none."""
        found = [self._of_one(image) for image in self.prepare(pixels).split(1)]
        features, predictions = (torch.cat(part) for part in zip(*found, strict=True))
        return features.half(), predictions

    def _of_one(self, image: Tensor) -> tuple[Tensor, Tensor]:
        features, *outputs = map(torch.from_numpy, self._run(image.numpy()))
        predictions = self.decoder(*outputs)
        if not predictions.isfinite().all():
            raise ExportError(
                f"{self._path}: decoded, its boxes or scores are not finite numbers; is this the "
                "--decoder, and is the file exported without decoding of its own (for YOLOX "
                "without decode_in_inference)?"
            )
        return features, predictions


def import_detector(path: Path, wanted: Wanted) -> ImportedDetector:
    """Read a file. Raises ExportError when it is not what `wanted` says, OSError."""
    source = read_source(path)
    shapes = shapes_of(source)
    neck = choose_map(source, shapes, wanted.features)
    decoder = _decoder(source, shapes, wanted)
    reference = FileReference(source, neck, decoder)
    graph = served_graph(source, shapes, neck, decoder)
    _require_batches(source, graph)
    return ImportedDetector(
        model=DETECTOR,
        module=reference,
        reference=reference,
        input_shapes={"pixels": DETECTOR.inputs[0].shape},
        dims={
            "decoder": wanted.decoder,
            "input_size": source.size,
            "classes": decoder.classes,
            "person_class": wanted.person,
            "features": neck.name,
        },
        graph=graph,
    )


def _require_batches(source: Source, graph: Any) -> None:
    """Raises ExportError for a graph that two images cannot pass together."""
    pixels = np.zeros((2, *DETECTOR.inputs[0].shape), dtype=np.uint8)
    options = options_for(threads=2)
    options.log_severity_level = 4  # the error is told here
    try:
        session = onnxruntime.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        session.run(None, {"pixels": pixels})
    except Exception as error:  # ONNX Runtime's errors have no class in common
        raise ExportError(
            f"{source.path} computes one image at a time, and could not be opened to more "
            f"({error}); export it with a batch of any length, as dynamic_axes of "
            "torch.onnx.export makes it"
        ) from error


def _decoder(source: Source, shapes: Shapes, wanted: Wanted) -> Decoder:
    outputs = {name: shapes[name][1:] for name in source.output_names}
    try:
        return DECODERS[wanted.decoder](outputs, source.size, wanted.person).eval()
    except ExportError as error:
        raise ExportError(f"{source.path}: {error}") from error
