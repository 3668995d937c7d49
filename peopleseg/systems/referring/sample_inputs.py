"""What tries the ensembles with any image: their input tensors."""

import numpy as np

from peopleseg.pixels.images import decode_image
from peopleseg.repository.tensors import bytes_tensor
from peopleseg.systems.referring.contract import OFF, ON, PADDING, POINTS, TEXT
from peopleseg.systems.shared.contract import IMAGE
from peopleseg.systems.step import Arrays

# x, y in widths and heights of the image, and the label: a click in the middle; one with another
# beside it that is not on the person.
_POINTS = np.array([[[0.5, 0.5, ON], [0, 0, PADDING]], [[0.25, 0.5, ON], [0.75, 0.5, OFF]]])
_TEXTS = ("the person on the left", "the tallest person")


def of_text(image: bytes) -> Arrays:
    texts = np.array([text.encode() for text in _TEXTS], np.object_)
    return {IMAGE.name: bytes_tensor(image), TEXT.name: texts}


def of_points(image: bytes) -> Arrays:
    height, width = decode_image(image).shape[:2]
    points = (_POINTS * [width, height, 1]).astype(np.float32)
    return {IMAGE.name: bytes_tensor(image), POINTS.name: points}
