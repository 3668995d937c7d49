"""A served detector as a frozen torch module: a mask head learns on the very maps it will be fed.

ONNX Runtime runs the graph on the CPU, wherever the rest of a training computes. The graph is
a buffer, so it travels inside the checkpoint of the head that was trained on it.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from peopleseg.labels.mistaken import FIRST_BYTES, mistaken
from peopleseg.networks.people.yolov9 import YOLOv9, YOLOv9Output
from peopleseg.runtime.onnx_threads import options_for
from peopleseg.systems.known import STEPS

VARIANT = "onnx"  # beside those of YOLOv9
_DETECTOR = STEPS["yolov9"]


class OnnxDetector(nn.Module):
    """A graph of the repository's detector.

    Input [B, 3, 640, 640] RGB in [0, 1], multiples of 1 / 255. Output: `YOLOv9Output`, in float32,
    without gradients. graph_bytes, feature_channels: of the graph, which `load_state_dict` fills
    in; `read` makes one of a file.
    """

    graph: Tensor

    def __init__(self, graph_bytes: int, feature_channels: int) -> None:
        super().__init__()
        self.feature_channels = feature_channels
        self.register_buffer("graph", torch.zeros(graph_bytes, dtype=torch.uint8))
        self._session: onnxruntime.InferenceSession | None = None

    @classmethod
    def read(cls, path: Path) -> "OnnxDetector":
        """Of an ONNX file. Raises ValueError unless it is a detector as served."""
        data = path.read_bytes()
        if said := mistaken(data[:FIRST_BYTES]):
            raise ValueError(f"{path} {said}")
        channels = _feature_channels(path, data)
        detector = cls(len(data), channels)
        detector.graph.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
        return detector.eval()

    @property
    def dims(self) -> dict[str, Any]:
        """The arguments of `detector` that build this network."""
        return {
            "variant": VARIANT,
            "graph_bytes": len(self.graph),
            "feature_channels": self.feature_channels,
        }

    def forward(self, images: Tensor) -> YOLOv9Output:
        features, predictions = self._run(images, [tensor.name for tensor in _DETECTOR.outputs])
        return YOLOv9Output(features.float(), predictions)

    def features(self, images: Tensor) -> Tensor:
        """The features of `forward` alone, without what only predictions need."""
        (features,) = self._run(images, ["features"])
        return features.float()

    def _run(self, images: Tensor, names: list[str]) -> list[Tensor]:
        if self._session is None:
            self._session = _open(self.graph.cpu().numpy().tobytes())
        pixels = (images.detach().float() * 255).round().to(torch.uint8).cpu().numpy()
        options = onnxruntime.RunOptions()
        options.only_execute_path_to_fetches = True
        found = self._session.run(names, {"pixels": pixels}, options)
        return [torch.from_numpy(array).to(images.device) for array in found]

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._session = None  # of the graph that was here before
        super()._load_from_state_dict(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        """Copies and other processes open a session of their own."""
        return self.__dict__ | {"_session": None}


def detector(variant: str, **dims: Any) -> YOLOv9 | OnnxDetector:
    """A detector of any kind by the arguments in its checkpoint, without its weights."""
    return OnnxDetector(**dims) if variant == VARIANT else YOLOv9(variant, **dims)


def _open(data: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(
        data, options_for(torch.get_num_threads()), providers=["CPUExecutionProvider"]
    )


def _feature_channels(path: Path, data: bytes) -> int:
    """Raises ValueError unless the graph reads and makes what the tensor contract says."""
    try:
        session = _open(data)
    except Exception as error:  # ONNX Runtime's errors have no class in common
        raise ValueError(f"{path} is not an ONNX model that runs here: {error}") from error
    for role, nodes, tensors in (
        ("reads", session.get_inputs(), _DETECTOR.inputs),
        ("makes", session.get_outputs(), _DETECTOR.outputs),
    ):
        found, wanted = ([one.name for one in both] for both in (nodes, tensors))
        if found != wanted:
            raise ValueError(
                f"{path} {role} {', '.join(found)}; a served detector {role} {', '.join(wanted)}: "
                "name a version of yolov9, or make one with `peopleseg import-detector`"
            )
    blank = np.zeros((1, *_DETECTOR.inputs[0].shape), dtype=np.uint8)
    return int(session.run(["features"], {"pixels": blank})[0].shape[1])
