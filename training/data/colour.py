"""Random colour, light, weather and damage: what changes an image and leaves everybody in place.

The heavy set is the published one of the hierarchical training (made there with albumentations).
Through OpenCV on uint8, because torchvision's hue alone takes 55 ms an image on one core. Random
choices are drawn from torch's global generator.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from peopleseg.networks.torchvision_ops import declare_missing_ops

declare_missing_ops()

from torchvision import tv_tensors  # noqa: E402  (after declare_missing_ops)
from torchvision.transforms import v2  # noqa: E402

LUMA = np.array([0.299, 0.587, 0.114])  # of RGB, Rec. 601
RGB_TO_YIQ = np.array([LUMA, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])

ImageRGB = NDArray[np.uint8]  # (H, W, 3)


def light_colour() -> v2.Transform:
    """Other lamps and cameras."""
    return on_image(jittered, brightness=0.2, contrast=0.2, saturation=0.2, hue=0.02)


def heavy_colour() -> v2.Transform:
    """Other colours, light, weather, lenses, sensors and files, each some of the time."""
    colour = [
        on_image(jittered, brightness=0.2, contrast=0.2, saturation=0.2, hue=0.1),
        on_image(jittered, brightness=0.1, saturation=0.5, hue=0.11),
        on_image(shifted, most=15),
    ]
    light = [
        on_image(jittered, brightness=0.3, contrast=0.3),
        v2.RandomChoice([v2.RandomAutocontrast(1.0), v2.RandomEqualize(1.0)]),
        on_image(raised, gammas=(0.8, 1.2)),
    ]
    damage = [
        on_image(compressed, qualities=(30, 90)),
        on_image(coarsened, scales=(0.4, 0.8)),
    ]
    return v2.Compose(
        [
            v2.RandomApply([v2.RandomChoice(colour)], p=0.8),
            v2.RandomApply([v2.RandomChoice(light)], p=0.5),
            v2.RandomApply([on_image(fogged, strengths=(0.2, 0.5))], p=0.1),
            v2.RandomApply([v2.GaussianBlur((5, 5), (0.3, 2.0))], p=0.05),
            v2.RandomApply([v2.GaussianNoise(sigma=0.03)], p=0.05),
            v2.RandomApply([v2.RandomChoice(damage)], p=0.1),
        ]
    )


# By the strength of augmentation.
COLOURS = {"none": v2.Identity, "light": light_colour, "heavy": heavy_colour}


def on_image(change: Callable[..., ImageRGB], **settings: Any) -> v2.Transform:
    """`change(image_rgb, **settings)` of the image of a scene; the rest passes through."""
    return v2.Lambda(partial(_changed, change=partial(change, **settings)), tv_tensors.Image)


def _changed(image: tv_tensors.Image, change: Callable[[ImageRGB], ImageRGB]) -> tv_tensors.Image:
    image_rgb = np.ascontiguousarray(image.numpy().transpose(1, 2, 0))
    return tv_tensors.Image(torch.from_numpy(change(image_rgb)).permute(2, 0, 1))


def jittered(
    image_rgb: ImageRGB,
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    hue: float = 0.0,
) -> ImageRGB:
    """As by torchvision's ColorJitter, in one pass: all four are one affine map of RGB.

    Each gain is drawn from 1 - x to 1 + x; hue from -x to x turns, around the grey axis of YIQ.
    """
    draws = _uniform(4, -1, 1) * [brightness, contrast, saturation, hue]
    (bright, contrasty, saturated), turn = 1 + draws[:3], draws[3] * 2 * math.pi
    mix = saturated * np.eye(3) + (1 - saturated) * np.tile(LUMA, (3, 1))
    matrix = bright * contrasty * mix @ _hue_matrix(turn)
    mean_luma = LUMA @ cv2.mean(image_rgb)[:3]
    offset = np.full((3, 1), bright * (1 - contrasty) * mean_luma)
    return cv2.transform(image_rgb, np.hstack((matrix, offset)))


def shifted(image_rgb: ImageRGB, most: float) -> ImageRGB:
    """Up to `most` of 255 added to each channel, or taken away."""
    offset = most * _uniform(3, -1, 1).reshape(3, 1)
    return cv2.transform(image_rgb, np.hstack((np.eye(3), offset)))


def raised(image_rgb: ImageRGB, gammas: tuple[float, float]) -> ImageRGB:
    """value ^ gamma, of values in [0, 1]."""
    table = 255 * (np.arange(256) / 255) ** _uniform(1, *gammas)
    return cv2.LUT(image_rgb, np.rint(table).astype(np.uint8))


def fogged(image_rgb: ImageRGB, strengths: tuple[float, float]) -> ImageRGB:
    """Behind a light grey veil, thicker in places."""
    height, width = image_rgb.shape[:2]
    coarse = _uniform(16, 150, 255).reshape(4, 4).astype(np.uint8)
    veil = cv2.cvtColor(cv2.resize(coarse, (width, height)), cv2.COLOR_GRAY2RGB)
    strength = float(_uniform(1, *strengths)[0])
    return cv2.addWeighted(image_rgb, 1 - strength, veil, strength, 0)


def compressed(image_rgb: ImageRGB, qualities: tuple[int, int]) -> ImageRGB:
    """What a low JPEG quality leaves, 1 to 100."""
    quality = int(_uniform(1, *qualities)[0])
    bgr = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def coarsened(image_rgb: ImageRGB, scales: tuple[float, float]) -> ImageRGB:
    """Shrunk and enlarged again."""
    height, width = image_rgb.shape[:2]
    scale = float(_uniform(1, *scales)[0])
    small_wh = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(image_rgb, small_wh, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def _hue_matrix(turn: float) -> NDArray[np.float64]:
    """Turns colours around grey by an angle in radians; luma stays."""
    cosine, sine = math.cos(turn), math.sin(turn)
    turned = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    return np.linalg.inv(RGB_TO_YIQ) @ turned @ RGB_TO_YIQ


def _uniform(count: int, low: float, high: float) -> NDArray[np.float64]:
    return low + (high - low) * torch.rand(count, dtype=torch.float64).numpy()
