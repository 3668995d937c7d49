"""The metrics that releases of the referring system are judged by."""

from collections.abc import Sequence
from functools import reduce
from operator import add

import numpy as np
from tqdm import tqdm

from peopleseg.repository.tensors import bytes_tensor
from peopleseg.systems.pipeline import Pipeline
from peopleseg.systems.referring.contract import (
    POINTS,
    REFERRING_PERSON,
    REFERRING_PERSON_FROM_POINTS,
    TEXT,
)
from peopleseg.systems.referring.evaluation.metrics import ReferringMetrics
from peopleseg.systems.referring.evaluation.prompts import Prompted
from peopleseg.systems.referring.found import found_in
from peopleseg.systems.shared.contract import IMAGE
from peopleseg.systems.step import Arrays
from peopleseg.systems.system import Metrics, Unmeasured

METRICS = ("right_person", "oiou", "pckh")
NEEDED = ("right_person", "oiou")


def measure(pipeline: Pipeline, images: Sequence[Prompted]) -> Metrics:
    """METRICS, and how many prompts and images. There has to be an image. Raises Unmeasured."""
    shown = tqdm(images, unit="image", disable=None, leave=False)
    total: ReferringMetrics = reduce(add, (_measured(pipeline, image) for image in shown))
    found = total.metrics()
    return {name: found[name] for name in (*METRICS, "prompts")} | {"images": len(images)}


def _measured(pipeline: Pipeline, image: Prompted) -> ReferringMetrics:
    try:
        ensemble, inputs = _request(image)
        return image.measured(found_in(pipeline.call(ensemble, inputs)))
    except Exception as error:  # whatever a network does, it is this version's fault
        raise Unmeasured(f"{image.path}: {error}") from error


def _request(image: Prompted) -> tuple[str, Arrays]:
    inputs: Arrays = {IMAGE.name: bytes_tensor(image.image.read())}
    if image.points is not None:
        return REFERRING_PERSON_FROM_POINTS.name, inputs | {POINTS.name: image.points}
    texts = np.array([text.encode() for text in image.texts], np.object_)
    return REFERRING_PERSON.name, inputs | {TEXT.name: texts}
