"""The mask of a group's person, by convolutions that the group itself describes.

Conditional convolutions of Tian et al. 2020 (arXiv:2003.05664), refined by the backbone's finer
maps as Miao et al. 2023 do it (SgMg, arXiv:2307.13537).
"""

from torch import Tensor, nn
from torch.nn import functional as F

from peopleseg.networks.referring.layers import Perceptron
from peopleseg.networks.referring.positions import WIDTH, cell_centres
from peopleseg.networks.referring.pyramid import Pyramid
from peopleseg.networks.resizing import doubled

CHANNELS = 16  # of a mask at strides 8 and 4; at stride 4 they are its 4 x 4 pixels
COORDINATES = 2
DESCRIBED = (WIDTH + COORDINATES) * CHANNELS + CHANNELS * CHANNELS + 2 * CHANNELS  # 4416


class MaskHead(nn.Module):
    """The encoder's memory and M groups of each of P prompts to mask logits, [P, M, S, S].

    channels_4, channels_8: of the backbone's maps at these strides.
    """

    def __init__(self, channels_4: int, channels_8: int) -> None:
        super().__init__()
        self.controller = Perceptron(WIDTH, WIDTH, WIDTH, DESCRIBED)
        for layer in self.controller:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
        self.refine_8, self.refine_4 = Refinement(channels_8), Refinement(channels_4)

    def forward(
        self,
        memory: Pyramid,
        queries: Tensor,
        centres: Tensor,
        finer: tuple[Tensor, Tensor],
        image_of: Tensor,
    ) -> Tensor:
        """queries: [P, M, 256]. centres: x, y of the groups in (0, 1), [P, M, 2].

        finer: the backbone's maps of B images at strides 4 and 8. image_of: [P] int64.
        """
        described = self.controller(queries)
        masks = described_masks(features_at_8(memory), memory.sizes_hw[0], described, centres)
        stride_4, stride_8 = finer
        masks = self.refine_8(masks, stride_8, image_of)
        groups = int(masks.shape[1])
        masks = doubled(masks.flatten(0, 1)).unflatten(0, (-1, groups))
        masks = self.refine_4(masks, stride_4, image_of)
        return F.pixel_shuffle(masks.flatten(0, 1), 4).unflatten(0, (-1, groups)).squeeze(2)


class Refinement(nn.Module):
    """Masks, [P, M, 16, h, w], and what they should be more by a map of the backbone.

    channels: of the map. As a 3x3 convolution of both one behind the other and another of what it
    finds; the map's part is computed once an image.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.both = nn.Conv2d(CHANNELS + channels, CHANNELS, 3, padding=1)
        self.more = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)

    def forward(self, masks: Tensor, maps: Tensor, image_of: Tensor) -> Tensor:
        """maps: [B, C, h, w]."""
        weight = self.both.weight
        of_maps = F.conv2d(maps.relu(), weight[:, CHANNELS:], self.both.bias, padding=1)
        of_masks = F.conv2d(masks.flatten(0, 1).relu(), weight[:, :CHANNELS], padding=1)
        groups = int(masks.shape[1])
        both = of_masks.unflatten(0, (-1, groups)) + of_maps[image_of][:, None]
        more = self.more(both.flatten(0, 1).relu())
        return masks + more.unflatten(0, (-1, groups))


def features_at_8(memory: Pyramid) -> Tensor:
    """The maps at strides 8, 16 and 32, all at stride 8, as one: [P, 256, h, w]."""
    first, *coarser = memory.maps()[:3]
    for one in coarser:
        first = first + F.interpolate(one, memory.sizes_hw[0], mode="bicubic", align_corners=False)
    return first


def described_masks(
    features: Tensor, size_hw: tuple[int, int], described: Tensor, centres: Tensor
) -> Tensor:
    """Two 1x1 convolutions of the features and of how far a cell is from the group's centre.

    described: their weights, then their biases, [P, M, 4416]. How far is in squares, centre less
    cell; the source has pixels, at which the first masks of a large square are hundreds.
    Returns [P, M, 16, h, w].
    """
    first, second, first_bias, second_bias = described.split(
        ((WIDTH + COORDINATES) * CHANNELS, CHANNELS * CHANNELS, CHANNELS, CHANNELS), dim=2
    )
    first = first.unflatten(2, (CHANNELS, WIDTH + COORDINATES))
    groups = int(described.shape[1])
    of_features = first[..., :WIDTH].flatten(1, 2) @ features.flatten(2)
    away = centres[..., None] - cell_centres(size_hw, centres).T  # [P, M, 2, h * w]
    hidden = of_features.unflatten(1, (groups, CHANNELS)) + first[..., WIDTH:] @ away
    hidden = (hidden + first_bias[..., None]).relu()
    masks = second.unflatten(2, (CHANNELS, CHANNELS)) @ hidden + second_bias[..., None]
    return masks.unflatten(3, size_hw)
