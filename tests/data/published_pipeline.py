"""The pipelines of PINTO0309/human-instance-segmentation (MIT) from their description, in torch."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from peopleseg.networks.people.roi_align import roi_align

ROI_SIZE_HW = (64, 48)
MARGIN = 0.1  # of a box's side at each edge, which the head on features sees around it


def dynamic_roi_align(
    maps: Tensor,
    rois: Tensor,
    size_hw: tuple[int, int],
    spatial_scale: float = 1.0,
    *,
    padding_mode: str = "border",
) -> Tensor:
    """Maps [B, C, H, W] and rois [N, 5] in pixels to [N, C, *size_hw].

    padding_mode: "zeros" is the original's, in which the edge 640 of a roi lies beyond the map.
    """
    x1, y1, x2, y2 = (rois[:, 1:] * spatial_scale).unbind(1)
    height, width = size_hw
    x = x1[:, None] + torch.linspace(0, 1, width) * (x2 - x1)[:, None]
    y = y1[:, None] + torch.linspace(0, 1, height) * (y2 - y1)[:, None]
    x = (x / (maps.shape[3] - 1) * 2 - 1)[:, None, :].expand(-1, height, -1)
    y = (y / (maps.shape[2] - 1) * 2 - 1)[:, :, None].expand(-1, -1, width)
    chosen = maps.index_select(0, rois[:, 0].long())
    grid = torch.stack((x, y), dim=3)
    return F.grid_sample(chosen, grid, padding_mode=padding_mode, align_corners=True)


@torch.no_grad()
def published_masks(
    people_unet: nn.Module,
    mask_head: nn.Module,
    image_rgb: NDArray[np.uint8],
    boxes_xyxy: NDArray[np.float32],
) -> Tensor:
    """Target x 255 over each box, in image pixels, as the published models are called.

    With the map's edge repeated, where the original has zeros beyond it.
    """
    height, width = image_rgb.shape[:2]
    stretched = torch.from_numpy(cv2.resize(image_rgb, (640, 640)))
    images = stretched.permute(2, 0, 1)[None].float() / 255
    normalised = torch.from_numpy(boxes_xyxy) / torch.tensor([width, height] * 2)
    rois = F.pad(normalised * 640, (1, 0))
    logits = people_unet(images)
    # The original reads two channels, the logit and its negation; the head makes the second.
    both = dynamic_roi_align(torch.cat((logits, -logits), dim=1), rois, ROI_SIZE_HW)
    torch.testing.assert_close(both[:, 1], -both[:, 0])
    roi_rgb = dynamic_roi_align(images, rois, ROI_SIZE_HW)
    return _target(mask_head(roi_rgb, both[:, :1]).mask_logits)


@torch.no_grad()
def masks_within_margin(
    feature_head: nn.Module, features: NDArray[np.float16], rois: NDArray[np.float32]
) -> Tensor:
    """Target x 255 of rois, from the masks over rois with a margin: sampled where the roi is."""
    boxes = torch.from_numpy(rois[:, 1:])
    sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    widened = boxes + MARGIN * sides * torch.tensor([-1.0, -1.0, 1.0, 1.0])
    maps = torch.from_numpy(features).float()
    logits = feature_head(roi_align(maps, F.pad(widened, (1, 0)), (28, 28), 1 / 8))
    cells = logits.shape[2]
    centres = (2 * (torch.arange(cells) + 0.5) / cells - 1) / (1 + 2 * MARGIN)
    grid = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), dim=2)
    return _target(F.grid_sample(logits, grid.expand(len(rois), -1, -1, -1), align_corners=False))


def _target(mask_logits: Tensor) -> Tensor:
    return 255 * mask_logits.softmax(dim=1)[:, 1]
