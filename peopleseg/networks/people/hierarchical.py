"""The hierarchical mask head: background or person first, then which person.

A from-scratch implementation of "RGB Hierarchical UNet V2" (PINTO0309/human-instance-segmentation,
MIT): for every roi, logits of background, target and non-target (other people) at twice the roi's
size. Module names follow the published checkpoints, so that their weights import by name.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from timm.layers.squeeze_excite import SEModule
from torch import Tensor, nn
from torch.nn import functional as F

from peopleseg.networks.people.mask_head import UNET_CHANNELS, HeadOutput, MaskHead, combine
from peopleseg.networks.resizing import resized
from peopleseg.systems.people.contract import ROI_SIZE_HW

RGB_CHANNELS = 256  # of the extractor, the combiner and the head


@dataclass(frozen=True)
class HeadVariant:
    """Dimensions of one published variant."""

    people_unet: str  # the encoder it was trained beside
    base_channels: int  # of EnhancedUNet's first level
    depth: int  # levels of EnhancedUNet


VARIANTS = {
    "b0": HeadVariant("b0", base_channels=64, depth=3),
    "b1": HeadVariant("b1", base_channels=64, depth=3),
    "b1_enhanced": HeadVariant("b1", base_channels=72, depth=3),
    "b7": HeadVariant("b7", base_channels=64, depth=3),
    "b7_enhanced": HeadVariant("b7", base_channels=96, depth=4),
}


class PersonMaskHead(MaskHead):
    """RGB extractor, combiner and hierarchical head, as published. The layers take rois of any
    size; features are resized to it."""

    def __init__(
        self,
        variant: str = "b0",
        feature_channels: int = 0,
        reads_person_logit: bool = True,
        roi_size_hw: Sequence[int] = ROI_SIZE_HW,
    ) -> None:
        if variant not in VARIANTS:
            raise ValueError(f"head variant {variant!r} is not one of {', '.join(VARIANTS)}")
        super().__init__(variant, feature_channels, reads_person_logit, roi_size_hw)
        dims = VARIANTS[variant]
        self.rgb_feature_extractor = rgb_feature_extractor()
        combined = RGB_CHANNELS + UNET_CHANNELS * reads_person_logit + feature_channels
        self.feature_combiner = nn.Conv2d(combined, RGB_CHANNELS, 1)
        self.segmentation_head = SegmentationHead(dims.base_channels, dims.depth)

    def forward(
        self,
        roi_rgb: Tensor,
        roi_logit: Tensor | None = None,
        roi_features: Tensor | None = None,
        *,
        refine: bool = False,
    ) -> HeadOutput:
        """See `MaskHead`; `refine` runs the contour and distance branches."""
        parts = [self.rgb_feature_extractor(roi_rgb)]
        if roi_logit is not None:
            parts += [roi_logit, -roi_logit]
        if roi_features is not None:
            size_hw = roi_rgb.shape[2:]
            parts.append(
                F.interpolate(roi_features, size=size_hw, mode="bilinear", align_corners=False)
            )
        combined = self.feature_combiner(torch.cat(parts, dim=1))
        return self.segmentation_head(combined, refine=refine)  # type: ignore[no-any-return]


class ResidualBlock(nn.Module):
    """act(x + norm(conv(act(norm(conv(x))))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(x + self.norm2(self.conv2(y)))


def _conv_norm_relu(in_channels: int, out_channels: int, kernel: int = 3) -> list[nn.Module]:
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)
    return [conv, nn.BatchNorm2d(out_channels), nn.ReLU()]


def rgb_feature_extractor() -> nn.Sequential:
    """RGB [N, 3, h, w] to [N, 256, h, w], without down-sampling."""
    layers: list[nn.Module] = []
    for in_channels, out_channels in ((3, 64), (64, 128), (128, RGB_CHANNELS)):
        layers += [*_conv_norm_relu(in_channels, out_channels), ResidualBlock(out_channels)]
    return nn.Sequential(*layers, *_conv_norm_relu(RGB_CHANNELS, RGB_CHANNELS, kernel=1))


class EnhancedUNet(nn.Module):
    """A residual UNet with a gated bottleneck: [N, 256, h, w] to two class logits [N, 2, h, w].

    Level i of `depth` has base * 2^i channels.
    """

    def __init__(self, in_channels: int, base_channels: int, depth: int) -> None:
        super().__init__()
        widths = [base_channels * 2**level for level in range(depth)]
        self.encoders = nn.ModuleList(
            [self._first_level(in_channels, widths[0])]
            + [self._level(a, b) for a, b in zip(widths, widths[1:], strict=False)]
        )
        deepest = widths[-1]
        self.bottleneck = nn.Sequential(
            ResidualBlock(deepest),
            ResidualBlock(deepest),
            *_conv_norm_relu(deepest, deepest),
            nn.Conv2d(deepest, deepest, 1),
            nn.Sigmoid(),
        )
        self.bottleneck_conv = nn.Conv2d(deepest, deepest, 3, padding=1)
        upward = list(zip(widths[:0:-1], widths[-2::-1], strict=True))  # deep to shallow
        self.upconvs = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, 2) for a, b in upward)
        self.decoders = nn.ModuleList(self._first_level(2 * b, b) for _, b in upward)
        self.final = nn.Sequential(
            *_conv_norm_relu(base_channels, base_channels // 2),
            nn.Conv2d(base_channels // 2, 2, 1),
        )

    @staticmethod
    def _first_level(in_channels: int, out_channels: int) -> nn.Sequential:
        return nn.Sequential(
            *_conv_norm_relu(in_channels, out_channels),
            ResidualBlock(out_channels),
            ResidualBlock(out_channels),
        )

    @staticmethod
    def _level(in_channels: int, out_channels: int) -> nn.Sequential:
        return nn.Sequential(
            ResidualBlock(in_channels),
            ResidualBlock(in_channels),
            *_conv_norm_relu(in_channels, out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        skips: list[Tensor] = []
        for level, encoder in enumerate(self.encoders):
            x = encoder(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        x = self.bottleneck(x) * self.bottleneck_conv(x)
        for skip, upconv, decoder in zip(skips[-2::-1], self.upconvs, self.decoders, strict=True):
            x = decoder(torch.cat((resized(upconv(x), skip.shape[2:]), skip), dim=1))
        return self.final(x)


class SpatialAttention(nn.Module):
    """Weight every position by its channel mean and maximum (CBAM, arXiv:1807.06521)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat((x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)), dim=1)
        return x * self.conv(pooled).sigmoid()


class HierarchicalHead(nn.Module):
    """Person against background, gating the features that tell target from non-target."""

    def __init__(self, base_channels: int, depth: int, channels: int = RGB_CHANNELS) -> None:
        super().__init__()
        self.shared_features = nn.Sequential(
            *_conv_norm_relu(channels, channels),
            nn.Dropout2d(0.1),
            ResidualBlock(channels),
            nn.Dropout2d(0.1),
            ResidualBlock(channels),
        )
        self.bg_vs_fg_unet = EnhancedUNet(channels, base_channels, depth)
        self.upsample_bg_fg = nn.Sequential(
            nn.ConvTranspose2d(2, 32, 2, 2), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 2, 1)
        )
        self.fg_gate = nn.Sequential(
            nn.Conv2d(2, 64, 1),
            nn.ReLU(),
            nn.Dropout2d(0.05),
            nn.Conv2d(64, 128, 1),
            nn.ReLU(),
            nn.Conv2d(128, channels, 1),
            nn.Sigmoid(),
        )
        self.target_vs_nontarget_branch = nn.Sequential(
            ResidualBlock(channels),
            SpatialAttention(),
            nn.Dropout2d(0.1),
            nn.ConvTranspose2d(channels, 128, 2, 2),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            SEModule(128, rd_channels=16, bias=False),  # arXiv:1709.01507
            nn.Dropout2d(0.1),
            ResidualBlock(128),
            nn.Conv2d(128, 2, 1),
        )

    def forward(self, combined: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[N, 256, h, w] to shared features and the two branches' logits (see `HeadOutput`)."""
        shared = self.shared_features(combined)
        person_logits_low = self.bg_vs_fg_unet(shared)
        person_logits = self.upsample_bg_fg(person_logits_low)
        gated = shared * self.fg_gate(person_logits_low)
        return shared, person_logits, self.target_vs_nontarget_branch(gated)


class ContourBranch(nn.Module):
    """Contour logits (the source applies a sigmoid and then a loss on logits; here: logits)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.contour_branch = nn.Sequential(
            *_conv_norm_relu(channels, 64), *_conv_norm_relu(64, 64), nn.Conv2d(64, 1, 1)
        )

    def forward(self, shared: Tensor) -> Tensor:
        return self.contour_branch(shared)


class DistanceDecoder(nn.Module):
    """A distance map of the target and the learnt threshold that turns it into a mask."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.distance_head = nn.Sequential(
            *_conv_norm_relu(channels, 128), ResidualBlock(128), nn.Conv2d(128, 1, 1)
        )
        self.threshold = nn.Parameter(torch.tensor(0.3))

    def forward(self, shared: Tensor) -> Tensor:
        return self.distance_head(shared)


class SegmentationHead(nn.Module):
    """The hierarchical head with its two refinement branches, which only training runs."""

    def __init__(self, base_channels: int, depth: int, channels: int = RGB_CHANNELS) -> None:
        super().__init__()
        self.base_head = HierarchicalHead(base_channels, depth, channels)
        self.contour_branch = ContourBranch(channels)
        self.distance_decoder = DistanceDecoder(channels)

    def forward(self, combined: Tensor, *, refine: bool = False) -> HeadOutput:
        shared, person_logits, target_logits = self.base_head(combined)
        mask_logits = combine(person_logits, target_logits)
        output = HeadOutput(mask_logits, person_logits, target_logits)
        if not refine:
            return output
        size_hw = mask_logits.shape[2:]
        return output._replace(
            contour_logits=resized(self.contour_branch(shared), size_hw),
            distance=resized(self.distance_decoder(shared), size_hw),
        )
