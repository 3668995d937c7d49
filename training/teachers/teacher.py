"""What a published detector tells about a batch of training images."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor

from peopleseg.errors import PeoplesegError
from peopleseg.labels.mistaken import mistaken_file
from peopleseg.runtime.onnx_threads import options_for

Kind = Literal["nanodet", "movenet"]


class TeacherError(PeoplesegError, ValueError):
    """A file cannot teach; the message names it, what it has and what was expected."""


class Found(NamedTuple):
    """Whom, or what of one class, a teacher finds in one image."""

    boxes_xyxy: Tensor  # float32 [n, 4], image pixels
    scores: Tensor  # float32 [n] in [0, 1]


class DensePredictions(NamedTuple):
    """A teacher's predictions at every anchor: the cells of strides 8, 16 and 32, row by row."""

    scores: Tensor  # float32 [B, A] of person, in [0, 1]
    bins: (
        Tensor  # float32 [B, A, 4, R]: probability of 0 to R - 1 cells to left, top, right, bottom
    )
    levels: tuple[Tensor, ...]  # maps of its neck, [B, C, h, w] each; none where none was asked for


class Teacher:
    """A frozen detector. images: [B, 3, S, S] RGB in [0, 1]."""

    dense_size: int | None = None  # S for which `dense` answers; None: for no S

    @abstractmethod
    def people(self, images: Tensor) -> list[Found]:
        """Everybody found in each image, whatever its size, after non-maximum suppression."""

    def dense(self, images: Tensor) -> DensePredictions:
        """The response at the anchors of a student's grid."""
        raise NotImplementedError(f"a {type(self).__name__} does not answer cell by cell")


class TeacherGraph:
    """An ONNX file in ONNX Runtime, on the GPU where its build has one; shared, never copied.

    levels: names of tensors within the graph to give out, too. Raises TeacherError.
    """

    def __init__(self, path: Path, levels: Sequence[str] = ()) -> None:
        self.path = path
        if said := mistaken_file(path):
            raise TeacherError(f"{path} {said}")
        try:
            graph = onnx.load(path)
        except Exception as error:  # protobuf's DecodeError is of a class that depends on its build
            raise TeacherError(
                f"{path} is not an ONNX file ({error}); name a detector's"
            ) from error
        _give_out(graph, levels, path)
        self._session = _open(path, graph)
        self.inputs = {i.name: tuple(i.shape) for i in self._session.get_inputs()}
        self.outputs = {o.name: tuple(o.shape) for o in self._session.get_outputs()}

    def __call__(self, images: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
        """A batch; a graph made for single images is asked image by image."""
        (name, shape) = next(iter(self.inputs.items()))
        parts = np.split(images, len(images)) if shape[0] == 1 else [images]
        predictions = [self._session.run(None, {name: part}) for part in parts]
        joined = (np.concatenate(values) for values in zip(*predictions, strict=True))
        return dict(zip(self.outputs, joined, strict=True))

    def __deepcopy__(self, memo: dict[int, Any]) -> "TeacherGraph":
        return self


def open_teacher(path: Path, kind: Kind, levels: Sequence[str] = ()) -> Teacher:
    """The adapter of that kind on a file. Raises TeacherError; OSError where there is no file."""
    from training.teachers.movenet import MoveNet
    from training.teachers.nanodet import NanoDet

    if not Path(path).is_file():
        raise TeacherError(f"there is no teacher {path}; name an ONNX file")
    graph = TeacherGraph(Path(path), levels)
    return MoveNet(graph) if kind == "movenet" else NanoDet(graph, levels)


def _open(path: Path, graph: Any) -> onnxruntime.InferenceSession:
    """Raises TeacherError."""
    options = options_for(torch.get_num_threads())
    options.log_severity_level = 4  # what it thinks of a file is told here
    try:
        return onnxruntime.InferenceSession(
            graph.SerializeToString(), options, providers=onnxruntime.get_available_providers()
        )
    except Exception as error:  # ONNX Runtime's errors have no class in common
        raise TeacherError(f"ONNX Runtime cannot load {path}: {error}") from error


def _give_out(model: Any, levels: Sequence[str], path: Path) -> None:
    known = {output for node in model.graph.node for output in node.output}
    for name in levels:
        if name not in known:
            raise TeacherError(f"{path} has no tensor {name}; name one that a node of it makes")
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
