"""The families of the referring networks, by the names that checkpoints give them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conversion.export.accuracy import Accuracy
from conversion.export.exportable import Exportable
from conversion.export.family import Family, Source, of_network
from conversion.export.inputs import Inputs
from conversion.export.settings import ExportError, Settings
from conversion.referring.accuracy import pose_accuracy, posed_people
from conversion.referring.exportable import of_chooser, of_pose, of_text_encoder
from conversion.referring.inputs import CropInputs, MadeInputs


def _crops(source: Source, repository: Path) -> Inputs:
    _, height, width = source.exportable.input_shapes["crops"]
    return CropInputs((height, width))


def _made(source: Source, repository: Path) -> Inputs:
    return MadeInputs(source.exportable.input_shapes)


def _unmeasured(settings: Settings) -> list[Any]:
    """Raises ExportError: nothing tells what INT8 would cost."""
    raise ExportError(
        "what reads texts is not measured by itself, so it is not made in INT8; take --precision "
        "fp32 or fp16"
    )


def _no_accuracy(exportable: Exportable, annotated: Sequence[Any], inputs: Inputs) -> Accuracy:
    raise AssertionError("asked for after `_unmeasured` has refused")


FAMILIES = {
    "person_pose": Family(of_network(of_pose), _crops, posed_people, pose_accuracy),
    "text_encoder": Family(of_network(of_text_encoder), _made, _unmeasured, _no_accuracy),
    "person_chooser": Family(of_network(of_chooser), _made, _unmeasured, _no_accuracy),
}
NOT_THEIRS: dict[str, str] = {}
