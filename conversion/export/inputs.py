"""What an exported network is compared on: real images and random numbers, in several sizes."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from conversion.export.exportable import NUMPY_DTYPES, Exportable
from conversion.export.runners import onnx_runner
from peopleseg.networks.checkpoint import CheckpointError, Loaded
from peopleseg.networks.people.detection import detect
from peopleseg.networks.people.onnx_detector import OnnxDetector
from peopleseg.pixels.geometry import INPUT_SIZE, Letterbox
from peopleseg.pixels.images import prepare_file
from peopleseg.repository.manifest import Manifest
from peopleseg.repository.model_folder import versions_in
from peopleseg.systems.step import Arrays

IMAGES_AT_ONCE = (1, 3)  # by turns
ROIS_AT_ONCE = (1, 7)  # by turns
IMAGES, RANDOM = "images", "random"
_SEED = 0


class Case(NamedTuple):
    """One call of a network."""

    source: str  # IMAGES or RANDOM
    inputs: Arrays


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


def image_cases(images: Sequence[Path]) -> Iterator[Case]:
    """The images as `pixels`, in batches of one and of three by turns; each once at least."""
    remaining, sizes = _at_least(sum(IMAGES_AT_ONCE), images), itertools.cycle(IMAGES_AT_ONCE)
    while remaining:
        size = next(sizes)
        batch, remaining = remaining[:size], remaining[size:]
        pixels = np.concatenate([prepare_file(path)[0] for path in batch])
        yield Case(IMAGES, {"pixels": pixels})


def roi_cases(images: Sequence[Path], exportable: Exportable, reader: RoiReader) -> Iterator[Case]:
    """One and seven rois of each image by turns: people, then boxes anywhere."""
    random = np.random.default_rng(_SEED)
    images = _at_least(len(ROIS_AT_ONCE), images)
    for path, count in zip(images, itertools.cycle(ROIS_AT_ONCE), strict=False):
        pixels, letterbox = prepare_file(path)
        rois = np.concatenate((reader.people(pixels, letterbox), _some_boxes(random, count)))
        yield Case(IMAGES, with_unread(reader.read(pixels, rois[:count]), exportable))


def random_cases(exportable: Exportable, sizes: Sequence[int]) -> Iterator[Case]:
    """Random numbers for every input that is read, in batches of these sizes."""
    random = np.random.default_rng(_SEED)
    for size in sizes:
        inputs = {}
        for tensor in exportable.model.inputs:
            if tensor.name in exportable.reads:
                shape = (size, *exportable.input_shapes[tensor.name])
                colours = tensor.name in ("pixels", "roi_rgb")
                values = random.uniform(0, 255, shape) if colours else random.normal(0, 3, shape)
                inputs[tensor.name] = values.astype(NUMPY_DTYPES[tensor.dtype])
        yield Case(RANDOM, with_unread(inputs, exportable))


def calibration_inputs(
    images: Sequence[Path], exportable: Exportable, reader: RoiReader | None
) -> list[Arrays]:
    """The inputs of each image alone: what people send. Of a mask head those of its people."""
    inputs = []
    for path in tqdm(images, desc="inputs", unit="image", leave=False, disable=None):
        pixels, letterbox = prepare_file(path)
        if reader is None:
            inputs.append({"pixels": pixels})
        elif len(rois := reader.people(pixels, letterbox)[: ROIS_AT_ONCE[-1]]):
            inputs.append(with_unread(reader.read(pixels, rois), exportable))
    return inputs


def with_unread(inputs: Arrays, exportable: Exportable) -> Arrays:
    """The inputs and, for those that the network does not read, zeros of one cell."""
    count = len(next(iter(inputs.values())))
    return {
        tensor.name: inputs[tensor.name]
        if tensor.name in inputs
        else np.zeros((count, *map(abs, tensor.shape)), NUMPY_DTYPES[tensor.dtype])
        for tensor in exportable.model.inputs
    }


def _at_least(count: int, images: Sequence[Path]) -> list[Path]:
    """Fewer images are taken again."""
    return list(itertools.islice(itertools.cycle(images), max(count, len(images))))


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
