"""What tries the ensembles with any image: their input tensors."""

import numpy as np
from numpy.typing import NDArray

from peopleseg.pixels.images import decode_image
from peopleseg.repository.tensors import bytes_tensor
from peopleseg.systems.people.contract import BOXES
from peopleseg.systems.shared.contract import IMAGE
from peopleseg.systems.step import Arrays

# In widths and heights of the image: all of it, its middle and below its edge, a small one.
_BOXES = np.array([[0.0, 0.0, 1.0, 1.0], [0.25, 0.125, 0.75, 1.125], [0.5, 0.5, 0.625, 0.75]])


def of_image(image: bytes) -> Arrays:
    return {IMAGE.name: bytes_tensor(image)}


def of_boxes(image: bytes) -> Arrays:
    return of_image(image) | {BOXES.name: boxes_in(image)}


def boxes_in(image: bytes) -> NDArray[np.float32]:
    """(3, 4) xyxy in pixels of an encoded image, one of them partly outside."""
    height, width = decode_image(image).shape[:2]
    return (_BOXES * [width, height, width, height]).astype(np.float32)
