"""Images whose people are red on black, and networks that know it.

What a network sees of such an image, through letterbox and rois, says where the people are: its
answers are right as far as the steps around it are.
"""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from peopleseg.labels.coco import AnnotatedImage, load_images
from peopleseg.networks.people.mask_head import HeadOutput
from peopleseg.networks.people.yolov9 import YOLOv9Output
from training.data.generated import PeopleImage, coco_annotations, write_image

CERTAIN = 20.0


class RedUNet(nn.Module):
    def __init__(self, sign: float = 1.0) -> None:
        super().__init__()
        self.sign = nn.Parameter(torch.tensor(sign))

    def forward(self, images: Tensor) -> Tensor:
        return self.sign * (images[:, :1] - 0.5)


class RedDetector(nn.Module):
    """Each red region is a person; its features are the red itself."""

    def __init__(self, shift_px: float = 0.0, score: float = 0.9) -> None:
        super().__init__()
        self.shift_px = nn.Parameter(torch.tensor(shift_px))
        self.score = score

    def forward(self, images: Tensor) -> YOLOv9Output:
        red = (images[0, 0] > 0.5).numpy().astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(red)
        rows = [
            (x + width / 2 + float(self.shift_px), y + height / 2, width, height, self.score)
            for x, y, width, height, _ in stats[1:].tolist()
        ]
        predictions = torch.tensor(rows).reshape(-1, 5).T[None]
        return YOLOv9Output(self.features(images), predictions)

    def features(self, images: Tensor) -> Tensor:
        return F.avg_pool2d(images[:, :1], 8)


class RedHead(nn.Module):
    """In the place of a PersonMaskHead that reads RGB alone."""

    reads_person_logit, feature_channels = False, 0
    roi_size_hw, mask_size_hw = (64, 48), (128, 96)

    def __init__(self, size: float = 1.0) -> None:
        super().__init__()
        self.size = nn.Parameter(torch.tensor(size))

    def forward(self, roi_rgb: Tensor, *_: Any, refine: bool) -> HeadOutput:
        logits = target_logits(self.size * roi_rgb[:, :1])
        return HeadOutput(logits, logits[:, :2], logits[:, 1:])


class RedFeatureHead(nn.Module):
    def forward(self, roi_features: Tensor) -> Tensor:
        return target_logits(roi_features)


class Blind(nn.Module):
    """A head that sees background only."""

    def forward(self, roi_features: Tensor) -> Tensor:
        return target_logits(torch.zeros_like(roi_features[:, :1]))


def target_logits(red: Tensor) -> Tensor:
    """[N, 1, h, w] to [N, 3, 2h, 2w]: target where it is red."""
    fine = F.interpolate(red, scale_factor=2.0, mode="bilinear", align_corners=False)
    target = (fine - 0.5) * CERTAIN
    return torch.cat((-target, target, torch.full_like(target, -CERTAIN)), dim=1)


def red_image(*ellipses: tuple[int, int, int, int]) -> PeopleImage:
    """360 x 480 pixels; ellipses: centre x, centre y, half width, half height."""
    masks = []
    for x, y, half_width, half_height in ellipses:
        mask = np.zeros((360, 480), dtype=np.uint8)
        cv2.ellipse(mask, (x, y), (half_width, half_height), 0, 0, 360, (1,), cv2.FILLED)
        masks.append(mask)
    boxes = [(x - w, y - h, x + w + 1, y + h + 1) for x, y, w, h in ellipses]
    stacked = np.array(masks, dtype=np.uint8).reshape(-1, 360, 480)
    image = np.zeros((360, 480, 3), dtype=np.uint8)
    image[stacked.any(axis=0)] = (255, 0, 0)
    return PeopleImage(image, stacked, np.array(boxes, dtype=np.float32).reshape(-1, 4))


def red_images(folder: Path) -> list[AnnotatedImage]:
    """Three: of two people, of nobody, of one person."""
    made = [
        red_image((120, 150, 50, 100), (330, 200, 60, 120)),
        red_image(),
        red_image((240, 180, 100, 150)),
    ]
    names = [f"{number}.png" for number in range(len(made))]
    for image, name in zip(made, names, strict=True):
        write_image(folder / name, image.image_rgb)
    annotations = folder / "people.json"
    annotations.write_text(json.dumps(coco_annotations(made, names)))
    return load_images(annotations, folder)
