"""Pascal VOC's folders with made-up images: every class has a colour of its own."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from peopleseg.labels.label_maps import UNKNOWN
from peopleseg.systems.semantic.palette import palette

SIZE_HW = (48, 64)
PERSON, CHAIR = 15, 9


def image_and_labels(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(48, 64, 3) RGB and (48, 64): a person before a chair, edges of no known class."""
    random = np.random.default_rng(seed)
    labels = np.zeros(SIZE_HW, np.uint8)
    left, top = (int(n) for n in random.integers(2, 12, 2))
    labels[top : top + 24, left + 16 : left + 44] = CHAIR
    centre = int(random.integers(16, 32)), int(random.integers(16, 32))
    cv2.ellipse(labels, centre, (9, 14), 0, 0, 360, (UNKNOWN,), cv2.FILLED)
    cv2.ellipse(labels, centre, (8, 13), 0, 0, 360, (PERSON,), cv2.FILLED)
    return palette()[np.where(labels == UNKNOWN, PERSON, labels)], labels


def write_voc(root: Path, train: int = 4, val: int = 2) -> Path:
    """VOC2012 with lists train, val and trainval."""
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    names = [f"2012_{number:06}" for number in range(train + val)]
    for seed, name in enumerate(names):
        image, labels = image_and_labels(seed)
        Image.fromarray(image).save(root / "JPEGImages" / f"{name}.jpg", quality=95)
        file = Image.fromarray(labels)
        file.putpalette(palette().tobytes())
        file.save(root / "SegmentationClass" / f"{name}.png")
    lists = {"train": names[:train], "val": names[train:], "trainval": names}
    for split, chosen in lists.items():
        text = "\n".join(chosen) + "\n"
        (root / "ImageSets" / "Segmentation" / f"{split}.txt").write_text(text)
    return root
