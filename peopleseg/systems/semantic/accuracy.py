"""The metrics that releases of the semantic system are judged by."""

from collections.abc import Sequence
from functools import reduce

from tqdm import tqdm

from peopleseg.labels.label_maps import LabelledImage
from peopleseg.repository.tensors import bytes_tensor
from peopleseg.systems.pipeline import Pipeline
from peopleseg.systems.semantic.classified import names_of
from peopleseg.systems.semantic.contract import CLASSES, NAMES, SEMANTIC_SEGMENTATION
from peopleseg.systems.semantic.evaluation.metrics import Confusion
from peopleseg.systems.shared.contract import IMAGE
from peopleseg.systems.system import Metrics, Unmeasured

METRICS = ("miou_present", "pixel_accuracy", "boundary_iou")
NEEDED = ("miou_present", "pixel_accuracy")


def measure(pipeline: Pipeline, images: Sequence[LabelledImage]) -> Metrics:
    """METRICS, the IoU of each class that is in enough images to tell, and how many images.

    There has to be an image. Raises Unmeasured.
    """
    shown = tqdm(images, unit="image", disable=None, leave=False)
    total = reduce(Confusion.__add__, (_confusion(pipeline, image) for image in shown))
    found = total.metrics()
    return {name: found[name] for name in (*METRICS, "images")} | total.trusted_ious()


def _confusion(pipeline: Pipeline, image: LabelledImage) -> Confusion:
    try:
        inputs = {IMAGE.name: bytes_tensor(image.read())}
        response = pipeline.call(SEMANTIC_SEGMENTATION.name, inputs)
        names = names_of(response[NAMES.name])
        return Confusion.of(image.label_map(len(names)), response[CLASSES.name], names)
    except Exception as error:  # whatever a network does, it is this version's fault
        raise Unmeasured(f"{image.path}: {error}") from error
