"""The families of the referring system's networks, by the names that checkpoints give them."""

from collections.abc import Callable

from torch import nn

from peopleseg.networks.referring.chooser import PersonChooser
from peopleseg.networks.referring.network import ReferringNetwork
from peopleseg.networks.referring.pose import PersonPose
from peopleseg.networks.referring.text_encoders import TextEncoder

FAMILIES: dict[str, Callable[..., nn.Module]] = {
    "person_pose": PersonPose,
    "person_chooser": PersonChooser,
    "referring": ReferringNetwork,
    "text_encoder": TextEncoder,
}
COMPANIONS: dict[str, str] = {}
