"""The steps of the ensembles composed in one process, without a server.

What the server's answers are compared with, and what calls the same graphs most directly.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from peopleseg.answer import People, foreground_of, people_of
from peopleseg.geometry import Letterbox
from peopleseg.images import prepare
from peopleseg.people import Rois, boxes_to_rois, select_people
from peopleseg.roi_align import RoiAligner

Arrays = dict[str, NDArray[Any]]


class OnnxModel:
    """One artifact in ONNX Runtime on the processor."""

    def __init__(self, path: Path, *, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        self.output_names = [output.name for output in self._session.get_outputs()]

    def __call__(self, **inputs: NDArray[Any]) -> Arrays:
        """Input arrays by name, with their batch axis, to output arrays by name."""
        return dict(zip(self.output_names, self._session.run(None, inputs), strict=True))


class Pipeline:
    """The networks of a model repository and the steps between them.

    versions: the version of each network's folder, 1 where not named.
    """

    def __init__(
        self, model_repository: Path, *, threads: int = 2, versions: dict[str, int] | None = None
    ) -> None:
        def load(name: str) -> OnnxModel:
            version = (versions or {}).get(name, 1)
            return OnnxModel(model_repository / name / str(version) / "model.onnx", threads=threads)

        self.yolov9 = load("yolov9")
        self.people_unet = load("people_unet")
        self.hierarchical_head = load("hierarchical_head")
        self.aligner = RoiAligner(threads)

    def segment(self, image: bytes) -> People:
        """Every person of an encoded picture, as `person_segmentation` answers."""
        pixels, letterbox = prepare(image)
        detected = self.yolov9(pixels=pixels)
        found = select_people(detected["predictions"][0], letterbox)
        return self._people(pixels, detected["features"], found, letterbox)

    def segment_from_boxes(self, image: bytes, boxes_xyxy: NDArray[np.float32]) -> People:
        """One mask a box, as `person_segmentation_from_boxes` answers."""
        pixels, letterbox = prepare(image)
        features = self.yolov9(pixels=pixels)["features"]
        return self._people(pixels, features, boxes_to_rois(boxes_xyxy, letterbox), letterbox)

    def foreground(self, image: bytes) -> NDArray[np.uint8]:
        """(height, width) person probability x 255, as `people_foreground` answers."""
        pixels, letterbox = prepare(image)
        return foreground_of(self.people_unet(pixels=pixels)["person_logit"][0, 0], letterbox)

    def _people(
        self,
        pixels: NDArray[np.uint8],
        features: NDArray[np.float16],
        found: Rois,
        letterbox: Letterbox,
    ) -> People:
        person_logit = self.people_unet(pixels=pixels)["person_logit"]
        aligned = self.aligner.align(pixels, person_logit, features, found.rois)
        mask_logits = self.hierarchical_head(**aligned._asdict())["mask_logits"]
        return people_of(mask_logits, found.rois, found.scores, letterbox)
