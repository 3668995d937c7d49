"""A pose network's keypoints in annotated boxes."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from peopleseg.systems.referring.crops import TO_EDGE, crop, crop_matrix, inverse, mapped

# (1, 3, H, W) uint8 RGB to the joints' x, y in parts of the crop's sides, (17, 2)
PlacesOf = Callable[[NDArray[np.uint8]], NDArray[np.floating]]


def keypoints_in_box(
    image_rgb: NDArray[np.uint8],
    box_xyxy: Sequence[float],
    size_hw: tuple[int, int],
    places_of: PlacesOf,
) -> NDArray[np.float64]:
    """(17, 2) x, y in pixels of an image (H, W, 3), as COCO counts them."""
    matrix = crop_matrix(box_xyxy, size_hw)
    view = crop(image_rgb, matrix, size_hw).transpose(2, 0, 1)[None]
    places = places_of(np.ascontiguousarray(view)).astype(np.float64)
    return mapped(places * size_hw[::-1], inverse(matrix)) - TO_EDGE
