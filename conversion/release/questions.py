"""The requests by which a release is tried: one of each ensemble for any picture."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from peopleseg.client import wire
from peopleseg.client.wire import Request
from peopleseg.pixels.images import decode_image
from peopleseg.repository.tensors import bytes_tensor

# In widths and heights of the picture: all of it, its middle and below its edge, a small one.
_BOXES = np.array([[0.0, 0.0, 1.0, 1.0], [0.25, 0.125, 0.75, 1.125], [0.5, 0.5, 0.625, 0.75]])


def question(ensemble: str, image: bytes) -> Request:
    """A request for one encoded picture."""
    if ensemble == wire.PEOPLE_FOREGROUND.name:
        return wire.foreground_request(image)
    if ensemble == wire.FROM_BOXES.name:
        return wire.segment_from_boxes_request(image, boxes_of(image))
    return wire.segment_request(image)._replace(model_name=ensemble)


def tensors(ensemble: str, image: bytes) -> dict[str, NDArray[Any]]:
    """The same request by the ensemble's input tensors."""
    asked: dict[str, NDArray[Any]] = {"image": bytes_tensor(image)}
    return asked | ({"boxes": boxes_of(image)} if ensemble == wire.FROM_BOXES.name else {})


def boxes_of(image: bytes) -> NDArray[np.float32]:
    """(3, 4) xyxy in pixels of an encoded picture, one of them partly outside."""
    height, width = decode_image(image).shape[:2]
    return (_BOXES * [width, height, width, height]).astype(np.float32)
