"""The families of people's networks, by the names that checkpoints give them."""

from pathlib import Path

from conversion.export.exportable import Exportable
from conversion.export.family import Family, Source, of_network
from conversion.export.inputs import ImageInputs, Inputs
from conversion.people.accuracy import (
    annotated_images,
    detector_accuracy,
    head_accuracy,
    unet_accuracy,
)
from conversion.people.exportable import of_detector, of_feature_head, of_mask_head, of_people_unet
from conversion.people.inputs import RoiInputs, RoiReader
from peopleseg.networks.checkpoint import Loaded
from peopleseg.networks.people.feature_head import ROI_PADDING


def _of_images(source: Source, repository: Path) -> Inputs:
    return ImageInputs()


def _of_rois(source: Source, repository: Path) -> Inputs:
    exportable = source.exportable
    return RoiInputs(exportable, RoiReader(source.loaded, exportable, repository))


def _feature_head(loaded: Loaded, roi_padding: float = ROI_PADDING) -> Exportable:
    """roi_padding: of the boxes that it was trained on, as published if left out."""
    return of_feature_head(loaded.network, roi_padding)


FAMILIES = {
    "yolov9": Family(of_network(of_detector), _of_images, annotated_images, detector_accuracy),
    "people_unet": Family(of_network(of_people_unet), _of_images, annotated_images, unet_accuracy),
    "hierarchical_head": Family(
        of_network(of_mask_head), _of_rois, annotated_images, head_accuracy
    ),
    "feature_head": Family(
        _feature_head, _of_rois, annotated_images, head_accuracy, options=("roi_padding",)
    ),
}
NOT_THEIRS = {"roi_padding": "a {family} reads no boxes that were widened; leave out --roi-padding"}
