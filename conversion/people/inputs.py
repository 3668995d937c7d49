"""What a mask head is compared on: the rois of real images, as other networks see them."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from conversion.export.exportable import Exportable
from conversion.export.inputs import IMAGES, Case, at_least, reading, with_unread
from conversion.export.runners import onnx_runner
from peopleseg.networks.checkpoint import CheckpointError, Loaded
from peopleseg.networks.people.detection import detect
from peopleseg.networks.people.onnx_detector import OnnxDetector
from peopleseg.pixels.geometry import INPUT_SIZE, Letterbox
from peopleseg.pixels.images import prepare_file
from peopleseg.repository.manifest import Manifest
from peopleseg.repository.model_folder import versions_in
from peopleseg.systems.step import Arrays

ROIS_AT_ONCE = (1, 7)  # by turns
_SEED = 0


class RoiReader:
    """What a mask head reads of images, computed by the networks that it was trained beside.

    Those are in its checkpoint; in place of one that is not, the repository's newest serves.
    """

    def __init__(self, loaded: Loaded, exportable: Exportable, repository: Path) -> None:
        """Raises CheckpointError when a network that the head reads is nowhere."""
        self._module: Any = exportable.reference
        self.companions: dict[str, Any] = {"detector": None}
        if "roi_logit" in exportable.reads:
            self.companions["people_unet"] = None
        for name in self.companions:
            found = loaded.companions.get(name)
            self.companions[name] = found or _SERVED[name](exportable, repository)

    @torch.no_grad()
    def people(self, pixels: NDArray[np.uint8], letterbox: Letterbox) -> NDArray[np.float32]:
        """The rois (N, 5) of the people that the detector finds in one image; may be none."""
        return detect(self.companions["detector"], _images(pixels), letterbox).rois

    @torch.no_grad()
    def read(self, pixels: NDArray[np.uint8], rois: NDArray[np.float32]) -> Arrays:
        """The inputs of the head for rois (N, 5) of pixels (1, 3, 640, 640)."""
        tensors = self._module.roi_inputs(_images(pixels), torch.from_numpy(rois), self.companions)
        return {name: value.numpy() for name, value in tensors.items()}


def served_detector(exportable: Exportable, repository: Path) -> OnnxDetector:
    """An artifact in place of a detector in torch.

    Raises CheckpointError unless the repository's features are as the head reads them.
    """
    folder = _newest("yolov9", exportable, repository)
    detector = OnnxDetector.read(folder / Manifest.read(folder).artifact)
    wanted = exportable.input_shapes.get("roi_features", (-1,))[0]
    if wanted not in (-1, detector.feature_channels):
        raise CheckpointError(
            f"this {exportable.model.name} reads features of {wanted} channels, {folder} has "
            f"{detector.feature_channels}, and the checkpoint holds no detector; train it with "
            "--model.detector"
        )
    return detector


class ServedPeopleUNet(nn.Module):
    """An artifact in place of a people UNet in torch."""

    def __init__(self, exportable: Exportable, repository: Path) -> None:
        super().__init__()
        folder = _newest("people_unet", exportable, repository)
        self.artifact = onnx_runner(folder / Manifest.read(folder).artifact)

    def forward(self, images: Tensor) -> Tensor:
        return torch.from_numpy(self.artifact({"pixels": _pixels(images)})["person_logit"])


_SERVED = {"detector": served_detector, "people_unet": ServedPeopleUNet}


@dataclass(frozen=True)
class RoiInputs:
    """Of a mask head, which reads rois."""

    exportable: Exportable
    reader: RoiReader
    at_once: tuple[int, ...] = ROIS_AT_ONCE

    def cases(self, images: Sequence[Path]) -> Iterator[Case]:
        """One and seven rois of each image by turns: people, then boxes anywhere."""
        random = np.random.default_rng(_SEED)
        images = at_least(len(self.at_once), images)
        for path, count in zip(images, itertools.cycle(self.at_once), strict=False):
            pixels, letterbox = prepare_file(path)
            people = self.reader.people(pixels, letterbox)
            rois = np.concatenate((people, _some_boxes(random, count)))[:count]
            yield Case(IMAGES, self.of_rois(pixels, rois))

    def calibration(self, images: Sequence[Path]) -> list[Arrays]:
        """The people of each image; none of one without."""
        inputs = []
        for path in reading(images):
            pixels, letterbox = prepare_file(path)
            if len(rois := self.reader.people(pixels, letterbox)[: self.at_once[-1]]):
                inputs.append(self.of_rois(pixels, rois))
        return inputs

    def of_rois(self, pixels: NDArray[np.uint8], rois: NDArray[np.float32]) -> Arrays:
        """All inputs of the head for rois (N, 5) of pixels (1, 3, 640, 640)."""
        return with_unread(self.reader.read(pixels, rois), self.exportable)


def _some_boxes(random: np.random.Generator, count: int) -> NDArray[np.float32]:
    corners = np.sort(random.uniform(0, INPUT_SIZE, (count, 2, 2)), axis=1)  # [count, low/high, xy]
    corners[:, 1] += 1  # no box without extent
    return np.pad(corners.reshape(count, 4), ((0, 0), (1, 0))).astype(np.float32)


def _newest(name: str, exportable: Exportable, repository: Path) -> Path:
    """The newest version that is a graph, not an engine of one kind of GPU."""
    for version in reversed(versions_in(repository / name)):
        folder = repository / name / str(version)
        if Manifest.read(folder).artifact.endswith(".onnx"):
            return folder
    raise CheckpointError(
        f"to compare this {exportable.model.name} on images needs a {name}: neither its "
        f"checkpoint nor {repository} has one; export one first"
    )


def _images(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pixels).float() / 255


def _pixels(images: Tensor) -> NDArray[np.uint8]:
    return (images * 255).round().to(torch.uint8).numpy()
