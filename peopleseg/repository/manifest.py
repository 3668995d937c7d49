"""The manifest beside every artifact: what it is, where it came from, how well it does.

A version folder is written once and never changed. A network's holds a `Manifest`, a Python step's
a `StepManifest`, each as manifest.json.
"""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from peopleseg.errors import PeoplesegError
from peopleseg.labels.files import write_atomically
from peopleseg.repository import frozen_code
from peopleseg.repository.tensors import Tensor

FILE_NAME = "manifest.json"
SCHEMA = 2  # of the fields below; 1 had no `schema`, `weights_sha256` nor a step's `code`
WEIGHTS = "weights.safetensors"  # of a network in torch, to go on training from
STEP_ARTIFACT = "model.py"
_BLOCK_BYTES = 1 << 20

# Triton's types by ONNX's TensorProto.DataType.
_DTYPES = {"FLOAT": "FP32", "FLOAT16": "FP16", "DOUBLE": "FP64", "STRING": "BYTES"}


class ArtifactError(PeoplesegError):
    """An artifact is not the one that its manifest describes."""


class _Described:
    """What both kinds of manifest do: lie in a folder, and vouch for a file there."""

    artifact: str
    sha256: str

    def write(self, folder: Path) -> None:
        """Into a version folder, whole or not at all."""
        text = json.dumps(asdict(self), indent=2) + "\n"  # type: ignore[call-overload]
        write_atomically(folder / FILE_NAME, text.encode())

    def verify(self, folder: Path) -> None:
        """Raises ArtifactError unless what lies in `folder` is what is described here."""
        _verify(folder / self.artifact, self.sha256)


@dataclass(frozen=True)
class Manifest(_Described):
    """Of a network."""

    model: str  # folder of the model repository
    artifact: str  # file name, beside the manifest
    sha256: str  # of the artifact
    bytes: int
    variant: dict[str, Any]  # the arguments that rebuild the network, or how it was imported
    precision: str  # of the computation
    weights: str  # how they are stored
    opset: int
    ir_version: int
    checkpoint_sha256: str  # or of the file that was imported
    commit: str  # of this repository at the time of conversion
    tools: dict[str, str]  # name to version
    parity: dict[str, Any]  # differences against torch, per output; see conversion.export.parity
    accuracy: dict[str, float]  # of the checkpoint, in torch
    accuracy_data: str  # what it was measured on
    data_licence: str  # of the training data
    # {"inputs" and "outputs": {name: {"dtype": Triton's, "shape": lengths without the batch axis}}}
    tensors: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)  # inputs that it computes with; none: see graph
    export: dict[str, Any] = field(default_factory=dict)  # beside the variant: roi_padding
    accelerator: str = "cpu"  # that it was made for: cpu, cuda or tensorrt
    hardware: dict[str, str] = field(default_factory=dict)  # a TensorRT engine's GPU and versions
    accuracy_gate: dict[str, Any] = field(default_factory=dict)  # INT8: metrics before and after
    weights_licence: str = ""  # of weights that come from somebody else
    weights_sha256: str = ""  # of WEIGHTS, where the version has them
    schema: int = SCHEMA

    def verify(self, folder: Path) -> None:
        super().verify(folder)
        if self.weights_sha256:
            _verify(folder / WEIGHTS, self.weights_sha256)

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """The manifest of a network's version folder. Raises ArtifactError."""
        found = read_manifest(folder)
        if not isinstance(found, cls):
            raise ArtifactError(f"{folder} is a version of a Python step, not of a network")
        return found


@dataclass(frozen=True)
class StepManifest(_Described):
    """Of a Python step."""

    model: str  # folder of the model repository
    sha256: str  # of the artifact
    settings: dict[str, Any]  # what the step reads when it is loaded
    commit: str  # of this repository when the version was made
    artifact: str = STEP_ARTIFACT
    code: str = ""  # digest of the code in the folder; without, the version runs the project's own
    step: str = ""  # the class in that code, as module:Class
    files: dict[str, str] = field(default_factory=dict)  # sha256, by the setting that names each
    schema: int = SCHEMA

    def arguments(self, folder: Path) -> dict[str, Any]:
        """What the step is made with: the settings, a file as its path."""
        return self.settings | {name: str(folder / self.settings[name]) for name in self.files}

    def verify(self, folder: Path) -> None:
        """Raises ArtifactError unless model.py, the files and the code are those described here."""
        super().verify(folder)
        for name, digest in self.files.items():
            _verify(folder / self.settings[name], digest)
        if not self.code:
            return
        path = folder / frozen_code.FILE_NAME
        try:
            found = frozen_code.digest(path.read_bytes())
        except (OSError, zipfile.BadZipFile, zlib.error) as error:
            raise ArtifactError(
                f"{path} cannot be read ({error}), though the manifest describes it"
            ) from error
        if found != self.code:
            raise ArtifactError(
                f"{path} has code of digest {found}, its manifest says {self.code}; a version is "
                "never changed: put the file back, or make a new version"
            )

    @classmethod
    def read(cls, folder: Path) -> "StepManifest":
        """The manifest of a Python step's version folder. Raises ArtifactError."""
        found = read_manifest(folder)
        if not isinstance(found, cls):
            raise ArtifactError(f"{folder} is a version of a network, not of a Python step")
        return found


