"""Pre-computed features: a folder with a file for each image, of what a detector sees of its
people.

A file holds the roi-aligned features and the label maps of one image's people; `features.json`
beside the files says what they were computed with.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from peopleseg.errors import PeoplesegError
from peopleseg.labels.coco import AnnotatedImage
from peopleseg.labels.files import write_atomically, write_json
from peopleseg.networks.people.feature_head import ROI_FEATURE_SIZE
from peopleseg.networks.people.roi_align import align_map
from peopleseg.networks.people.yolov9 import YOLOv9
from training.data.images import BrokenImage
from training.data.samples import split_broken

DESCRIPTION = "features.json"


class FeatureSample(NamedTuple):
    image_id: int
    roi_features: Tensor  # float16 (n, C, 28, 28)
    labels: Tensor  # uint8 (n, 56, 56): BACKGROUND, TARGET, NON_TARGET or IGNORED


class FeatureBatch(NamedTuple):
    images: list[int]  # ids of the images
    roi_features: Tensor  # float16 (N, C, 28, 28)
    labels: Tensor  # uint8 (N, 56, 56)
    skipped: list[str]  # a line for each broken file


class FeaturesError(PeoplesegError):
    """A folder's features are not there, or not those that are asked for."""


@dataclass(frozen=True)
class FeatureDescription:
    """What the features of a folder were computed with."""

    detector_sha256: str  # of its checkpoint
    channels: int
    padding: float  # added to a box at each edge, in parts of the side
    resize: Literal["letterbox", "stretch"]


@dataclass(frozen=True)
class FeatureFolder:
    """Reads and writes the files of one data set's images."""

    path: Path

    def file(self, image: AnnotatedImage) -> Path:
        return self.path / f"{image.id}.safetensors"

    def has(self, image: AnnotatedImage) -> bool:
        return self.file(image).is_file()  # whole: files are renamed to their names

    def write(self, image: AnnotatedImage, roi_features: Tensor, labels: Tensor) -> None:
        """Whole or not at all. Raises OSError."""
        tensors = {
            "roi_features": roi_features.half().cpu().contiguous(),
            "labels": labels.contiguous(),
        }
        write_atomically(self.file(image), save(tensors))

    def read(self, image: AnnotatedImage) -> FeatureSample:
        """Raises BrokenImage for a file that cannot be read."""
        path = self.file(image)
        try:
            return FeatureSample(image.id, **load(path.read_bytes()))
        except (OSError, SafetensorError, TypeError) as error:
            raise BrokenImage(
                f"{path} cannot be read ({error}); remove it and run `peopleseg "
                "precompute-features` again"
            ) from error

    def describe(self, description: FeatureDescription) -> None:
        write_json(self.path / DESCRIPTION, asdict(description))

    def is_described(self) -> bool:
        return (self.path / DESCRIPTION).is_file()

    def description(self) -> FeatureDescription:
        """Raises FeaturesError when the folder does not say what it holds."""
        path = self.path / DESCRIPTION
        try:
            return FeatureDescription(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise FeaturesError(
                f"{path} does not describe features ({error}); `peopleseg precompute-features "
                f"--out {self.path}` writes them"
            ) from error

    def require(self, **expected: Any) -> None:
        """Compare fields of the description. Raises FeaturesError naming what is there and what is
        expected."""
        found = asdict(self.description())
        differences = [
            f"{name} {found[name]}, not {value}"
            for name, value in expected.items()
            if found[name] != value
        ]
        if differences:
            raise FeaturesError(
                f"{self.path} holds features of {'; '.join(differences)}: name the folder, the "
                "detector and the settings that belong together, or compute them anew elsewhere"
            )


def roi_features(detector: YOLOv9, images: Tensor, rois: Tensor) -> Tensor:
    """What the head reads: images [B, 3, 640, 640] in [0, 1], rois [N, 5] to [N, C, 28, 28]."""
    size_hw = (ROI_FEATURE_SIZE, ROI_FEATURE_SIZE)
    if len(rois) == 0:
        return torch.empty((0, detector.feature_channels, *size_hw), device=images.device)
    with torch.no_grad():
        return align_map(detector.features(images), images, rois, size_hw)


def collate_features(samples: Sequence[FeatureSample | BrokenImage]) -> FeatureBatch:
    """N = 0 when nobody is in any image, or every file is broken."""
    whole, skipped = split_broken(samples)
    empty = [torch.empty((0, 0, 0))]
    return FeatureBatch(
        [sample.image_id for sample in whole],
        torch.cat([sample.roi_features for sample in whole] or empty),
        torch.cat([sample.labels for sample in whole] or empty),
        skipped,
    )
