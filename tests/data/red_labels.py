"""Images whose people are red on black, their label maps, and networks that know it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from peopleseg.labels.label_maps import LabelledImage, load_labelled
from peopleseg.systems.semantic.contract import VOC_CLASSES
from peopleseg.systems.semantic.palette import palette_png

PERSON = VOC_CLASSES.index("person")
CERTAIN = 20.0


class RedClasses(nn.Module):
    """A person where it is red, the background elsewhere: logits of the images' size.

    certain: below 0 it says the contrary.
    """

    def __init__(self, certain: float = CERTAIN, classes: int = len(VOC_CLASSES)) -> None:
        super().__init__()
        self.certain = nn.Parameter(torch.tensor(certain))
        self.classes = classes

    def forward(self, images: Tensor) -> Tensor:
        red = (images[:, 0] - images[:, 1] - 0.5) * self.certain
        logits = torch.full((len(images), self.classes, *images.shape[2:]), -2 * CERTAIN)
        logits[:, PERSON], logits[:, 0] = red, -red
        return logits


def write_red_labels(
    folder: Path, sizes_wh: Sequence[tuple[int, int]] = ((60, 40), (40, 64), (50, 50))
) -> tuple[Path, Path]:
    """A red ellipse in each image; on its rim, no class is known. Returns images and label maps."""
    images, labels = folder / "images", folder / "labels"
    for place in (images, labels):
        place.mkdir(parents=True)
    for number, (width, height) in enumerate(sizes_wh):
        mask = np.zeros((height, width), np.uint8)
        ellipse: Any = ((width / 2, height / 2), (width * 0.6, height * 0.7), 0)
        cv2.ellipse(mask, ellipse, (PERSON,), cv2.FILLED)
        red = np.zeros((height, width, 3), np.uint8)
        red[mask > 0] = (255, 0, 0)
        Image.fromarray(red).save(images / f"red_{number}.png")
        cv2.ellipse(mask, ellipse, (255,), 2)
        (labels / f"red_{number}.png").write_bytes(palette_png(mask))
    return images, labels


def red_labels(folder: Path) -> list[LabelledImage]:
    images, labels = write_red_labels(folder)
    return load_labelled(labels, images)
