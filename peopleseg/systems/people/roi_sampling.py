"""Two ways to sample a roi, each an operator of ONNX run by ONNX Runtime: no torch is needed.

`half_pixel` is the standard RoIAlign (He et al. 2017, arXiv:1703.06870) with half-pixel corners and
2 x 2 samples a bin; `peopleseg.networks.people.roi_align` is the same in torch, for training. Maps
of many channels are sampled by two matrix products, which take a third of the time: the samples of
a roi lie on a grid, so a bin's value is the map's, weighted by rows and by columns.

`corner_to_corner` is the DynamicRoIAlign (aligned) of PINTO0309/human-instance-segmentation (MIT),
for networks trained with it: one bilinear sample a cell, the first on one edge of the roi and the
last on the other, where whole coordinates are the centres of the map's cells. It departs from the
original at the map's edge alone: a sample beyond it takes the outermost cell, not zero, of which
the last row and column of a roi that ends with the image were made.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, ValueInfoProto, helper

from peopleseg.runtime.onnx_threads import options_for

Sampling = Literal["half_pixel", "corner_to_corner"]
# Maps (B, C, H, W) and rois (N, 5), batch index and xyxy in the maps' cells, to (N, C, h, w).
Sampler = Callable[[NDArray[Any], NDArray[np.float32]], NDArray[Any]]

SAMPLES = 2  # of half_pixel, per bin and axis
MANY_CHANNELS = 16  # from which on matrix products are the faster ones
_MAPS, _CELLS = "float_maps", "cells"  # what the node reads and writes, both float32
_OPSET = 16  # the first whose RoiAlign has half_pixel, and the first with GridSample
_IR_VERSION = 8


def make_sampler(
    sampling: Sampling, size_hw: Sequence[int], dtype: type[np.generic] = np.float32
) -> Sampler:
    """What cuts rois out of maps, to size_hw cells.

    It computes with one thread, and may be called in several at a time. dtype: of the maps, uint8,
    float16 or float32. What is cut is float16 of float16 maps and else float32. Raises ValueError
    for a sampling that there is not.
    """
    if sampling not in _SAMPLERS:
        raise ValueError(f"sampling is {sampling!r}; expected one of {', '.join(_SAMPLERS)}")
    height, width = size_hw
    return _SAMPLERS[sampling]((height, width), dtype)


class HalfPixel:
    """The standard RoIAlign. A sample more than one cell outside of the map counts as zero."""

    def __init__(self, size_hw: tuple[int, int], dtype: type[np.generic]) -> None:
        self._size_hw = size_hw
        self._operator = _session(*_roi_align_node(size_hw), dtype)
        self._products = _session(*_product_nodes(size_hw), dtype)

    def __call__(self, maps: NDArray[Any], rois: NDArray[np.float32]) -> NDArray[Any]:
        if maps.shape[1] < MANY_CHANNELS:
            return self._by_operator(maps, rois)
        return np.concatenate([self._product(maps[int(roi[0])], roi[1:]) for roi in rois])

    def _by_operator(self, maps: NDArray[Any], rois: NDArray[np.float32]) -> NDArray[Any]:
        feeds = {
            "maps": maps,
            "boxes": np.ascontiguousarray(rois[:, 1:]),
            "batch_indices": rois[:, 0].astype(np.int64),
        }
        return self._operator.run(None, feeds)[0]  # type: ignore[no-any-return]

    def _product(self, one_map: NDArray[Any], box_xyxy: NDArray[np.float32]) -> NDArray[Any]:
        """(1, C, h, w) of a map (C, H, W): of the part of it that the roi's samples touch."""
        x1, y1, x2, y2 = box_xyxy
        rows, row_weights = bin_weights(y1, y2, self._size_hw[0], one_map.shape[1])
        columns, column_weights = bin_weights(x1, x2, self._size_hw[1], one_map.shape[2])
        feeds = {
            "maps": np.ascontiguousarray(one_map[np.newaxis, :, rows, columns]),
            "rows": row_weights,
            "columns": np.ascontiguousarray(column_weights.T),
        }
        return self._products.run(None, feeds)[0]  # type: ignore[no-any-return]


class CornerToCorner:
    """DynamicRoIAlign with the map's edge repeated."""

    def __init__(self, size_hw: tuple[int, int], dtype: type[np.generic]) -> None:
        self._size_hw = size_hw
        node = helper.make_node(
            "GridSample", [_MAPS, "grid"], [_CELLS], align_corners=1, padding_mode="border"
        )
        grid = helper.make_tensor_value_info("grid", TensorProto.FLOAT, ["B", "h", "w", 2])
        self._session = _session([node], [grid], dtype)
        self._dtype = _aligned_dtype(dtype)

    def __call__(self, maps: NDArray[Any], rois: NDArray[np.float32]) -> NDArray[Any]:
        images, channels = rois[:, 0].astype(np.int64), maps.shape[1]
        grids = _grids(rois[:, 1:], self._size_hw, maps.shape[2:])
        aligned = np.empty((len(rois), channels, *self._size_hw), dtype=self._dtype)
        for image in np.unique(images):
            # An image's rois one below the other in one grid: its maps are not copied for each.
            feeds = {
                "maps": maps[image : image + 1],
                "grid": grids[images == image].reshape(1, -1, self._size_hw[1], 2),
            }
            cells = self._session.run(None, feeds)[0].reshape(channels, -1, *self._size_hw)
            aligned[images == image] = cells.swapaxes(0, 1)
        return aligned


