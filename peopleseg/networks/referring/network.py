"""The network that finds the one person meant by a prompt: UniPHD and its lighter designs.

Miao et al. 2024 (arXiv:2410.20508): any of four transformers, of eight text encoders and of the
backbones with maps at strides 4 to 32. Of `original`, `roberta` and `swin_tiny` it has 184,030,484
parameters, as published.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from peopleseg.errors import InvalidInput, WrongUsage
from peopleseg.networks.referring.backbones import SIZE_MULTIPLE, Backbone, Maps
from peopleseg.networks.referring.designs import TRANSFORMERS
from peopleseg.networks.referring.fusion import PromptFusion
from peopleseg.networks.referring.mask_head import MaskHead
from peopleseg.networks.referring.names import unknown
from peopleseg.networks.referring.outputs import RefOutput
from peopleseg.networks.referring.pose_transformer import GROUPS, Decoded
from peopleseg.networks.referring.positions import WIDTH
from peopleseg.networks.referring.prompts import PointPrompts, Prompts, TextPrompts, joined
from peopleseg.networks.referring.pyramid import Pyramid, pyramid
from peopleseg.networks.referring.text_encoders import TextEncoder

Choose = Callable[[RefOutput], Tensor]  # of the last layer, which M groups want a mask: [P, M]
_NORM_GROUPS = 32


def most_likely(output: RefOutput) -> Tensor:
    """The group that most likely is the person meant: [P, 1]."""
    return output.logits[..., 0].argmax(dim=1, keepdim=True)


def every_group(output: RefOutput) -> Tensor:
    """All of them, in their order: [P, Q]."""
    prompts, groups = output.logits.shape[:2]
    return torch.arange(groups, device=output.logits.device).expand(prompts, -1)


class ReferringNetwork(nn.Module):
    """RGB in [0, 1], [B, 3, S, S], and P prompts to each prompt's person. S: a multiple of 32.

    The parts: `vision` looks at the images, once however many prompts they have; `text` and
    `points` read prompts; `decide` answers. Images are whole squares, so none of them knows
    padding.

    transformer, text_encoder, backbone: names; see TRANSFORMERS, TEXT_ENCODERS, Backbone.
    groups: Q, guesses at the person, one or more. negative_points: know points beside the person.
    recompute: compute the transformer's layers twice for the gradient, to need less memory; no
    part of `dims`, for the network is the same. as_published: compute as the design's source, for
    weights that were trained there; see PoseTransformer, Backbone. Raises WrongUsage for a name
    that is not known, or no groups.
    """

    def __init__(
        self,
        transformer: str = "original",
        text_encoder: str = "roberta",
        backbone: str = "swin_tiny",
        groups: int = GROUPS,
        negative_points: bool = False,
        recompute: bool = False,
        as_published: bool = False,
    ) -> None:
        super().__init__()
        if transformer not in TRANSFORMERS:
            raise unknown("transformer", transformer, TRANSFORMERS)
        if groups < 1:
            raise WrongUsage(f"groups is {groups}; expected 1 or more (published: {GROUPS})")
        self.dims: dict[str, Any] = {  # the arguments that build it
            "transformer": transformer,
            "text_encoder": text_encoder,
            "backbone": backbone,
            "groups": groups,
            "negative_points": negative_points,
        }
        if as_published:
            self.dims["as_published"] = True
        self.backbone = Backbone(backbone, as_published)
        self.text_encoder = TextEncoder(text_encoder)
        channels = self.backbone.channels
        self.projections = nn.ModuleList(_projections(channels[1:]))
        self.text_prompts = TextPrompts(self.text_encoder.width)
        self.point_prompts = PointPrompts(channels[2], negative_points)
        self.fusion = PromptFusion()
        self.transformer = TRANSFORMERS[transformer](groups)
        self.transformer.recompute = recompute
        if as_published:
            self.transformer.compute_as_published()
        self.mask_head = MaskHead(channels[0], channels[1])

    def vision(self, images: Tensor) -> Maps:
        """What `points` and `decide` need of images. Raises InvalidInput for another size."""
        height, width = (int(length) for length in images.shape[2:])
        if height != width or height % SIZE_MULTIPLE:
            raise InvalidInput(
                f"images have {width} x {height} pixels; expected squares whose side is a multiple "
                f"of {SIZE_MULTIPLE}; letterbox them first"
            )
        return self.backbone(images)  # type: ignore[no-any-return]

    def text(self, ids: Tensor, mask: Tensor) -> Prompts:
        """Expressions: token numbers and which are there, [P, T] int64 each."""
        return self.text_prompts(self.text_encoder(ids, mask))  # type: ignore[no-any-return]

    def points(self, maps: Maps, image_of: Tensor, points: Tensor) -> Prompts:
        """Points and scribbles, as `PointPrompts` says. image_of: [P] int64."""
        return self.point_prompts(maps.stride_16, image_of, points)  # type: ignore[no-any-return]

    def prompts(
        self,
        maps: Maps,
        image_of: Tensor,
        is_text: Tensor,
        ids: Tensor,
        mask: Tensor,
        points: Tensor,
    ) -> Prompts:
        """Expressions and points as they come. is_text: [P] bool.

        The rows of `ids` and `mask` are the expressions', those of `points` the others': as many
        as there are, in their order.
        """
        others = image_of[~is_text]
        if not is_text.any():  # nor where there is no prompt
            return self.points(maps, others, points)
        if is_text.all():
            return self.text(ids, mask)
        return joined(self.text(ids, mask), self.points(maps, others, points), is_text)

    def decode(self, maps: Maps, prompts: Prompts, image_of: Tensor) -> Decoded:
        """What each layer says of each prompt, before any mask. image_of: [P] int64."""
        fused = self.fusion(self._levels(maps, image_of), prompts)
        return self.transformer(fused, prompts.sentence)  # type: ignore[no-any-return]

    def masks(self, maps: Maps, decoded: Decoded, groups: Tensor, image_of: Tensor) -> Tensor:
        """Mask logits of some groups, [P, M] int64, in the whole square: [P, M, S, S]."""
        queries, centres = (
            values.gather(1, groups[..., None].expand(-1, -1, values.shape[2]))
            for values in (decoded.queries, decoded.centres)
        )
        finer = maps.stride_4, maps.stride_8
        return self.mask_head(decoded.memory, queries, centres, finer, image_of)  # type: ignore[no-any-return]

    def decide(
        self, maps: Maps, prompts: Prompts, image_of: Tensor, choose: Choose = most_likely
    ) -> list[RefOutput]:
        """What is said of each prompt: by the encoder's proposals, then by each decoder layer.

        The last one is the answer, and has the masks of the groups that `choose` chooses.
        """
        decoded = self.decode(maps, prompts, image_of)
        last = decoded.layers[-1]
        last = last._replace(masks=self.masks(maps, decoded, choose(last), image_of))
        return [decoded.proposals, *decoded.layers[:-1], last]

    def forward(
        self,
        images: Tensor,
        image_of: Tensor,
        is_text: Tensor,
        ids: Tensor,
        mask: Tensor,
        points: Tensor,
        choose: Choose = most_likely,
    ) -> list[RefOutput]:
        """From images to what `decide` says; the prompts as in `prompts`."""
        maps = self.vision(images)
        prompts = self.prompts(maps, image_of, is_text, ids, mask, points)
        return self.decide(maps, prompts, image_of, choose)

    def _levels(self, maps: Maps, image_of: Tensor) -> Pyramid:
        """Four maps of each prompt's image, at strides 8 to 64."""
        read = (maps.stride_8, maps.stride_16, maps.stride_32, maps.stride_32)
        projected = [project(one) for project, one in zip(self.projections, read, strict=True)]
        return pyramid([one[image_of] for one in projected])


def _projections(channels: tuple[int, ...]) -> list[nn.Module]:
    """Of the maps at strides 8, 16 and 32, and one more that halves the last."""
    convolutions = [nn.Conv2d(one, WIDTH, 1) for one in channels]
    convolutions.append(nn.Conv2d(channels[-1], WIDTH, 3, stride=2, padding=1))
    for convolution in convolutions:
        nn.init.xavier_uniform_(convolution.weight)
        assert convolution.bias is not None
        nn.init.zeros_(convolution.bias)
    return [nn.Sequential(one, nn.GroupNorm(_NORM_GROUPS, WIDTH)) for one in convolutions]
