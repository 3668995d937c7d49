"""Views of a scene: the square that the networks see, straight or augmented.

Every random choice is drawn from torch's global generator.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

from peopleseg.networks.torchvision_ops import declare_missing_ops
from peopleseg.pixels.geometry import Resize
from training.data.colour import heavy_colour, light_colour
from training.data.scene import Scene
from training.data.views import bordered, letterboxed, random_part, stretched, whole_number

declare_missing_ops()

from torchvision.transforms import v2  # noqa: E402  (after declare_missing_ops)

Transform = Callable[[Scene], Scene]
Strength = Literal["none", "light", "heavy"]
SCALES = (0.7, 1.5)  # of a random view, against the whole image in the square


def letterbox(size: int) -> Transform:
    """The view that the server gives the networks: `peopleseg.pixels.geometry.Letterbox`."""
    return partial(letterboxed, size=size)


def stretch(size: int) -> Transform:
    """The whole image over the whole square, as in the published hierarchical training."""
    return partial(stretched, size=size)


def whole_view(size: int, resize: Resize) -> Transform:
    """The view of evaluation."""
    return letterbox(size) if resize == "letterbox" else stretch(size)


def training_transforms(
    strength: Strength,
    size: int,
    scales: tuple[float, float] = SCALES,
    resize: Resize = "letterbox",
) -> Transform:
    """A random view of `size` x `size` pixels.

    none: the view of evaluation. light: large-scale jitter (Ghiasi et al. 2021), flips, a little
    colour. heavy: the same with the published colour, light, weather, blur, noise and compression.
    Raises ValueError for another strength or resize.
    """
    if strength not in get_args(Strength) or resize not in get_args(Resize):
        raise ValueError(
            f"strength {strength!r}, resize {resize!r}; expected one of "
            f"{get_args(Strength)} and one of {get_args(Resize)}"
        )
    if strength == "none":
        return whole_view(size, resize)
    colour = light_colour() if strength == "light" else heavy_colour()
    # Colour after the crop, where pixels are fewest, and before the border, which stays grey.
    return v2.Compose(
        [
            RandomPart(size, scales, resize),
            v2.RandomHorizontalFlip(0.5),
            colour,
            RandomBorder(size),
        ]
    )


@dataclass(frozen=True)
class RandomPart:
    """The scene at a random scale, cut to a random part of at most size x size pixels."""

    size: int
    scales: tuple[float, float]  # log-uniform, against the whole image in the square
    resize: Resize = "letterbox"

    def __call__(self, scene: Scene) -> Scene:
        return random_part(scene, self.scales, self.size, (self.size, self.size), self.resize)


@dataclass(frozen=True)
class RandomBorder:
    """Grey around a scene, which lies anywhere in the square."""

    size: int

    def __call__(self, scene: Scene) -> Scene:
        height, width = scene.size_hw
        top = whole_number(0, self.size - height)
        left = whole_number(0, self.size - width)
        return bordered(scene, top, left, (self.size, self.size))
