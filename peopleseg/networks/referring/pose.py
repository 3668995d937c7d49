"""Where the joints of one person are, in a crop around the person.

A small ImageNet encoder, a pyramid of depth-wise separable convolutions down to stride 4 (Lin et
al. 2017, arXiv:1612.03144) and a heatmap a joint, as top-down pose networks have them (Xiao et al.
2018, arXiv:1804.06208).
"""

from typing import Any, NamedTuple

import torch
from timm.layers.conv_bn_act import ConvNormAct
from torch import Tensor, nn
from torch.nn import functional as F

from peopleseg.networks.normalise import Normalise
from peopleseg.networks.resizing import doubled
from peopleseg.networks.small_encoders import encoder_stages, small_encoder, statistics

JOINTS = 17  # COCO's
STRIDE = 4  # of the heatmaps
LATERAL = slice(1, 5)  # the encoder's maps at strides 4 to 32
WINDOW = 3.0  # cells around a heatmap's peak that its place is the mean of
# Parts of the body whose colour is told, each in the middle of some joints: the head, the chest,
# the belly, thighs, shins and feet.
REGIONS = (
    *((0, 1, 2, 3, 4), (5, 6), (5, 6, 11, 12)),
    *((11, 12, 13, 14), (13, 14, 15, 16), (15, 16)),
)
REGION_CELLS = 2.0  # deviation of the Gaussian around its middle


class Pose(NamedTuple):
    """What is found in B crops."""

    heatmaps: Tensor  # [B, 17, H / 4, W / 4] logits of the cell that a joint is in
    visibility: Tensor  # [B, 17] logits
    deepest: Tensor  # [B, C, H / 32, W / 32] the encoder's last map


class PersonPose(nn.Module):
    """RGB crops in [0, 1], [B, 3, H, W] with multiples of 32, to heatmaps and visibility.

    encoder: one of small_encoders.ENCODERS. size_hw: of the crops. width: channels of the pyramid.
    """

    cells_xy: Tensor

    def __init__(
        self, encoder: str = "lite0", size_hw: tuple[int, int] = (224, 160), width: int = 96
    ) -> None:
        super().__init__()
        if size_hw[0] % 32 or size_hw[1] % 32:
            raise ValueError(f"size_hw is {tuple(size_hw)}, expected multiples of 32")
        self.variant, self.width = encoder, width
        self.size_hw: tuple[int, int] = (size_hw[0], size_hw[1])
        self.normalise = Normalise(*statistics(encoder))
        self.encoder = small_encoder(encoder)
        channels = self.encoder.feature_info.channels()[LATERAL]
        self.lateral = nn.ModuleList(
            ConvNormAct(one, width, 1, act_layer=nn.ReLU) for one in channels
        )
        self.smooth = nn.ModuleList(_separable(width) for _ in channels[:-1])
        self.heatmaps = nn.Conv2d(width, JOINTS, 1)
        self.visibility = nn.Conv1d(JOINTS * width, JOINTS, 1, groups=JOINTS)
        cells = [size // STRIDE for size in self.size_hw]
        self.register_buffer("cells_xy", _centres(*cells), persistent=False)

    @property
    def dims(self) -> dict[str, Any]:
        """The arguments that build this network."""
        return {"encoder": self.variant, "size_hw": list(self.size_hw), "width": self.width}

    @property
    def encoder_stages(self) -> Any:
        """The encoder's parts, shallow to deep."""
        return encoder_stages(self.encoder)

    def forward(self, crops: Tensor) -> Pose:
        maps = self.encoder(self.normalise(crops))[LATERAL]
        x = self.lateral[-1](maps[-1])
        for below, lateral, smooth in zip(
            reversed(maps[:-1]), reversed(self.lateral[:-1]), self.smooth, strict=True
        ):
            x = smooth(doubled(x) + lateral(below))
        heatmaps = self.heatmaps(x)
        # What is seen at the joint tells whether it is seen.
        where = heatmaps.flatten(2).softmax(dim=2)
        found = torch.einsum("bjn,bcn->bjc", where, x.flatten(2))
        visibility = self.visibility(found.flatten(1)[:, :, None])[:, :, 0]
        return Pose(heatmaps, visibility, maps[-1])

    def places(self, heatmaps: Tensor) -> Tensor:
        """[B, 17, 2]: x, y of each joint in parts of the crop's width and height.

        The mean of the cells around the heatmap's peak, by their probabilities: finer than a cell,
        and never between two peaks.
        """
        logits = heatmaps.flatten(2)
        cells = self.cells_xy
        peak = cells[logits.argmax(dim=2)]  # [B, 17, 2]
        near = ((cells - peak[:, :, None]).abs() <= WINDOW + 0.1).all(dim=3)
        weights = logits.masked_fill(~near, -torch.inf).softmax(dim=2)
        width_height = heatmaps.new_tensor([heatmaps.shape[3], heatmaps.shape[2]])
        return weights @ cells / width_height

    def read(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """What is served of crops in [0, 1]: joints [B, 17, 3], x, y in parts of the crop's sides
        and visibility in [0, 1], and `looks`."""
        pose = self(crops)
        places = self.places(pose.heatmaps)
        joints = torch.cat((places, pose.visibility.sigmoid()[..., None]), dim=2)
        return joints, self.looks(crops, pose, places)

    @property
    def looks_length(self) -> int:
        """L of `looks`."""
        return self.encoder.feature_info.channels()[-1] + 3 * len(REGIONS)  # type: ignore[no-any-return]

    def looks(self, crops: Tensor, pose: Pose, places: Tensor) -> Tensor:
        """[B, L]: what a person looks like. The encoder's last map in the mean, then the colour of
        each region, RGB in [0, 1]. places: as `places` returns them."""
        rgb = F.avg_pool2d(crops, STRIDE).flatten(2)  # [B, 3, cells]
        size = places.new_tensor([pose.heatmaps.shape[3], pose.heatmaps.shape[2]])
        middles = torch.stack([places[:, list(one)].mean(dim=1) for one in REGIONS], dim=1)
        away = (middles[:, :, None] * size - self.cells_xy).pow(2).sum(dim=3)
        weights = (-away / (2 * REGION_CELLS**2)).softmax(dim=2)  # [B, regions, cells]
        colours = weights @ rgb.transpose(1, 2)
        return torch.cat((pose.deepest.mean(dim=(2, 3)), colours.flatten(1)), dim=1)


def _separable(width: int) -> nn.Sequential:
    return nn.Sequential(
        ConvNormAct(width, width, 5, groups=width, act_layer=nn.ReLU),
        ConvNormAct(width, width, 1, act_layer=nn.ReLU),
    )


def _centres(rows: int, columns: int) -> Tensor:
    """(rows * columns, 2): x, y of the middle of each cell, in cells."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.stack((x, y), dim=2).flatten(0, 1) + 0.5
