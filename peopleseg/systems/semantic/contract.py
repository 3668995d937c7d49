"""The tensor contract of the semantic system, as peopleseg.systems.people.contract is of people.

A class is its number, 0 being the background; `names` tells what they are called.
"""

from peopleseg.repository.tensors import Model, Tensor
from peopleseg.systems.shared.contract import IMAGE, LETTERBOX, MAX_IMAGES, PIXELS

VOC_CLASSES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat"),
    *("chair", "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant"),
    *("sheep", "sofa", "train", "tvmonitor"),
)
BACKGROUND = 0

CLASS_MAP = Tensor("class_map", "UINT8", (-1, -1))  # (S, S) of the square's pixels
CONFIDENCE_MAP = Tensor("confidence_map", "UINT8", (-1, -1))  # (S, S) probability x 255 of it
CLASSES = Tensor("classes", "UINT8", (-1, -1))  # (height, width) of the image sent
CONFIDENCE = Tensor("confidence", "UINT8", (-1, -1))  # (height, width) probability x 255
PALETTE_PNG = Tensor("palette_png", "BYTES", (1,))  # `classes` in Pascal VOC's colours
AREAS = Tensor("areas", "FP32", (-1,))  # share of the image of each class
NAMES = Tensor("names", "BYTES", (-1,))  # of each class

_RESPONSE = (CLASSES, CONFIDENCE, PALETTE_PNG, AREAS, NAMES)


def _one(tensor: Tensor) -> Tensor:
    """The tensor with its batch axis, as a model without batching sees it."""
    return Tensor(tensor.name, tensor.dtype, (1, *tensor.shape))


DEEPLAB = Model("deeplab", (PIXELS,), (CLASS_MAP, CONFIDENCE_MAP), MAX_IMAGES)
POSTPROCESS_CLASSES = Model(
    "postprocess_classes", (_one(CLASS_MAP), _one(LETTERBOX)), (CLASSES, AREAS, NAMES)
)
# Steps of their own: a server runs no step all of whose tensors a request leaves out.
POSTPROCESS_CONFIDENCE = Model(
    "postprocess_confidence", (_one(CONFIDENCE_MAP), _one(LETTERBOX)), (CONFIDENCE,)
)
CLASSES_TO_PNG = Model("classes_to_png", (CLASSES,), (PALETTE_PNG,))
SEMANTIC_SEGMENTATION = Model("semantic_segmentation", (IMAGE,), _RESPONSE)
