"""The people system's networks, measured on people in COCO format."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from peopleseg.labels.coco import AnnotatedImage, require_people
from peopleseg.networks.checkpoint import Loaded, load_detector
from training.data.images import Skipped, report_skipped, usable_images
from training.validation.command import Options
from training.validation.part import Measured, Part, Picture
from training.validation.people.evaluation import MEASURES, evaluate
from training.validation.people.images import choose_images, validation_sheet
from training.validation.people.metrics import METRICS


class PeoplePart(Part):
    families = tuple(MEASURES)
    metrics = METRICS
    annotations = "people in COCO format"
    own_options = ("detector",)

    def reads(self, annotations: Path) -> bool:
        return annotations.suffix == ".json"

    def load(
        self, annotations: Path, images: Path, limit: int | None = None
    ) -> tuple[list[AnnotatedImage], list[Skipped]]:
        usable, skipped = usable_images(annotations, images)
        report_skipped(skipped)
        usable = usable[:limit]
        require_people(usable, annotations)
        return usable, skipped

    def evaluate(
        self,
        loaded: Loaded,
        images: Sequence[AnnotatedImage],
        *,
        device: torch.device | str = "cpu",
        size: int | None = None,
    ) -> Measured:
        return Measured(evaluate(loaded, images, device=device))

    def sheet(
        self, loaded: Loaded, images: Sequence[AnnotatedImage], *, size: int | None = None
    ) -> Picture:
        return validation_sheet(loaded, choose_images(images))

    def described(self, images: Sequence[AnnotatedImage]) -> dict[str, Any]:
        return {**super().described(images), "people": sum(len(one.people) for one in images)}

    def completing(self, args: Options) -> Callable[[Loaded], Loaded]:
        detector = load_detector(args.detector)
        return lambda loaded: _with_detector(loaded, detector)


def _with_detector(loaded: Loaded, detector: nn.Module | None) -> Loaded:
    """A mask head with the detector given, unless it has its own."""
    if detector is None or not loaded.family.endswith("_head"):
        return loaded
    return replace(loaded, companions={"detector": detector} | loaded.companions)


PART = PeoplePart()