_SAMPLERS: dict[str, Callable[[tuple[int, int], type[np.generic]], Sampler]] = {
    "half_pixel": HalfPixel,
    "corner_to_corner": CornerToCorner,
}


def bin_weights(
    low: float, high: float, bins: int, cells: int
) -> tuple[slice, NDArray[np.float32]]:
    """Which of a map's `cells` the bins from low to high read along an axis, and how much of each.

    low, high: the roi's edges, in cells. Returns the cells that any bin reads, and the weights of
    half_pixel's samples of each bin on them, (bins, cells read).
    """
    samples = bins * SAMPLES
    positions = low - 0.5 + (np.arange(samples) + 0.5) * ((high - low) / samples)
    counted = (positions >= -1) & (positions <= cells)
    positions = positions.clip(0, cells - 1)
    before = positions.astype(np.int64)
    after = np.minimum(before + 1, cells - 1)
    part = positions - before
    first, last = before.min(), after.max() + 1
    weights = np.zeros((samples, last - first))
    each = np.arange(samples)
    weights[each, before - first] = 1 - part
    weights[each, after - first] += part
    weights *= counted[:, np.newaxis]
    of_bins = weights.reshape(bins, SAMPLES, -1).mean(axis=1)
    return slice(int(first), int(last)), of_bins.astype(np.float32)


def _grids(
    boxes_xyxy: NDArray[np.float32], size_hw: tuple[int, int], map_hw: tuple[int, ...]
) -> NDArray[np.float32]:
    """Where to sample boxes, given in cells: (N, h, w, 2) of x and y, -1 and 1 the outer cells."""
    x = _positions(boxes_xyxy[:, 0], boxes_xyxy[:, 2], size_hw[1]) * 2 / (map_hw[1] - 1) - 1
    y = _positions(boxes_xyxy[:, 1], boxes_xyxy[:, 3], size_hw[0]) * 2 / (map_hw[0] - 1) - 1
    return np.stack(np.broadcast_arrays(x[:, None, :], y[:, :, None]), axis=-1)


def _positions(
    low: NDArray[np.float32], high: NDArray[np.float32], cells: int
) -> NDArray[np.float32]:
    """(N, cells) from low to high, both ends included."""
    return low[:, None] + np.linspace(0, 1, cells, dtype=np.float32) * (high - low)[:, None]


def _aligned_dtype(dtype: type[np.generic]) -> type[np.generic]:
    return np.float16 if dtype is np.float16 else np.float32


def _roi_align_node(size_hw: tuple[int, int]) -> tuple[list[NodeProto], list[ValueInfoProto]]:
    """ONNX's operator, and what it reads beside the maps."""
    node = helper.make_node(
        "RoiAlign",
        [_MAPS, "boxes", "batch_indices"],
        [_CELLS],
        output_height=size_hw[0],
        output_width=size_hw[1],
        sampling_ratio=SAMPLES,
        spatial_scale=1.0,
        coordinate_transformation_mode="half_pixel",
    )
    boxes = helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["N", 4])
    images = helper.make_tensor_value_info("batch_indices", TensorProto.INT64, ["N"])
    return [node], [boxes, images]


def _product_nodes(size_hw: tuple[int, int]) -> tuple[list[NodeProto], list[ValueInfoProto]]:
    """Of maps (1, C, H, W) the products by rows (h, H) and columns (W, w), one of each for all
    channels; and what they read beside the maps."""
    height, width = size_hw
    nodes = [
        helper.make_node("MatMul", [_MAPS, "columns"], ["by_columns"]),  # (1, C, H, w)
        helper.make_node("Transpose", ["by_columns"], ["rows_first"], perm=[2, 0, 1, 3]),
        helper.make_node("Flatten", ["rows_first"], ["flat"], axis=1),  # (H, C w)
        helper.make_node("MatMul", ["rows", "flat"], ["by_rows"]),  # (h, C w)
        helper.make_node("Constant", [], ["bins"], value_ints=[height, 1, -1, width]),
        helper.make_node("Reshape", ["by_rows", "bins"], ["bins_first"]),
        helper.make_node("Transpose", ["bins_first"], [_CELLS], perm=[1, 2, 0, 3]),
    ]
    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["h", "H"])
    columns = helper.make_tensor_value_info("columns", TensorProto.FLOAT, ["W", "w"])
    return nodes, [rows, columns]


def _session(
    sampling: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    dtype: type[np.generic],
) -> onnxruntime.InferenceSession:
    """Of these nodes, from _MAPS to _CELLS. ONNX Runtime casts to float and back, which takes
    numpy several times as long."""
    maps, aligned = (
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(np.dtype(number)), [None] * 4
        )
        for name, number in (("maps", dtype), ("aligned", _aligned_dtype(dtype)))
    )
    nodes = [
        helper.make_node("Cast", ["maps"], [_MAPS], to=TensorProto.FLOAT),
        *sampling,
        helper.make_node("Cast", [_CELLS], ["aligned"], to=aligned.type.tensor_type.elem_type),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "sampling", [maps, *inputs], [aligned]),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
    )
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options_for(threads=1), providers=["CPUExecutionProvider"]
    )
