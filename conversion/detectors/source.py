"""Read an ONNX file of somebody else's, and say in one sentence what is wrong with it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx.external_data_helper import (
    ExternalDataInfo,
    load_external_data_for_model,
    uses_external_data,
)

from conversion.export.settings import ExportError
from peopleseg.labels.mistaken import mistaken_file
from peopleseg.pixels.geometry import INPUT_SIZE
from peopleseg.runtime.onnx_threads import options_for

FileRunner = Callable[[NDArray[np.float32]], list[NDArray[np.float32]]]


@dataclass(frozen=True)
class Source:
    """A detector's file: one input of images, [B, 3, size, size] in FP32."""

    path: Path
    model: Any  # with its weights, and with its input's true lengths but for the batch
    input_name: str
    size: int  # pixels a side

    @property
    def output_names(self) -> list[str]:
        return [output.name for output in self.model.graph.output]


def read_source(path: Path) -> Source:
    """Raises ExportError for what is no ONNX model of a detector, OSError for an unreadable one."""
    model = _load(path)
    initialised = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in initialised]
    del model.graph.input[:]  # old files list their weights as inputs too
    model.graph.input.extend(inputs)
    if len(inputs) != 1:
        raise ExportError(
            f"{path} has {len(inputs)} inputs ({_named(inputs)}); expected one, of images"
        )
    return Source(path, model, inputs[0].name, _fix_size(path, inputs[0]))


def file_runner(source: Source, names: Sequence[str]) -> FileRunner:
    """Runs the file itself, as it came, on one image [1, 3, size, size]; names: tensors of its
    graph. Raises ExportError when ONNX Runtime cannot."""
    session = _open(source, [(name, TensorProto.FLOAT) for name in names])
    return lambda images: session.run(list(names), {source.input_name: images})


def shapes_of(source: Source) -> dict[str, tuple[int, ...]]:
    """Of every tensor that the file makes of one image, in the graph's order.

    They come from a run: no inference knows them all. Raises ExportError.
    """
    made = [name for node in source.model.graph.node for name in node.output if name]
    told = {f"{name}_shape_of_one": name for name in made}
    nodes = [helper.make_node("Shape", [name], [of_one]) for of_one, name in told.items()]
    session = _open(source, [(of_one, TensorProto.INT64) for of_one in told], nodes)
    black = np.zeros((1, 3, source.size, source.size), dtype=np.float32)
    try:
        found = session.run(list(told), {source.input_name: black})
    except Exception as error:  # ONNX Runtime's errors have no class in common
        raise ExportError(f"{source.path} cannot compute an image: {error}") from error
    return dict(zip(made, (tuple(map(int, shape)) for shape in found), strict=True))


def _open(
    source: Source, outputs: Sequence[tuple[str, int]], nodes: Sequence[Any] = ()
) -> onnxruntime.InferenceSession:
    """The file with further nodes and outputs, of these types. Raises ExportError."""
    model = onnx.ModelProto()
    model.CopyFrom(source.model)
    model.graph.node.extend(nodes)
    model.graph.output.extend(
        helper.make_tensor_value_info(name, dtype, None)
        for name, dtype in outputs
        if name not in source.output_names
    )
    options = options_for(threads=2)
    options.log_severity_level = 4  # what it thinks of a file is told here
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime's errors have no class in common
        raise ExportError(f"ONNX Runtime cannot load {source.path}: {error}") from error


def _load(path: Path) -> Any:
    if said := mistaken_file(path):
        raise ExportError(f"{path} {said}")
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's DecodeError is of a class that depends on its build
        raise ExportError(f"{path} is not an ONNX model: {error}") from error
    if not model.graph.node:
        raise ExportError(f"{path} is not an ONNX model: it has no operators")
    for tensor in model.graph.initializer:
        if uses_external_data(tensor):
            _require_beside(path, ExternalDataInfo(tensor).location)
    load_external_data_for_model(model, str(path.parent))
    return model


def _require_beside(path: Path, location: str) -> None:
    if not (path.parent / location).is_file():
        raise ExportError(
            f"{path} has its weights in another file, {location}, which is not beside it; put it "
            "there"
        )


def _fix_size(path: Path, value: Any) -> int:
    """The side of the images; open lengths become those of the served pixels, in place."""
    kind = value.type.tensor_type
    found = [axis.dim_value or axis.dim_param or "?" for axis in kind.shape.dim]
    side = next((length for length in found[2:] if isinstance(length, int)), INPUT_SIZE)
    fits = len(found) == 4 and found[1] == 3
    if not fits or any(isinstance(n, int) and n != side for n in found[2:]):
        raise ExportError(
            f"{path} reads {value.name} {found}; expected [batch, 3, side, side]: export it with "
            "channels first, for square images"
        )
    if kind.elem_type != TensorProto.FLOAT:
        dtype = TensorProto.DataType.Name(kind.elem_type)
        raise ExportError(
            f"{path} reads {value.name} as {dtype}; expected FLOAT: export it in FP32, its weights "
            "are stored as FP16 here"
        )
    for axis in kind.shape.dim[2:]:
        axis.dim_value = side
    return side


def _named(values: Any) -> str:
    return ", ".join(value.name for value in values) or "none"
