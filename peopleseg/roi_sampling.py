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
from typing import Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, ValueInfoProto, helper

Sampling = Literal["half_pixel", "corner_to_corner"]
# Maps (B, C, H, W) and rois (N, 5), batch index and xyxy in network pixels, to (N, C, h, w).
Sampler = Callable[[NDArray[np.generic], NDArray[np.float32]], NDArray[np.float32]]

SAMPLES = 2  # of half_pixel, per bin and axis
_OPSET = 16  # the first whose RoiAlign has half_pixel, and the first with GridSample
_IR_VERSION = 8


def make_sampler(
    sampling: Sampling, size_hw: Sequence[int], stride: int = 1, threads: int = 1
) -> Sampler:
    """What cuts rois out of maps whose cells are `stride` network pixels wide, to size_hw cells.

    Raises ValueError for a sampling that there is not.
    """
    if sampling not in _SAMPLERS:
        raise ValueError(f"sampling is {sampling!r}; expected one of {', '.join(_SAMPLERS)}")
    height, width = size_hw
    return _SAMPLERS[sampling]((height, width), stride, threads)


class HalfPixel:
    """The standard RoIAlign. A sample more than one cell outside of the map counts as zero."""

    def __init__(self, size_hw: tuple[int, int], stride: int, threads: int) -> None:
        node = helper.make_node(
            "RoiAlign",
            ["maps", "boxes", "batch_indices"],
            ["aligned"],
            output_height=size_hw[0],
            output_width=size_hw[1],
            sampling_ratio=SAMPLES,
            spatial_scale=1 / stride,
            coordinate_transformation_mode="half_pixel",
        )
        boxes = helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["N", 4])
        images = helper.make_tensor_value_info("batch_indices", TensorProto.INT64, ["N"])
        self._session = _session(node, [boxes, images], threads)

    def __call__(self, maps: NDArray[np.generic], rois: NDArray[np.float32]) -> NDArray[np.float32]:
        feeds = {
            "maps": maps.astype(np.float32),
            "boxes": np.ascontiguousarray(rois[:, 1:]),
            "batch_indices": rois[:, 0].astype(np.int64),
        }
        return self._session.run(None, feeds)[0]  # type: ignore[no-any-return]


class CornerToCorner:
    """DynamicRoIAlign with the map's edge repeated."""

    def __init__(self, size_hw: tuple[int, int], stride: int, threads: int) -> None:
        self._size_hw, self._stride = size_hw, stride
        node = helper.make_node(
            "GridSample", ["maps", "grid"], ["aligned"], align_corners=1, padding_mode="border"
        )
        grid = helper.make_tensor_value_info("grid", TensorProto.FLOAT, ["B", "h", "w", 2])
        self._session = _session(node, [grid], threads)

    def __call__(self, maps: NDArray[np.generic], rois: NDArray[np.float32]) -> NDArray[np.float32]:
        images, channels = rois[:, 0].astype(np.int64), maps.shape[1]
        grids = _grids(rois[:, 1:] / self._stride, self._size_hw, maps.shape[2:])
        aligned = np.empty((len(rois), channels, *self._size_hw), dtype=np.float32)
        for image in np.unique(images):
            # An image's rois one below the other in one grid: its maps are not copied for each.
            feeds = {
                "maps": maps[image : image + 1].astype(np.float32),
                "grid": grids[images == image].reshape(1, -1, self._size_hw[1], 2),
            }
            cells = self._session.run(None, feeds)[0].reshape(channels, -1, *self._size_hw)
            aligned[images == image] = cells.swapaxes(0, 1)
        return aligned


_SAMPLERS: dict[str, Callable[[tuple[int, int], int, int], Sampler]] = {
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


def _session(
    node: NodeProto, inputs: Sequence[ValueInfoProto], threads: int
) -> onnxruntime.InferenceSession:
    """Of the one node, whose first input is the maps."""
    maps, aligned = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4)
        for name in ("maps", "aligned")
    )
    model = helper.make_model(
        helper.make_graph([node], node.op_type, [maps, *inputs], [aligned]),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
