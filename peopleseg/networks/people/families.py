"""The families of the people system's networks, by the names that checkpoints give them."""

from collections.abc import Callable

from torch import nn

from peopleseg.networks.people.feature_head import RoiFeatureHead
from peopleseg.networks.people.onnx_detector import detector
from peopleseg.networks.people.people_unet import PeopleUNet
from peopleseg.networks.people.person_mask_head import person_mask_head

FAMILIES: dict[str, Callable[..., nn.Module]] = {
    "yolov9": detector,
    "people_unet": PeopleUNet,
    "hierarchical_head": person_mask_head,
    "feature_head": RoiFeatureHead,
}
COMPANIONS = {"people_unet": "people_unet", "detector": "yolov9"}  # attribute to family
