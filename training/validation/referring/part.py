"""The referring system's networks, measured on references to people."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from peopleseg.labels.coco_file import AnnotationError
from peopleseg.labels.referring import has_captions, load_references
from peopleseg.networks.checkpoint import Loaded
from peopleseg.networks.referring.families import FAMILIES
from peopleseg.networks.referring.network import ReferringNetwork
from peopleseg.networks.referring.pose import PersonPose
from training.data.images import Skipped, report_skipped
from training.referring.images import ReferredImage, chunks, images_of, usable
from training.referring.prompting import PromptSettings
from training.validation.part import Measured, Part, Picture, Unmeasurable
from training.validation.referring.evaluation import measure_pose, measure_prompts

DEFAULT_SIZE = 512  # of the square, pixels a side


class ReferringPart(Part):
    families = tuple(FAMILIES)
    metrics = ("oiou", "right_person", "mask_ap", "pose_ap", "pckh", "oks")
    annotations = "references"

    def reads(self, annotations: Path) -> bool:
        return has_captions(annotations)

    def load(
        self, annotations: Path, images: Path, limit: int | None = None
    ) -> tuple[list[ReferredImage], list[Skipped]]:
        found, skipped = usable(images_of(load_references(annotations, images)))
        report_skipped(skipped)
        if not found:
            raise AnnotationError(f"{annotations} has no image that can be measured on")
        parts = [part for one in found for part in chunks(one, PromptSettings().most)]
        return parts[:limit], skipped

    def evaluate(
        self,
        loaded: Loaded,
        images: Sequence[ReferredImage],
        *,
        device: torch.device | str = "cpu",
        size: int | None = None,
    ) -> Measured:
        network = loaded.network
        if isinstance(network, PersonPose):
            found = measure_pose(network, images, device)
        elif isinstance(network, ReferringNetwork):
            found = measure_prompts(network, images, device, size or DEFAULT_SIZE)
        else:
            raise Unmeasurable(
                f"a {loaded.family} answers nothing alone; release it, and measure the ensemble: "
                "peopleseg evaluate --system referring"
            )
        return Measured({name: _number(value) for name, value in found.items()})

    def sheet(
        self, loaded: Loaded, images: Sequence[ReferredImage], *, size: int | None = None
    ) -> Picture:
        raise Unmeasurable("there is no sheet of prompts; leave out --sheets")


def _number(value: Any) -> float:
    return math.nan if value is None else float(np.asarray(value))


PART = ReferringPart()
