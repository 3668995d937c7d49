"""Pascal VOC's colours of class numbers, and class maps as palette PNGs."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def palette() -> NDArray[np.uint8]:
    """(256, 3) RGB of every class number, as the VOC development kit computes them."""
    numbers = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for bit in range(8):  # three bits of the number at a time, the highest of the colour first
        for channel in range(3):
            colours[:, channel] |= ((numbers >> (3 * bit + channel) & 1) << (7 - bit)).astype(
                np.uint8
            )
    return colours


def palette_png(classes: NDArray[np.uint8]) -> bytes:
    """(H, W) class numbers as a PNG whose pixels are those numbers, shown in VOC's colours."""
    image = Image.fromarray(classes)
    image.putpalette(palette().tobytes())
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
