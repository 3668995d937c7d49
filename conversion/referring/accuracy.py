"""The metric of pose networks, in the annotated boxes."""

from collections.abc import Sequence

import numpy as np

from conversion.export.accuracy import Accuracy, with_progress
from conversion.export.exportable import Exportable
from conversion.export.inputs import Inputs
from conversion.export.runners import Runner
from conversion.export.settings import ExportError, Settings
from peopleseg.labels.coco_file import AnnotationError
from peopleseg.labels.poses import Posed, load_poses
from peopleseg.pixels.images import decode_image
from peopleseg.systems.referring.contract import CROPS, JOINTS
from peopleseg.systems.referring.crops import TO_EDGE, crop, crop_matrix, inverse, mapped
from peopleseg.systems.referring.evaluation.oks import oks

METRIC = "oks"  # the mean over the people


def posed_people(settings: Settings) -> list[Posed]:
    """Those to measure on. Raises ExportError when the keypoints cannot be read."""
    assert settings.images is not None and settings.annotations is not None
    try:
        return load_poses(settings.annotations, settings.images)[: settings.limit]
    except AnnotationError as error:
        raise ExportError(f"{error}; nothing was written") from error


def pose_accuracy(exportable: Exportable, people: Sequence[Posed], inputs: Inputs) -> Accuracy:
    """Of the keypoints in the image."""
    height, width = exportable.input_shapes[CROPS.name][1:]
    return Accuracy(METRIC, lambda run: _mean_oks(run, people, (height, width)))


def _mean_oks(run: Runner, people: Sequence[Posed], size_hw: tuple[int, int]) -> float:
    alike = []
    for one in with_progress(people):
        matrix = crop_matrix(one.person.box_xyxy, size_hw)
        view = crop(decode_image(one.image.read()), matrix, size_hw)
        joints = run({CROPS.name: view.transpose(2, 0, 1)[None].copy()})[JOINTS.name][0]
        places = mapped(joints[:, :2].astype(np.float64) * size_hw[::-1], inverse(matrix)) - TO_EDGE
        known = one.keypoints[:, 2] > 0
        alike.append(oks(places[None], one.keypoints[:, :2], known, one.area_px)[0])
    return float(np.mean(alike))
