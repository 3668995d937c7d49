"""What a mask head reads of each roi, cut out of the pixels and the networks' maps of its image."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from peopleseg.pixels.geometry import INPUT_SIZE
from peopleseg.runtime.batch_parts import BatchParts, ComputeRows
from peopleseg.runtime.shared_processors import SharedProcessors
from peopleseg.systems.people.contract import ROI_FEATURE_SIZE_HW, ROI_SIZE_HW
from peopleseg.systems.people.roi_sampling import Sampler, Sampling, make_sampler

FEATURE_HEAD_SIZE_HW = (28, 28)  # cells that the head on features alone reads of a roi


class AlignedRois(NamedTuple):
    """What the mask head reads of N rois; shapes and ranges as in the contract."""

    roi_rgb: NDArray[np.float32]
    roi_logit: NDArray[np.float32]
    roi_features: NDArray[np.float16]


class RoiAligner:
    """Cuts rois out of the pixels, the person logit and the features of a batch of images.

    Its arguments are the settings of the step roi_align: how to sample, cells of roi_rgb and
    roi_logit, cells of roi_features, threads that share the rois where no network computes.
    """

    def __init__(
        self,
        sampling: Sampling = "half_pixel",
        roi_size_hw: Sequence[int] = ROI_SIZE_HW,
        feature_size_hw: Sequence[int] = ROI_FEATURE_SIZE_HW,
        threads: int = 2,
    ) -> None:
        self._rois = _RoiParts(threads)
        self._pixels = make_sampler(sampling, roi_size_hw, np.uint8)
        self._logit = make_sampler(sampling, roi_size_hw)
        self._features = make_sampler(sampling, feature_size_hw, np.float16)

    def align(
        self,
        pixels: NDArray[np.uint8],
        person_logit: NDArray[np.float32] | None,
        features: NDArray[np.float16] | None,
        rois: NDArray[np.float32],
        wanted: Collection[str] = AlignedRois._fields,
    ) -> AlignedRois:
        """Rois (N, 5) of batch index and xyxy in network pixels; N >= 1.

        Zeros (N, 1, 1, 1) stand for what is not wanted and for what has no map to be cut from.
        """

        parts = self._rois.compute(
            lambda rows: self._align(pixels, person_logit, features, rois[rows], wanted), len(rois)
        )
        return AlignedRois(*parts)

    def _align(
        self,
        pixels: NDArray[np.uint8],
        person_logit: NDArray[np.float32] | None,
        features: NDArray[np.float16] | None,
        rois: NDArray[np.float32],
        wanted: Collection[str],
    ) -> AlignedRois:
        """Some of the rois, on one thread."""

        def cut(name: str, sample: Sampler, maps: NDArray[Any] | None) -> NDArray[Any]:
            if maps is None or name not in wanted:
                return np.zeros((len(rois), 1, 1, 1), dtype=np.float32)
            return sample(maps, in_cells(rois, maps))

        return AlignedRois(
            roi_rgb=cut("roi_rgb", self._pixels, pixels),
            roi_logit=cut("roi_logit", self._logit, person_logit),
            roi_features=cut("roi_features", self._features, features).astype(
                np.float16, copy=False
            ),
        )


class FeatureAligner:
    """Cuts rois out of the features alone.

    Its arguments are the settings of the step roi_align_features. padding: by how much of its sides
    a roi is widened at each edge before it is sampled, 0.1 for the published head; the head's graph
    cuts its masks back to the roi. A widened roi is not cut to the image, as it was in the
    original: what lies outside of the image is sampled as `sampling` says.
    """

    def __init__(
        self,
        sampling: Sampling = "half_pixel",
        feature_size_hw: Sequence[int] = FEATURE_HEAD_SIZE_HW,
        padding: float = 0.1,
        threads: int = 2,
    ) -> None:
        self._padding, self._rois = padding, _RoiParts(threads)
        self._sample = make_sampler(sampling, feature_size_hw, np.float16)

    def align(
        self, features: NDArray[np.float16], rois: NDArray[np.float32]
    ) -> NDArray[np.float16]:
        """roi_features (N, C, h, w) of rois (N, 5), batch index and xyxy in network pixels."""
        cells = in_cells(widened(rois, self._padding), features)
        (aligned,) = self._rois.compute(
            lambda rows: [self._sample(features, cells[rows])], len(rois)
        )
        return aligned


def widened(rois: NDArray[np.float32], padding: float) -> NDArray[np.float32]:
    """Rois (N, 5) with `padding` of their sides added at each edge."""
    margins = padding * np.tile(rois[:, 3:] - rois[:, 1:3], 2) * (-1, -1, 1, 1)
    return np.concatenate((rois[:, :1], rois[:, 1:] + margins), axis=1).astype(np.float32)


def in_cells(rois: NDArray[np.float32], maps: NDArray[Any]) -> NDArray[np.float32]:
    """Rois (N, 5) in network pixels as rois in cells of maps that cover the whole input."""
    scale = maps.shape[-1] / INPUT_SIZE
    return rois * np.array((1, scale, scale, scale, scale), dtype=np.float32)


class _RoiParts:
    """Shares rois out over threads, where the server's networks leave the CPUs free."""

    def __init__(self, threads: int) -> None:
        self._parts = BatchParts(threads)
        self._processors = SharedProcessors.of_this_server()

    def compute(self, compute_rows: ComputeRows, rois: int) -> list[NDArray[Any]]:
        with self._processors.computing() as alone:
            return self._parts.compute(compute_rows, rois, alone=alone)
