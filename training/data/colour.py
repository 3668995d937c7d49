"""Random colour, light, weather and damage: what changes an image and leaves everybody in place.

The heavy set is the published one of the hierarchical training (made there with albumentations).
Through OpenCV on uint8, because torchvision's hue alone takes 55 ms an image on one core. Random
choices are drawn from torch's global generator.
"""

import math
from abc import abstractmethod

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
    return ColourJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.02)


def heavy_colour() -> v2.Transform:
    """Other colours, light, weather, lenses, sensors and files, each some of the time."""
    colour = [
        ColourJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.1),
        ColourJitter(brightness=0.1, saturation=0.5, hue=0.11),
        ChannelShift(15),
    ]
    light = [
        ColourJitter(brightness=0.3, contrast=0.3),
        v2.RandomChoice([v2.RandomAutocontrast(1.0), v2.RandomEqualize(1.0)]),
        Gamma((0.8, 1.2)),
    ]
    return v2.Compose(
        [
            v2.RandomApply([v2.RandomChoice(colour)], p=0.8),
            v2.RandomApply([v2.RandomChoice(light)], p=0.5),
            v2.RandomApply([Fog((0.2, 0.5))], p=0.1),
            v2.RandomApply([v2.GaussianBlur((5, 5), (0.3, 2.0))], p=0.05),
            v2.RandomApply([v2.GaussianNoise(sigma=0.03)], p=0.05),
            v2.RandomApply([v2.RandomChoice([Jpeg((30, 90)), Coarse((0.4, 0.8))])], p=0.1),
        ]
    )


class ImageTransform(v2.Transform):
    """Changes the image of a scene by `changed` and passes the rest through."""

    _transformed_types = (tv_tensors.Image,)

    @abstractmethod
    def changed(self, image_rgb: ImageRGB) -> ImageRGB:
        """The image after the change."""

    def transform(self, inpt: tv_tensors.Image, params: dict) -> tv_tensors.Image:
        image_rgb = np.ascontiguousarray(inpt.numpy().transpose(1, 2, 0))
        return tv_tensors.Image(torch.from_numpy(self.changed(image_rgb)).permute(2, 0, 1))


class ColourJitter(ImageTransform):
    """As torchvision's ColorJitter, in one pass: all four are one affine map of RGB.

    Each gain is drawn from 1 - x to 1 + x; hue from -x to x turns, around the grey axis of YIQ.
    """

    def __init__(
        self,
        brightness: float = 0.0,
        contrast: float = 0.0,
        saturation: float = 0.0,
        hue: float = 0.0,
    ) -> None:
        super().__init__()
        self.brightness, self.contrast = brightness, contrast
        self.saturation, self.hue = saturation, hue

    def changed(self, image_rgb: ImageRGB) -> ImageRGB:
        spread = [self.brightness, self.contrast, self.saturation, self.hue]
        draws = _uniform(4, -1, 1) * spread
        (brightness, contrast, saturation), turn = 1 + draws[:3], draws[3] * 2 * math.pi
        mix = saturation * np.eye(3) + (1 - saturation) * np.tile(LUMA, (3, 1))
        matrix = brightness * contrast * mix @ _hue_matrix(turn)
        mean_luma = LUMA @ cv2.mean(image_rgb)[:3]
        offset = np.full((3, 1), brightness * (1 - contrast) * mean_luma)
        return cv2.transform(image_rgb, np.hstack((matrix, offset)))


class ChannelShift(ImageTransform):
    """Adds up to `most` of 255 to each channel, or takes it away."""

    def __init__(self, most: float) -> None:
        super().__init__()
        self.most = most

    def changed(self, image_rgb: ImageRGB) -> ImageRGB:
        offset = self.most * _uniform(3, -1, 1).reshape(3, 1)
        return cv2.transform(image_rgb, np.hstack((np.eye(3), offset)))


class Gamma(ImageTransform):
    """value ^ gamma, of values in [0, 1]."""

    def __init__(self, gammas: tuple[float, float]) -> None:
        super().__init__()
        self.gammas = gammas

    def changed(self, image_rgb: ImageRGB) -> ImageRGB:
        table = 255 * (np.arange(256) / 255) ** _uniform(1, *self.gammas)
        return cv2.LUT(image_rgb, np.rint(table).astype(np.uint8))


class Fog(ImageTransform):
    """A light grey veil, thicker in places."""

    def __init__(self, strengths: tuple[float, float]) -> None:
        super().__init__()
        self.strengths = strengths

    def changed(self, image_rgb: ImageRGB) -> ImageRGB:
        height, width = image_rgb.shape[:2]
        coarse = _uniform(16, 150, 255).reshape(4, 4).astype(np.uint8)
        veil = cv2.cvtColor(cv2.resize(coarse, (width, height)), cv2.COLOR_GRAY2RGB)
        strength = float(_uniform(1, *self.strengths)[0])
        return cv2.addWeighted(image_rgb, 1 - strength, veil, strength, 0)


class Jpeg(ImageTransform):
    """What a low JPEG quality leaves, 1 to 100."""

    def __init__(self, qualities: tuple[int, int]) -> None:
        super().__init__()
        self.qualities = qualities

    def changed(self, image_rgb: ImageRGB) -> ImageRGB:
        quality = int(_uniform(1, *self.qualities)[0])
        bgr = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR)
        _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


class Coarse(ImageTransform):
    """Shrunk and enlarged again."""

    def __init__(self, scales: tuple[float, float]) -> None:
        super().__init__()
        self.scales = scales

    def changed(self, image_rgb: ImageRGB) -> ImageRGB:
        height, width = image_rgb.shape[:2]
        scale = float(_uniform(1, *self.scales)[0])
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