class Tensors(NamedTuple):
    """What goes into a network and comes out, by name, without the batch axis."""

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


def read_manifest(folder: Path) -> Manifest | StepManifest:
    """The manifest of a version folder; only a Python step's has settings.

    Raises ArtifactError when it cannot be read.
    """
    path = folder / FILE_NAME
    try:
        values = {"schema": 1, **json.loads(path.read_text())}
        if values["schema"] > SCHEMA:
            raise ArtifactError(
                f"{path} has schema {values['schema']}, this peopleseg reads up to {SCHEMA}; use "
                "the newer peopleseg that made the version"
            )
        return StepManifest(**values) if "settings" in values else Manifest(**values)
    except (OSError, ValueError, TypeError) as error:
        raise ArtifactError(
            f"{path} is not a manifest ({error}); make this version again, as a new one"
        ) from error


def tensors_of(folder: Path) -> Tensors:
    """The true shapes of a network's version: as its manifest says, else as its graph does.

    -1 is a length that the graph leaves open. Raises ArtifactError.
    """
    manifest = Manifest.read(folder)
    if manifest.tensors:
        try:
            return Tensors(*(_recorded(manifest.tensors[role]) for role in Tensors._fields))
        except (KeyError, TypeError) as error:
            raise ArtifactError(
                f"{folder / FILE_NAME} has tensors that cannot be read ({error!r}); "
                "export the model again"
            ) from error
    graph = _graph(folder / manifest.artifact)
    return Tensors(_tensors(graph.input), _tensors(graph.output))


def reads_of(folder: Path) -> tuple[str, ...]:
    """The inputs that a network's version computes with, in the graph's order.

    An input that no output depends on is left out. Raises ArtifactError.
    """
    manifest = Manifest.read(folder)
    if manifest.reads:
        return tuple(manifest.reads)
    graph = _graph(folder / manifest.artifact)
    needed = {output.name for output in graph.output}
    for node in reversed(graph.node):  # sorted: a node stands after those that it reads
        if needed.intersection(node.output):
            needed.update(_read_by(node))
    return tuple(tensor.name for tensor in graph.input if tensor.name in needed)


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _verify(path: Path, recorded: str) -> None:
    if not path.is_file():
        raise ArtifactError(f"{path} is missing, though its manifest describes it")
    found = sha256(path)
    if found != recorded:
        raise ArtifactError(
            f"{path} has sha256 {found}, its manifest says {recorded}; a version is never "
            "changed: put the file back, or make a new version"
        )


def _recorded(entries: dict[str, dict[str, Any]]) -> dict[str, Tensor]:
    return {
        name: Tensor(name, entry["dtype"], tuple(entry["shape"])) for name, entry in entries.items()
    }


def _graph(path: Path) -> Any:
    import onnx

    try:
        return onnx.load(path, load_external_data=False).graph
    except Exception as error:  # protobuf's DecodeError is of a class that depends on its build
        raise ArtifactError(f"{path} is not an ONNX model ({error}); export it again") from error


def _tensors(values: Any) -> dict[str, Tensor]:
    return {value.name: _tensor(value) for value in values}


def _tensor(value: Any) -> Tensor:
    import onnx

    kind = value.type.tensor_type
    dtype = onnx.TensorProto.DataType.Name(kind.elem_type)
    lengths = tuple(axis.dim_value if axis.HasField("dim_value") else -1 for axis in kind.shape.dim)
    return Tensor(value.name, _DTYPES.get(dtype, dtype), lengths[1:])


def _read_by(node: Any) -> Iterator[str]:
    """Names that a node reads, also within its branches and loop bodies."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _read_by(inner)
