"""The semantic system's networks, measured on label maps."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from peopleseg.labels.coco_file import AnnotationError
from peopleseg.labels.label_maps import LabelledImage, load_labelled
from peopleseg.networks.checkpoint import Loaded
from peopleseg.networks.semantic.families import FAMILIES
from peopleseg.systems.semantic.evaluation.confusion_picture import confusion_picture
from peopleseg.systems.semantic.evaluation.metrics import Confusion
from training.data.images import Skipped, checked, report_skipped
from training.validation.part import Measured, Part, Picture, Row
from training.validation.semantic.classes import class_tables
from training.validation.semantic.evaluation import confusion_of
from training.validation.semantic.sheet import choose_images, sheet_of
from training.validation.semantic.together import together


class SemanticPart(Part):
    families = tuple(FAMILIES)
    metrics = ("miou_present", "miou", "pixel_accuracy", "boundary_iou")
    annotations = "label maps"
    own_options = ("size", "together")

    def reads(self, annotations: Path) -> bool:
        return annotations.is_dir() or annotations.suffix == ".txt"

    def load(
        self, annotations: Path, images: Path, limit: int | None = None
    ) -> tuple[list[LabelledImage], list[Skipped]]:
        usable, skipped = checked(load_labelled(annotations, images))
        report_skipped(skipped)
        if not usable:
            raise AnnotationError(f"{annotations} has no image that can be measured on")
        return usable[:limit], skipped

    def evaluate(
        self,
        loaded: Loaded,
        images: Sequence[LabelledImage],
        *,
        device: torch.device | str = "cpu",
        size: int | None = None,
    ) -> Measured:
        classes = loaded.dims["classes"]
        confusion = confusion_of(loaded.network, classes, images, device=device, size=size)
        found = {name: _number(value) for name, value in confusion.metrics().items()}
        found.pop("images")
        return Measured(found, confusion)

    def sheet(
        self, loaded: Loaded, images: Sequence[LabelledImage], *, size: int | None = None
    ) -> Picture:
        classes = loaded.dims["classes"]
        return sheet_of(loaded.network, classes, choose_images(images, len(classes)), size)

    def pictures(
        self,
        loaded: Loaded,
        images: Sequence[LabelledImage],
        measured: Measured,
        *,
        size: int | None = None,
    ) -> dict[str, Picture]:
        confusion: Confusion = measured.behind
        return {
            "": self.sheet(loaded, images, size=size),
            ".confusion": confusion_picture(confusion.pixels, confusion.names),
        }

    def reported(self, behind: Any) -> dict[str, Any]:
        confusion: Confusion = behind
        return {
            "images_of_class": dict(zip(confusion.names, confusion.seen_in.tolist(), strict=True)),
            "confusion": confusion.pixels.tolist(),
        }

    def details(self, rows: Sequence[Row]) -> str:
        return class_tables([row.checkpoint for row in rows], [row.behind for row in rows])

    def together(self, several: Sequence[Loaded]) -> Loaded:
        return together(several)


def _number(value: float | int | None) -> float:
    return math.nan if value is None else float(value)


PART = SemanticPart()
