"""One person of a response."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peopleseg.pixels.masks import decode_rle


@dataclass(frozen=True, eq=False)
class Person:
    """Where one person is in the image that was sent."""

    box_xyxy: tuple[float, float, float, float]  # image pixels, within the image
    score: float  # [0, 1]; 1 where the caller brought the box
    mask: NDArray[np.uint8]  # (h, w) probability x 255 of being this person, over the box
    rle: dict[str, Any]  # COCO compressed RLE at the image's size: {"size": [H, W], "counts": str}

    @property
    def image_mask(self) -> NDArray[np.bool_]:
        """(H, W) True where the image shows this person. Decoded anew at each access."""
        return decode_rle(self.rle).astype(np.bool_)
