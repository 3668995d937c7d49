"""RoIAlign in torch, for training: equal to `peopleseg.systems.people.roi_sampling`, which serves.

He et al. 2017, arXiv:1703.06870. torchvision's operator would do, but is missing where its library
does not fit torch's build (see `torchvision_ops`); this one runs on every device.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from peopleseg.systems.people.roi_sampling import SAMPLES


def roi_align(
    maps: Tensor,
    rois: Tensor,
    size_hw: tuple[int, int],
    spatial_scale: float = 1.0,
    *,
    samples: int = SAMPLES,
    aligned: bool = True,
) -> Tensor:
    """Maps [B, C, H, W] and rois [N, 5] (batch index, xyxy in pixels) to [N, C, *size_hw].

    Each bin is the average of samples x samples bilinear samples; `samples` 0 or less takes as many
    as a bin has cells, rounded up. aligned: half-pixel corners; without, a roi has sides of at
    least one cell. A sample more than one cell outside the map counts as zero. No gradient goes to
    the rois.
    """
    if not len(rois):
        return maps.new_zeros((0, maps.shape[1], *size_hw))
    precise = maps.to(rois.dtype)  # autocast's half precision is too coarse for positions
    corners = rois.detach()[:, 1:] * spatial_scale
    low, high = corners.chunk(2, dim=1)
    if aligned:
        low, high = low - 0.5, high - 0.5
    else:
        high = high.maximum(low + 1)
    columns = _taps(low[:, 0], high[:, 0], size_hw[1], samples, maps.shape[3])
    rows = _taps(low[:, 1], high[:, 1], size_hw[0], samples, maps.shape[2])
    pool = _pool_by_cell if samples > 0 else _pool_by_axis
    return pool(precise, rois[:, 0].long(), rows, columns).to(maps.dtype)


def align_map(maps: Tensor, images: Tensor, rois: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Maps [B, C, h, w] of any grid over images [B, 3, H, W] to float32 [N, C, *size_hw]; rois
    [N, 5] in pixels of the images."""
    return roi_align(maps.float(), rois, size_hw, maps.shape[-1] / images.shape[-1])


class _Taps(NamedTuple):
    """The cells of one axis that each bin of each roi is read at."""

    cells: Tensor  # int64 [N, bins, k]
    weights: Tensor  # [N, bins, k]


def _taps(low: Tensor, high: Tensor, bins: int, sampling_ratio: int, length: int) -> _Taps:
    """Of rois between edges [N], in cells whose centres are whole numbers, on an axis of `length`.

    A sample up to one cell outside takes the outermost cell, one further away counts as zero.
    """
    sizes = ((high - low) / bins)[:, None, None]
    samples = sizes.ceil() if sampling_ratio <= 0 else torch.full_like(sizes, sampling_ratio)
    at_least_one = samples.clamp(min=1)  # a roi without extent has no samples
    numbers = torch.arange(int(at_least_one.max()), device=low.device)
    in_bins = torch.arange(bins, device=low.device)[:, None] + (numbers + 0.5) / at_least_one
    positions = low[:, None, None] + in_bins * sizes  # [N, bins, most samples]
    counted = (numbers < samples) & (positions >= -1) & (positions <= length)
    positions = positions.clamp(0, length - 1)
    below = positions.floor().long()
    above = (below + 1).clamp(max=length - 1)
    share = positions - below
    weights = torch.cat((1 - share, share), dim=2) * (counted / at_least_one).repeat(1, 1, 2)
    return _Taps(torch.cat((below, above), dim=2), weights)


def _pool_by_cell(maps: Tensor, images: Tensor, rows: _Taps, columns: _Taps) -> Tensor:
    """Each bin as a weighted sum of cells with all their channels: fast for many channels."""
    batch, channels, height, width = maps.shape
    first = images[:, None, None, None, None] * height * width
    cells = first + rows.cells[:, :, None, :, None] * width + columns.cells[:, None, :, None, :]
    weights = rows.weights[:, :, None, :, None] * columns.weights[:, None, :, None, :]
    count, size_hw = len(images), cells.shape[1:3]
    pooled = F.embedding_bag(
        cells.flatten(0, 2).flatten(1),
        maps.permute(0, 2, 3, 1).reshape(batch * height * width, channels),
        per_sample_weights=weights.flatten(0, 2).flatten(1),
        mode="sum",
    )
    return pooled.view(count, *size_hw, channels).permute(0, 3, 1, 2).contiguous()


def _pool_by_axis(maps: Tensor, images: Tensor, rows: _Taps, columns: _Taps) -> Tensor:
    """Rows and then columns by matrices: fast for many samples a bin, as of masks."""
    by_row, by_column = _dense(rows, maps.shape[2]), _dense(columns, maps.shape[3])
    pooled = maps.new_empty((len(images), maps.shape[1], by_row.shape[1], by_column.shape[1]))
    for image in images.unique().tolist():
        own = images == image
        partly = torch.einsum("nph,chw->ncpw", by_row[own], maps[image])
        pooled[own] = torch.einsum("ncpw,nqw->ncpq", partly, by_column[own])
    return pooled


def _dense(taps: _Taps, length: int) -> Tensor:
    """[N, bins, length]: what each cell counts in each bin."""
    weights = taps.weights.new_zeros((*taps.cells.shape[:2], length))
    return weights.scatter_add_(2, taps.cells, taps.weights)
