"""The metrics that releases of the semantic system are judged by."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from peopleseg.errors import PeoplesegError
from peopleseg.labels.label_maps import LabelledImage, load_labelled
from peopleseg.repository.tensors import bytes_tensor
from peopleseg.systems.pipeline import Pipeline
from peopleseg.systems.semantic.classified import names_of
from peopleseg.systems.semantic.contract import CLASSES, NAMES, SEMANTIC_SEGMENTATION
from peopleseg.systems.semantic.evaluation.metrics import ENOUGH_IMAGES, Confusion
from peopleseg.systems.shared.contract import IMAGE
from peopleseg.systems.system import Metrics, Response

METRICS = ("miou_present", "pixel_accuracy", "boundary_iou")
NEEDED = ("miou_present", "pixel_accuracy")


class Unmeasured(PeoplesegError):
    """An image on which a version fails. The message says which, and how."""


def read(annotations: Path, images: Path, limit: int | None = None) -> list[LabelledImage]:
    """The images of a folder of label maps, or of a list of Pascal VOC. Raises AnnotationError."""
    return load_labelled(annotations, images)[:limit]


def measure(pipeline: Pipeline, images: Sequence[LabelledImage]) -> Metrics:
    """METRICS, the IoU of each class, and how many images.

    A class that is in fewer than ENOUGH_IMAGES has None: by so few, nobody can tell whether a
    network is worse. Raises Unmeasured.
    """
    total: Confusion | None = None
    for image in tqdm(images, unit="image", disable=None, leave=False):
        try:
            response = pipeline.call(SEMANTIC_SEGMENTATION.name, _request(image.read()))
            measured = confusion_of(image, response)
        except Exception as error:  # whatever a network does, it is this version's fault
            raise Unmeasured(f"{image.path}: {error}") from error
        total = measured if total is None else total + measured
    if total is None:
        return dict.fromkeys(METRICS) | {"images": 0}
    found = total.metrics()
    return {name: found[name] for name in METRICS} | trusted_ious(total) | {"images": total.images}


def confusion_of(image: LabelledImage, response: Response) -> Confusion:
    """What one image adds to the metrics, of the tensors CLASSES and NAMES.

    Raises AnnotationError, and ValueError for a response of another size than the label map.
    """
    return compared(image, response[CLASSES.name], names_of(response[NAMES.name]))


def compared(image: LabelledImage, classes: NDArray[np.uint8], names: Sequence[str]) -> Confusion:
    """The same of a class map (H, W) and the names of its classes."""
    confusion = Confusion(names)
    confusion.add(image.label_map(len(names)), classes)
    return confusion


def trusted_ious(confusion: Confusion) -> dict[str, float | None]:
    """`iou NAME` of each class; None for one that is in fewer than ENOUGH_IMAGES."""
    return {
        f"iou {name}": float(iou) if images >= ENOUGH_IMAGES else None
        for name, iou, images in zip(
            confusion.names, confusion.ious(), confusion.seen_in, strict=True
        )
    }


def _request(image: bytes) -> dict[str, NDArray[np.object_]]:
    return {IMAGE.name: bytes_tensor(image)}
