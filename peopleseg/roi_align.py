"""RoIAlign for serving: ONNX's operator run by ONNX Runtime, so that no torch is needed.

The standard RoIAlign (He et al. 2017, arXiv:1703.06870) with half-pixel corners and 2 x 2 samples a
bin. `peopleseg.networks.roi_align` is the same in torch, for training.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from peopleseg.contract import FEATURE_STRIDE, ROI_FEATURE_SIZE_HW, ROI_SIZE_HW

SAMPLES = 2  # per bin and axis
_OPSET = 16  # the first whose RoiAlign has half_pixel
_IR_VERSION = 8


class AlignedRois(NamedTuple):
    """What the mask head reads of N rois; shapes and ranges as in `peopleseg.contract`."""

    roi_rgb: NDArray[np.float32]
    roi_logit: NDArray[np.float32]
    roi_features: NDArray[np.float16]


class RoiAligner:
    """Cuts rois out of the pixels, the person logit and the features of a batch of images."""

    def __init__(self, threads: int = 1) -> None:
        self._image = _session(ROI_SIZE_HW, 1.0, threads)
        self._features = _session(ROI_FEATURE_SIZE_HW, 1 / FEATURE_STRIDE, threads)

    def align(
        self,
        pixels: NDArray[np.uint8],
        person_logit: NDArray[np.float32],
        features: NDArray[np.float16],
        rois: NDArray[np.float32],
    ) -> AlignedRois:
        """Rois (N, 5) of batch index and xyxy in network pixels; N >= 1."""
        return AlignedRois(
            roi_rgb=_run(self._image, pixels, rois),
            roi_logit=_run(self._image, person_logit, rois),
            roi_features=_run(self._features, features, rois).astype(np.float16),
        )


def _run(
    session: onnxruntime.InferenceSession, maps: NDArray[np.generic], rois: NDArray[np.float32]
) -> NDArray[np.float32]:
    feeds = {
        "maps": maps.astype(np.float32),
        "boxes": np.ascontiguousarray(rois[:, 1:]),
        "batch_indices": rois[:, 0].astype(np.int64),
    }
    return session.run(None, feeds)[0]  # type: ignore[no-any-return]


def _session(
    size_hw: Sequence[int], spatial_scale: float, threads: int
) -> onnxruntime.InferenceSession:
    node = helper.make_node(
        "RoiAlign",
        ["maps", "boxes", "batch_indices"],
        ["aligned"],
        output_height=size_hw[0],
        output_width=size_hw[1],
        sampling_ratio=SAMPLES,
        spatial_scale=spatial_scale,
        coordinate_transformation_mode="half_pixel",
    )
    graph = helper.make_graph(
        [node],
        "roi_align",
        [
            helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["B", "C", "H", "W"]),
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["N", 4]),
            helper.make_tensor_value_info("batch_indices", TensorProto.INT64, ["N"]),
        ],
        [helper.make_tensor_value_info("aligned", TensorProto.FLOAT, ["N", "C", *size_hw])],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
