"""RoIAlign in torch, for training: equal to `peopleseg.roi_align`, which serves.

torchvision's operator would do, but is missing where torchvision's library does not fit torch's
build (see `torchvision_ops`); this one runs on every device.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from peopleseg.roi_align import SAMPLES


def roi_align(
    maps: Tensor, rois: Tensor, size_hw: tuple[int, int], spatial_scale: float = 1.0
) -> Tensor:
    """Maps [B, C, H, W] and rois [N, 5] (batch index, xyxy in pixels) to [N, C, *size_hw].

    Half-pixel corners, SAMPLES x SAMPLES bilinear samples a bin, averaged; a sample more than one
    cell outside the map counts as zero.
    """
    height, width = maps.shape[2:]
    boxes = rois[:, 1:] * spatial_scale
    y = _sample_positions(boxes[:, 1], boxes[:, 3], size_hw[0])  # [N, 2h] cells
    x = _sample_positions(boxes[:, 0], boxes[:, 2], size_hw[1])  # [N, 2w]
    inside = _inside(y, height)[:, None, :, None] & _inside(x, width)[:, None, None, :]
    # grid_sample's coordinates: -1 and 1 are the outer edges, where cell centres are at + 0.5.
    grid_y = (2 * y + 1) / height - 1
    grid_x = (2 * x + 1) / width - 1
    rows, columns = y.shape[1], x.shape[1]
    grid = torch.stack(
        (grid_x[:, None, :].expand(-1, rows, -1), grid_y[:, :, None].expand(-1, -1, columns)),
        dim=-1,
    )
    aligned = [
        _sample(maps[image : image + 1], grid[rois[:, 0] == image])
        for image in rois[:, 0].unique().int().tolist()
    ]
    order = rois[:, 0].argsort(stable=True).argsort()
    return F.avg_pool2d(torch.cat(aligned)[order] * inside, SAMPLES)


def _sample(image_map: Tensor, grids: Tensor) -> Tensor:
    """One map [1, C, H, W] at the grids [n, h, w, 2] of its rois: [n, C, h, w]."""
    count, height, width = grids.shape[:3]
    sampled = F.grid_sample(
        image_map,
        grids.reshape(1, count * height, width, 2),
        padding_mode="border",
        align_corners=False,
    )
    return sampled.view(-1, count, height, width).transpose(0, 1)


def _sample_positions(low: Tensor, high: Tensor, bins: int) -> Tensor:
    """[N] edges to [N, SAMPLES * bins] positions, in cells whose centres are whole numbers."""
    samples = bins * SAMPLES
    steps = (torch.arange(samples, device=low.device, dtype=low.dtype) + 0.5) / samples
    return low[:, None] + steps * (high - low)[:, None] - 0.5


def _inside(position: Tensor, length: int) -> Tensor:
    return (position >= -1) & (position <= length)
