"""Two ways to sample a roi, each an operator of ONNX run by ONNX Runtime: no torch is needed.

`half_pixel` is the standard RoIAlign (He et al. 2017, arXiv:1703.06870) with half-pixel corners and
2 x 2 samples a bin; `peopleseg.networks.roi_align` is the same in torch, for training.

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

from peopleseg.onnx_threads import options_for

Sampling = Literal["half_pixel", "corner_to_corner"]
# Maps (B, C, H, W) and rois (N, 5), batch index and xyxy in network pixels, to (N, C, h, w).
Sampler = Callable[[NDArray[Any], NDArray[np.float32]], NDArray[Any]]

SAMPLES = 2  # of half_pixel, per bin and axis
_MAPS, _CELLS = "float_maps", "cells"  # what the node reads and writes, both float32
_OPSET = 16  # the first whose RoiAlign has half_pixel, and the first with GridSample
_IR_VERSION = 8


def make_sampler(
    sampling: Sampling,
    size_hw: Sequence[int],
    stride: int = 1,
    threads: int = 1,
    dtype: type[np.generic] = np.float32,
) -> Sampler:
    """What cuts rois out of maps whose cells are `stride` network pixels wide, to size_hw cells.

    dtype: of the maps, uint8, float16 or float32. What is cut is float16 of float16 maps and else
    float32. Raises ValueError for a sampling that there is not.
    """
    if sampling not in _SAMPLERS:
        raise ValueError(f"sampling is {sampling!r}; expected one of {', '.join(_SAMPLERS)}")
    height, width = size_hw
    return _SAMPLERS[sampling]((height, width), stride, threads, dtype)


class HalfPixel:
    """The standard RoIAlign. A sample more than one cell outside of the map counts as zero."""

    def __init__(
        self, size_hw: tuple[int, int], stride: int, threads: int, dtype: type[np.generic]
    ) -> None:
        node = helper.make_node(
            "RoiAlign",
            [_MAPS, "boxes", "batch_indices"],
            [_CELLS],
            output_height=size_hw[0],
            output_width=size_hw[1],
            sampling_ratio=SAMPLES,
            spatial_scale=1 / stride,
            coordinate_transformation_mode="half_pixel",
        )
        boxes = helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["N", 4])
        images = helper.make_tensor_value_info("batch_indices", TensorProto.INT64, ["N"])
        self._session = _session(node, [boxes, images], threads, dtype)

    def __call__(self, maps: NDArray[Any], rois: NDArray[np.float32]) -> NDArray[Any]:
        feeds = {
            "maps": maps,
            "boxes": np.ascontiguousarray(rois[:, 1:]),
            "batch_indices": rois[:, 0].astype(np.int64),
        }
        return self._session.run(None, feeds)[0]  # type: ignore[no-any-return]


class CornerToCorner:
    """DynamicRoIAlign with the map's edge repeated."""

    def __init__(
        self, size_hw: tuple[int, int], stride: int, threads: int, dtype: type[np.generic]
    ) -> None:
        self._size_hw, self._stride = size_hw, stride
        node = helper.make_node(
            "GridSample", [_MAPS, "grid"], [_CELLS], align_corners=1, padding_mode="border"
        )
        grid = helper.make_tensor_value_info("grid", TensorProto.FLOAT, ["B", "h", "w", 2])
        self._session = _session(node, [grid], threads, dtype)
        self._dtype = _aligned_dtype(dtype)

    def __call__(self, maps: NDArray[Any], rois: NDArray[np.float32]) -> NDArray[Any]:
        images, channels = rois[:, 0].astype(np.int64), maps.shape[1]
        grids = _grids(rois[:, 1:] / self._stride, self._size_hw, maps.shape[2:])
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


_SAMPLERS: dict[str, Callable[[tuple[int, int], int, int, type[np.generic]], Sampler]] = {
    "half_pixel": HalfPixel,
    "corner_to_corner": CornerToCorner,
}


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


def _session(
    node: NodeProto, inputs: Sequence[ValueInfoProto], threads: int, dtype: type[np.generic]
) -> onnxruntime.InferenceSession:
    """Of the one node, from _MAPS to _CELLS. ONNX Runtime casts to float and back, which takes
    numpy several times as long."""
    maps, aligned = (
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(np.dtype(number)), [None] * 4
        )
        for name, number in (("maps", dtype), ("aligned", _aligned_dtype(dtype)))
    )
    nodes = [
        helper.make_node("Cast", ["maps"], [_MAPS], to=TensorProto.FLOAT),
        node,
        helper.make_node("Cast", [_CELLS], ["aligned"], to=aligned.type.tensor_type.elem_type),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, node.op_type, [maps, *inputs], [aligned]),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
    )
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options_for(threads), providers=["CPUExecutionProvider"]
    )
