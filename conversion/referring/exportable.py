"""Networks of the referring system as they are exported."""

from typing import Any

import torch
from torch import Tensor, nn

from conversion.export.exportable import Exportable, Shape
from peopleseg.networks.referring.pose import PersonPose
from peopleseg.systems.referring.contract import PERSON_POSE


class ExportablePose(nn.Module):
    """crops [B, 3, H, W] uint8 to joints [B, 17, 3], the places and the visibility in [0, 1], and
    looks [B, L]."""

    def __init__(self, network: PersonPose) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        pixels = crops.float() / 255
        pose = self.network(pixels)
        places = self.network.places(pose.heatmaps)
        joints = torch.cat((places, pose.visibility.sigmoid()[..., None]), dim=2)
        return joints, self.network.looks(pixels, pose, places)


def of_pose(network: Any) -> Exportable:
    module = ExportablePose(network).eval()
    shapes: dict[str, Shape] = {"crops": (3, *network.size_hw)}
    return Exportable(PERSON_POSE, module, module, shapes, network.dims)
