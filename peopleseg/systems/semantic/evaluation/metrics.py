"""Measure class maps against label maps.

Over the pixels of all images together, those of no known class left out:

miou_present
    The mean over the classes that the labels have of the IoU of found and true pixels.
miou
    The mean over all classes; one that neither the labels nor what was found have counts 0.
pixel_accuracy
    The share of the pixels whose class is found.
boundary_iou
    The mean over the classes that the labels have of the IoU of found and true boundaries: the
    pixels of a class within 2 % of the image's diagonal of its edge (Cheng et al. 2021,
    arXiv:2103.16562).
iou NAME
    Of one class.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from peopleseg.labels.label_maps import UNKNOWN

METRICS_VERSION = 1  # of the definitions above
ENOUGH_IMAGES = 20  # that a class is in, for its IoU to tell something
BOUNDARY_SHARE = 0.02  # of the image's diagonal

Counts = NDArray[np.int64]


@dataclass
class Confusion:
    """Pixels counted by true and by found class, over many images."""

    names: Sequence[str]
    images: int = 0
    pixels: Counts = field(init=False)  # (classes, classes): rows are true, columns are found
    boundaries: Counts = field(init=False)  # (classes, 2): pixels in both bands, and in either
    seen_in: Counts = field(init=False)  # (classes,) images whose labels have the class

    def __post_init__(self) -> None:
        classes = len(self.names)
        self.pixels = np.zeros((classes, classes), np.int64)
        self.boundaries = np.zeros((classes, 2), np.int64)
        self.seen_in = np.zeros(classes, np.int64)

    @classmethod
    def of(
        cls, true: NDArray[np.uint8], found: NDArray[np.uint8], names: Sequence[str]
    ) -> "Confusion":
        """Of one image, see `add`."""
        one = cls(names)
        one.add(true, found)
        return one

    def add(self, true: NDArray[np.uint8], found: NDArray[np.uint8]) -> None:
        """One image's label map and class map, both (H, W). Raises ValueError for two sizes."""
        if true.shape != found.shape:
            raise ValueError(f"the class map is {found.shape}, the label map {true.shape}")
        counted = confusion(true, found, len(self.names))
        self.images += 1
        self.pixels += counted
        self.seen_in += counted.any(axis=1)
        known = true != UNKNOWN
        for one in np.unique(np.concatenate((true[known], found[known]))):
            bands = [boundary((classes == one) & known) for classes in (true, found)]
            self.boundaries[one] += np.logical_and(*bands).sum(), np.logical_or(*bands).sum()

    def __add__(self, other: "Confusion") -> "Confusion":
        """Of the images of both, which tell the same classes apart."""
        total = Confusion(self.names, self.images + other.images)
        total.pixels = self.pixels + other.pixels
        total.boundaries = self.boundaries + other.boundaries
        total.seen_in = self.seen_in + other.seen_in
        return total

    def metrics(self) -> dict[str, float | int | None]:
        """All metrics of this page's head; None where there is nothing to measure."""
        present = self.pixels.sum(axis=1) > 0
        ious, total = self.ious(), int(self.pixels.sum())
        both, either = self.boundaries.T
        boundary_ious = both / np.maximum(either, 1)
        shown = {
            f"iou {n}": float(i) if p else None
            for n, i, p in zip(self.names, ious, present, strict=True)
        }
        return {
            "miou_present": _mean(ious[present]),
            "miou": _mean(ious) if total else None,
            "pixel_accuracy": float(np.trace(self.pixels) / total) if total else None,
            "boundary_iou": _mean(boundary_ious[present]),
            **shown,
            "images": self.images,
        }

    def ious(self) -> NDArray[np.float64]:
        """(classes,) IoU of each class; 0 for one that is neither true nor found."""
        both = np.diag(self.pixels)
        either = self.pixels.sum(axis=0) + self.pixels.sum(axis=1) - both
        return both / np.maximum(either, 1)

    def trusted_ious(self) -> dict[str, float | None]:
        """`iou NAME` of each class; None for one that is in fewer than ENOUGH_IMAGES."""
        found = zip(self.names, self.ious(), self.seen_in, strict=True)
        return {
            f"iou {name}": float(iou) if images >= ENOUGH_IMAGES else None
            for name, iou, images in found
        }


def confusion(true: NDArray[np.uint8], found: NDArray[np.uint8], classes: int) -> Counts:
    """(classes, classes) pixels of one image by true (row) and found class; UNKNOWN left out."""
    known = true != UNKNOWN
    pairs = true[known].astype(np.int64) * classes + found[known]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def boundary(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of a mask (H, W) that lie near its edge; the image's own edge is one, too."""
    height, width = mask.shape
    reach = max(1, round(BOUNDARY_SHARE * math.hypot(height, width)))
    padded = np.pad(mask.astype(np.uint8), 1)
    inner = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=reach)[1:-1, 1:-1]
    return mask & (inner == 0)


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if values.size else None
