"""The metric of pose networks, in the annotated boxes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from conversion.export.accuracy import Accuracy, read_annotated, with_progress
from conversion.export.exportable import Exportable
from conversion.export.inputs import Inputs
from conversion.export.runners import Runner
from conversion.export.settings import Settings
from peopleseg.labels.poses import Posed, load_poses
from peopleseg.pixels.images import decode_image
from peopleseg.systems.referring.contract import CROPS, JOINTS
from peopleseg.systems.referring.evaluation.crop_poses import keypoints_in_box
from peopleseg.systems.referring.evaluation.oks import oks

METRIC = "oks"  # the mean over the people


def posed_people(settings: Settings) -> list[Posed]:
    """Those to measure on. Raises ExportError when the keypoints cannot be read."""
    return read_annotated(settings, load_poses)


def pose_accuracy(exportable: Exportable, people: Sequence[Posed], inputs: Inputs) -> Accuracy:
    """Of the keypoints in the image."""
    height, width = exportable.input_shapes[CROPS.name][1:]
    return Accuracy(METRIC, lambda run: _mean_oks(run, people, (height, width)))


def _mean_oks(run: Runner, people: Sequence[Posed], size_hw: tuple[int, int]) -> float:
    def places_of(view: NDArray[np.uint8]) -> NDArray[np.floating]:
        places: NDArray[np.floating] = run({CROPS.name: view})[JOINTS.name][0, :, :2]
        return places

    alike = []
    for one in with_progress(people):
        image_rgb = decode_image(one.image.read())
        found = keypoints_in_box(image_rgb, one.person.box_xyxy, size_hw, places_of)
        known = one.keypoints[:, 2] > 0
        alike.append(oks(found[None], one.keypoints[:, :2], known, one.area_px)[0])
    return float(np.mean(alike))
