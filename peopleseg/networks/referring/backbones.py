"""Backbones by name: four maps of images, at strides 4, 8, 16 and 32."""

from typing import Any, NamedTuple

from torch import Tensor, nn

from peopleseg.errors import WrongUsage
from peopleseg.networks.normalise import Normalise
from peopleseg.networks.referring.names import unknown

STRIDES = (4, 8, 16, 32)
SIZE_MULTIPLE = 32  # of a square's side in pixels

# Xie et al. 2021 (arXiv:2105.15203): channels of the four maps. timm has none of these.
MIX_TRANSFORMERS = {"mit_b0": (32, 64, 160, 256), "mit_b1": (64, 128, 320, 512)}
SHORT_NAMES = {"swin_tiny": "swin_tiny_patch4_window7_224"}
_ANY_SIZE = {"swin": {"strict_img_size": False}}  # what timm is told by the start of a name


class Maps(NamedTuple):
    """What a backbone makes of B images of S x S pixels; the channels are the backbone's."""

    stride_4: Tensor  # [B, C, S / 4, S / 4]
    stride_8: Tensor
    stride_16: Tensor
    stride_32: Tensor


class Backbone(nn.Module):
    """RGB in [0, 1], [B, 3, S, S], to four maps; random weights at first. S is a multiple of 32.

    channels: of the maps. as_published: UniPHD's swin, which ends each map in a norm and shifts its
    windows in the last stage too. Raises WrongUsage for a name that is not known, or a network
    without maps of these strides.
    """

    def __init__(self, name: str, as_published: bool = False) -> None:
        super().__init__()
        self.name = name
        self.model: nn.Module
        self.channels: tuple[int, ...]
        if name in MIX_TRANSFORMERS:
            self.model, self.normalise = _MixTransformer(name), Normalise()
            self.channels = MIX_TRANSFORMERS[name]
        else:
            self.model = maps = _TimmMaps(SHORT_NAMES.get(name, name), as_published)
            self.normalise, self.channels = Normalise(*maps.mean_and_std), maps.channels

    def forward(self, images: Tensor) -> Maps:
        return Maps(*self.model(self.normalise(images)))


class _MixTransformer(nn.Module):
    """The encoder of SegFormer: 3,319,392 (B0) or 13,151,424 (B1) parameters."""

    def __init__(self, name: str) -> None:
        super().__init__()
        from transformers import SegformerConfig, SegformerModel

        self.encoder = SegformerModel(SegformerConfig(hidden_sizes=list(MIX_TRANSFORMERS[name])))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        found = self.encoder(images, output_hidden_states=True, return_dict=True)
        return tuple(found.hidden_states)


class _TimmMaps(nn.Module):
    """Those of timm's networks that give maps of all four strides."""

    def __init__(self, name: str, as_published: bool) -> None:
        super().__init__()
        import timm

        if not timm.is_model(name):
            raise unknown("backbone", name, [*MIX_TRANSFORMERS, *SHORT_NAMES, *timm.list_models()])
        options: dict[str, Any] = next(
            (told for start, told in _ANY_SIZE.items() if name.startswith(start)), {}
        )
        is_swin = name.startswith("swin")
        if is_swin and as_published:
            options = {**options, "always_partition": True}
        try:
            encoder: Any = timm.create_model(name, features_only=True, pretrained=False, **options)
        except RuntimeError as error:  # timm's for a network without maps
            raise _without_maps(name, str(error)) from error
        strides = encoder.feature_info.reduction()
        if not set(STRIDES) <= set(strides):
            raise _without_maps(name, f"its maps have strides {strides}")
        if name.startswith("efficientformerv2"):
            from peopleseg.networks.referring.efficientformer import take_any_size

            take_any_size(encoder)
        self.encoder = encoder
        self.stages = [strides.index(stride) for stride in STRIDES]
        channels = encoder.feature_info.channels()
        self.channels: tuple[int, ...] = tuple(channels[stage] for stage in self.stages)
        settings = encoder.pretrained_cfg  # what the published weights were trained on
        self.mean_and_std = settings["mean"], settings["std"]
        self.channels_last = getattr(encoder, "output_fmt", "NCHW") == "NHWC"
        # Swin ends in a norm that timm leaves out of its maps; published counts have it.
        self.last_norm = nn.LayerNorm(self.channels[-1]) if is_swin else None
        finer = self.channels[:-1] if is_swin and as_published else ()
        self.norms = nn.ModuleList(nn.LayerNorm(one) for one in finer)

    def forward(self, images: Tensor) -> list[Tensor]:
        every = self.encoder(images)
        maps = [every[stage] for stage in self.stages]
        for number, norm in enumerate(self.norms):
            maps[number] = norm(maps[number])
        if self.last_norm is not None:
            maps[-1] = self.last_norm(maps[-1])
        return [one.permute(0, 3, 1, 2) for one in maps] if self.channels_last else maps


def _without_maps(name: str, why: str) -> WrongUsage:
    return WrongUsage(
        f"backbone is {name!r}, which cannot be used: {why}; expected a network with maps at "
        f"strides {', '.join(map(str, STRIDES))}, such as swin_tiny or tf_efficientnet_lite0"
    )
