"""Views of a scene: the square that the networks see, straight or augmented.

Every random choice is drawn from torch's global generator.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

from peopleseg.networks.torchvision_ops import declare_missing_ops
from peopleseg.pixels.geometry import Resize
from training.data.colour import COLOURS
from training.data.scene import Scene
from training.data.views import in_square, random_part, randomly_bordered

declare_missing_ops()

from torchvision.transforms import v2  # noqa: E402  (after declare_missing_ops)

Transform = Callable[[Scene], Scene]
Strength = Literal["none", "light", "heavy"]
SCALES = (0.7, 1.5)  # of a random view, against the whole image in the square


def whole_view(size: int, resize: Resize = "letterbox") -> Transform:
    """The view of evaluation: the whole image as the server gives it to the networks."""
    return partial(in_square, size=size, resize=resize)


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
    part = partial(random_part, scales=scales, size=size, most_hw=(size, size), resize=resize)
    border = partial(randomly_bordered, size=size)
    # Colour after the crop, where pixels are fewest, and before the border, which stays grey.
    return v2.Compose([part, v2.RandomHorizontalFlip(0.5), COLOURS[strength](), border])
