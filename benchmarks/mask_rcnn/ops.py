"""Non-maximum suppression and RoIAlign in torch, for torchvision without its compiled operators.

`peopleseg.networks.torchvision_ops` says why that is. torchvision's Mask R-CNN calls these two and
no others.
"""

from importlib import import_module
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from peopleseg.networks.torchvision_ops import declare_missing_ops

_ROI_ALIGN = (
    "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, "
    "SymInt pooled_width, int sampling_ratio, bool aligned) -> Tensor"
)
_library: torch.library.Library | None = None  # an operator lives as long as its library


def supply_missing_ops() -> None:
    """Import torchvision; where its library does not load, let `nms` and `roi_align` work.

    Where it does load, its own operators stay.
    """
    global _library
    declare_missing_ops()
    from torchvision import extension

    if _library is not None or extension._has_ops():
        return
    _library = torch.library.Library("torchvision", "FRAGMENT")
    _library.define(_ROI_ALIGN)
    # Composite: autograd goes through the torch functions that they call.
    _library.impl("nms", nms, "CompositeImplicitAutograd")
    _library.impl("roi_align", roi_align, "CompositeImplicitAutograd")
    # torchvision asks for its whole library before it calls either.
    for module in (
        import_module("torchvision.ops.boxes"),
        import_module("torchvision.ops.roi_align"),
    ):
        vars(module).update(_has_ops=lambda: True, _assert_has_ops=lambda: None)


def nms(dets: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Indices of the boxes [N, 4] xyxy that no better one kept overlaps by more than the threshold.

    Best score first; of equal scores the earlier box is the better one.
    """
    order = scores.detach().argsort(descending=True, stable=True)
    overlaps = (_ious(dets.detach()[order]) > iou_threshold).cpu().numpy()
    dropped = np.zeros(len(overlaps), dtype=np.bool_)
    kept = []
    for rank, row in enumerate(overlaps):
        if not dropped[rank]:
            kept.append(rank)
            dropped |= row
    return order[torch.tensor(kept, dtype=torch.int64, device=order.device)]


def roi_align(
    input: Tensor,
    rois: Tensor,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """Maps [B, C, H, W] and rois [N, 5] (batch index, xyxy) to [N, C, height, width], averaged.

    sampling_ratio: samples a bin in each direction; 0 or less takes as many as a bin has cells,
    rounded up. aligned: half-pixel corners; without, a roi has sides of at least one cell. No
    gradient goes to the rois.
    """
    if not len(rois):
        return input.new_zeros((0, input.shape[1], pooled_height, pooled_width))
    maps = input.to(rois.dtype)  # autocast's half precision is too coarse for positions
    corners = rois.detach()[:, 1:] * spatial_scale
    low, high = corners.chunk(2, dim=1)
    if aligned:
        low, high = low - 0.5, high - 0.5
    else:
        high = high.maximum(low + 1)
    columns = _taps(low[:, 0], high[:, 0], pooled_width, sampling_ratio, maps.shape[3])
    rows = _taps(low[:, 1], high[:, 1], pooled_height, sampling_ratio, maps.shape[2])
    pool = _pool_by_cell if sampling_ratio > 0 else _pool_by_axis
    return pool(maps, rois[:, 0].long(), rows, columns).to(input.dtype)


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


def _ious(boxes: Tensor) -> Tensor:
    """[N, 4] xyxy to [N, N]."""
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    low = boxes[:, None, :2].maximum(boxes[None, :, :2])
    high = boxes[:, None, 2:].minimum(boxes[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(dim=2)
    return shared / (areas[:, None] + areas[None] - shared)
