"""The families of the referring networks, by the names that checkpoints give them."""

from pathlib import Path

from conversion.export.exportable import Exportable
from conversion.export.family import Family, Source
from conversion.export.inputs import Inputs
from conversion.referring.accuracy import pose_accuracy, posed_people
from conversion.referring.exportable import of_pose
from conversion.referring.inputs import CropInputs
from peopleseg.networks.checkpoint import Loaded


def _pose(loaded: Loaded) -> Exportable:
    return of_pose(loaded.network)


def _crops(source: Source, repository: Path) -> Inputs:
    _, height, width = source.exportable.input_shapes["crops"]
    return CropInputs((height, width))


FAMILIES = {"person_pose": Family(_pose, _crops, posed_people, pose_accuracy)}
NOT_THEIRS: dict[str, str] = {}
