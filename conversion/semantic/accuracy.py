"""The metric of semantic networks, as `peopleseg evaluate` defines it."""

from collections.abc import Sequence
from typing import cast

from conversion.export.accuracy import Accuracy, read_annotated, with_progress
from conversion.export.exportable import Exportable
from conversion.export.inputs import ImageInputs, Inputs
from conversion.export.runners import Runner
from conversion.export.settings import ExportError, Settings
from peopleseg.labels.coco_file import AnnotationError
from peopleseg.labels.label_maps import LabelledImage, load_labelled
from peopleseg.pixels.images import prepare
from peopleseg.systems.semantic.agreement import classes_of
from peopleseg.systems.semantic.contract import CLASS_MAP
from peopleseg.systems.semantic.evaluation.metrics import Confusion
from peopleseg.systems.semantic.response import in_image
from peopleseg.systems.shared.contract import PIXELS

METRIC = "miou_present"


def labelled_images(settings: Settings) -> list[LabelledImage]:
    """Those to measure on. Raises ExportError when the label maps cannot be read."""
    return read_annotated(settings, load_labelled)


def semantic_accuracy(
    exportable: Exportable, images: Sequence[LabelledImage], inputs: Inputs
) -> Accuracy:
    """Of the classes at the images' own sizes."""
    size, names = cast(ImageInputs, inputs).size, classes_of(exportable.dims)
    return Accuracy(METRIC, lambda run: _miou_present(run, images, names, size))


def _miou_present(
    run: Runner, images: Sequence[LabelledImage], names: Sequence[str], size: int
) -> float:
    """Raises ExportError for label maps that cannot be read, or in which nothing is known."""
    found = Confusion(names)
    for image in with_progress(images):
        try:
            pixels, letterbox = prepare(image.read(), size=size)
            labels = image.label_map(len(names))
        except AnnotationError as error:
            raise ExportError(f"{error}; nothing was written") from error
        found.add(labels, in_image(run({PIXELS.name: pixels})[CLASS_MAP.name][0], letterbox))
    metric = found.metrics()[METRIC]
    if metric is None:
        raise ExportError("the label maps know the class of no pixel; nothing was written")
    return float(metric)
