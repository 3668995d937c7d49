"""A mask head for CPUs: the published head's branches on a UNet of ghost blocks.

It costs less than a hundredth of the published head's operations. Ghost modules: Han et al. 2020,
arXiv:1911.11907; squeeze and excitation: Hu et al. 2018, arXiv:1709.01507.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import Conv2dNormActivation

from peopleseg.networks.people.mask_head import UNET_CHANNELS, HeadOutput, MaskHead, combine
from peopleseg.networks.resizing import doubled, resized
from peopleseg.systems.people.contract import ROI_SIZE_HW

LITE = "lite"  # its name as a variant
WIDTHS = (32, 64, 128, 192)  # channels at the roi's size, a half, a quarter, an eighth of it
FEATURE_WIDTH = 64  # to which the detector's features are reduced
UP_WIDTH = 16  # of a branch at the mask's size


class LiteMaskHead(MaskHead):
    """RGB and the person logit enter at the roi's size, the detector's features at half of it."""

    def __init__(
        self,
        feature_channels: int = 0,
        reads_person_logit: bool = True,
        roi_size_hw: Sequence[int] = ROI_SIZE_HW,
        judges_presence: bool = False,
    ) -> None:
        super().__init__(LITE, feature_channels, reads_person_logit, roi_size_hw, judges_presence)
        in_channels = 3 + UNET_CHANNELS * reads_person_logit
        self.stem = Conv2dNormActivation(in_channels, WIDTHS[0], 3)
        self.feature_reducer = (
            Conv2dNormActivation(feature_channels, FEATURE_WIDTH, 1) if feature_channels else None
        )
        self.unet = GhostUNet(FEATURE_WIDTH if feature_channels else 0)
        self.person_branch = nn.Conv2d(WIDTHS[0], 2, 1)
        self.person_up = _to_mask_size(WIDTHS[0])
        self.gate = nn.Conv2d(2, WIDTHS[0], 1)
        self.target_branch = nn.Sequential(
            GhostBlock(WIDTHS[0]), GhostBlock(WIDTHS[0]), _to_mask_size(WIDTHS[0])
        )
        self.presence = nn.Conv2d(WIDTHS[-1] + WIDTHS[0], 1, 1) if judges_presence else None

    def forward(
        self,
        roi_rgb: Tensor,
        roi_logit: Tensor | None = None,
        roi_features: Tensor | None = None,
        *,
        refine: bool = False,
    ) -> HeadOutput:
        """See `MaskHead`; there is nothing to refine."""
        parts = [2 * roi_rgb - 1]
        if roi_logit is not None:
            parts += [roi_logit, -roi_logit]
        reduced = self.feature_reducer(roi_features) if self.feature_reducer is not None else None
        shared, context = self.unet(self.stem(torch.cat(parts, dim=1)), reduced)
        person_logits_low = self.person_branch(shared)
        person_logits = doubled(person_logits_low) + self.person_up(shared)
        gated = shared * self.gate(person_logits_low).sigmoid()
        target_logits = self.target_branch(gated)
        output = HeadOutput(combine(person_logits, target_logits), person_logits, target_logits)
        if self.presence is None:
            return output
        return output._replace(presence_logit=self.presence(_pooled(context, shared)).flatten(1))


class GhostUNet(nn.Module):
    """[N, WIDTHS[0], h, w] to the same, and to the deepest level's [N, WIDTHS[-1], h / 8, w / 8].

    `extra_channels` join at half the size.
    """

    def __init__(self, extra_channels: int) -> None:
        super().__init__()
        pairs = list(zip(WIDTHS[:-1], WIDTHS[1:], strict=True))
        self.encoders = nn.ModuleList(_two_blocks(width) for width in WIDTHS)
        self.downs = nn.ModuleList(Conv2dNormActivation(a, b, 3, stride=2) for a, b in pairs)
        self.join = Conv2dNormActivation(WIDTHS[1] + extra_channels, WIDTHS[1], 1)
        self.context = ChannelAttention(WIDTHS[-1])
        self.ups = nn.ModuleList(Conv2dNormActivation(a + b, a, 1) for a, b in reversed(pairs))
        self.decoders = nn.ModuleList(_two_blocks(a) for a, _ in reversed(pairs))

    def forward(self, x: Tensor, extra: Tensor | None) -> tuple[Tensor, Tensor]:
        skips = [self.encoders[0](x)]
        for level, (down, encoder) in enumerate(zip(self.downs, self.encoders[1:], strict=True)):
            x = down(skips[-1])
            if level == 0:
                x = self.join(
                    x if extra is None else torch.cat((x, resized(extra, x.shape[2:])), dim=1)
                )
            skips.append(encoder(x))
        x = context = self.context(skips.pop())
        for skip, up, decoder in zip(reversed(skips), self.ups, self.decoders, strict=True):
            x = decoder(up(torch.cat((skip, resized(x, skip.shape[2:])), dim=1)))
        return x, context


class Ghost(nn.Module):
    """Half the channels by a 1x1 convolution, the other half from those by a depth-wise one."""

    def __init__(self, in_channels: int, out_channels: int, *, activation: bool = True) -> None:
        super().__init__()
        half, act = out_channels // 2, nn.ReLU if activation else None
        self.primary = Conv2dNormActivation(in_channels, half, 1, activation_layer=act)
        self.cheap = Conv2dNormActivation(half, half, groups=half, activation_layer=act)

    def forward(self, x: Tensor) -> Tensor:
        x = self.primary(x)
        return torch.cat((x, self.cheap(x)), dim=1)


class GhostBlock(nn.Module):
    """x plus two ghost modules, twice as wide between them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.widen = Ghost(channels, 2 * channels)
        self.narrow = Ghost(2 * channels, channels, activation=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(self.widen(x))


class ChannelAttention(nn.Module):
    """Weight every channel by what the whole roi shows."""

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // reduction, 1)
        self.excite = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.excite(F.relu(self.squeeze(x.mean(dim=(2, 3), keepdim=True))))
        return x * weights.sigmoid()


def _pooled(*maps: Tensor) -> Tensor:
    """Each channel's mean, [N, C, 1, 1]: what is learned from it changes no map."""
    return torch.cat([one.detach().mean(dim=(2, 3), keepdim=True) for one in maps], dim=1)


def _two_blocks(channels: int) -> nn.Sequential:
    return nn.Sequential(GhostBlock(channels), GhostBlock(channels))


def _to_mask_size(channels: int) -> nn.Sequential:
    """Two logits at twice the size."""
    return nn.Sequential(
        nn.ConvTranspose2d(channels, UP_WIDTH, 2, 2, bias=False),
        nn.BatchNorm2d(UP_WIDTH),
        nn.ReLU(),
        nn.Conv2d(UP_WIDTH, 2, 3, padding=1),
    )
