"""Each version folder against its manifest, and its graph against the configs that load it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
from google.protobuf.json_format import MessageToDict

from peopleseg.checks.reading import ModelFolder
from peopleseg.checks.shapes import fits
from peopleseg.repository.limits import MAX_IR_VERSION, OPSET
from peopleseg.repository.manifest import (
    FILE_NAME,
    ArtifactError,
    Manifest,
    StepManifest,
    read_manifest,
    tensors_of,
)
from peopleseg.repository.settings import settings_faults
from peopleseg.repository.tensors import Tensor
from peopleseg.runtime.onnx_session import TYPES, ModelLoadError, check_signature, open_session
from peopleseg.systems.known import NETWORKS, PYTHON_STEPS
from peopleseg.systems.versions import python_step


def artifact_faults(folder: ModelFolder, version: int) -> list[str]:
    """What is wrong with one version of a step."""
    path = folder.path / str(version)
    where = f"{folder.name}/{version}"
    try:
        manifest = read_manifest(path)
        manifest.verify(path)
    except ArtifactError as error:
        return [f"{where}: {error}"]
    faults = [
        f"{where}/{FILE_NAME}: {fault}" for fault in _manifest_faults(manifest, folder, version)
    ]
    if faults or not isinstance(manifest, Manifest):
        return faults
    if manifest.artifact.endswith(".onnx"):
        return [f"{where}: {fault}" for fault in _graph_faults(manifest, path, folder)]
    return [f"{where}: {fault}" for fault in _recorded_faults(manifest)]


def _manifest_faults(
    manifest: Manifest | StepManifest, folder: ModelFolder, version: int
) -> list[str]:
    faults = []
    if manifest.model != folder.name:
        faults.append(f'model is "{manifest.model}"; it must be the folder\'s: "{folder.name}"')
    files = folder.files()
    if manifest.artifact not in files:
        faults.append(
            f'artifact is "{manifest.artifact}", which no config loads; they load '
            f"{', '.join(files)}"
        )
    is_network = isinstance(manifest, Manifest)
    if is_network != (folder.name in NETWORKS):
        found, wanted = ("network", "Python step") if is_network else ("Python step", "network")
        faults.append(f"the fields are those of a {found}; {folder.name} is a {wanted}")
    if isinstance(manifest, StepManifest):
        faults += _step_faults(manifest, folder, version)
    return faults


def _step_faults(manifest: StepManifest, folder: ModelFolder, version: int) -> list[str]:
    """The settings, by the code that the version runs."""
    current = PYTHON_STEPS.get(folder.name)
    if current is None:
        return []  # the fields of the manifest are at fault
    try:
        step = python_step(folder.path / str(version), current)
    except ArtifactError as error:
        return [str(error)]
    return settings_faults(folder.name, step.settings, manifest.settings)


def _graph_faults(manifest: Manifest, path: Path, folder: ModelFolder) -> list[str]:
    artifact = path / manifest.artifact
    options = onnxruntime.SessionOptions()  # its optimisers decide which lengths are known
    options.log_severity_level = 3  # a warning is no fault
    try:
        session = open_session(artifact, options, ["CPUExecutionProvider"])
    except ModelLoadError as error:
        return [str(error)]
    faults = _limit_faults(manifest, artifact)
    for name in folder.files()[manifest.artifact]:
        config = MessageToDict(folder.configs[name], preserving_proto_field_name=True)
        try:
            check_signature(config, session)
        except ModelLoadError as error:
            faults.append(f"with {folder.name}/{name}: {error}")
        else:
            faults += [f"with {folder.name}/{name}: {one}" for one in _native(config, session)]
    return faults + _recorded_against_graph(manifest, path, session)


def _native(config: dict[str, Any], session: onnxruntime.InferenceSession) -> Iterator[str]:
    """Open and fixed lengths that Triton's own backend does not take, where the embedded one does.

    A length that the graph fixes may not be open in the config, and those of the outputs have to be
    open in both or in neither (CompareDimsSupported in its onnxruntime_utils.cc).
    """
    for role, tensors, nodes in (
        ("input", config["input"], session.get_inputs()),
        ("output", config["output"], session.get_outputs()),
    ):
        shapes = {node.name: node.shape[1:] for node in nodes}
        for tensor in tensors:
            dims = [int(length) for length in tensor["dims"]]
            found = [one if isinstance(one, int) else -1 for one in shapes[tensor["name"]]]
            wrong = (
                known != wanted and (role == "output" or known != -1)
                for known, wanted in zip(found, dims, strict=True)
            )
            if any(wrong):
                yield (
                    f"{role} {tensor['name']} has the lengths {found} in the graph, {dims} in the "
                    "config, which Triton's own backend refuses; export it again"
                )


def _limit_faults(manifest: Manifest, artifact: Path) -> list[str]:
    model = onnx.load(artifact, load_external_data=False)
    opset = next((entry.version for entry in model.opset_import if entry.domain == ""), 0)
    faults = []
    for what, found, recorded, largest in (
        ("opset", opset, manifest.opset, OPSET),
        ("ir_version", model.ir_version, manifest.ir_version, MAX_IR_VERSION),
    ):
        if found > largest:
            faults.append(
                f"{manifest.artifact} has {what} {found}, more than {largest}, which the pinned "
                "ONNX Runtime reads; export it again"
            )
        if found != recorded:
            faults.append(f"{manifest.artifact} has {what} {found}, its manifest says {recorded}")
    return faults


def _recorded_against_graph(
    manifest: Manifest, path: Path, session: onnxruntime.InferenceSession
) -> list[str]:
    """The manifest's tensors and reads, which say more than the graph, but nothing else."""
    try:
        recorded = tensors_of(path)
    except ArtifactError as error:
        return [str(error)]
    names = [node.name for node in session.get_inputs()]
    faults = [
        f"{FILE_NAME} says that input {name} is read; the graph has {', '.join(names)}"
        for name in manifest.reads
        if name not in names
    ]
    for role, found, nodes in (
        ("input", recorded.inputs, session.get_inputs()),
        ("output", recorded.outputs, session.get_outputs()),
    ):
        faults += _differences(role, found, {node.name: node for node in nodes})
    return faults


def _differences(role: str, recorded: dict[str, Tensor], nodes: dict[str, Any]) -> list[str]:
    faults = []
    for name in sorted(recorded.keys() ^ nodes.keys()):
        place, other = ("manifest", "graph") if name in recorded else ("graph", "manifest")
        faults.append(f"{role} {name} is in the {place}, not in the {other}; export it again")
    for name in recorded.keys() & nodes.keys():
        tensor, node = recorded[name], nodes[name]
        dtype = TYPES.get(node.type, node.type).removeprefix("TYPE_")
        if tensor.dtype != dtype:
            faults.append(f"{role} {name} is {tensor.dtype} in {FILE_NAME}, {dtype} in the graph")
        fixed = [length if isinstance(length, int) else -1 for length in node.shape[1:]]
        if not fits(tensor.shape, fixed):
            faults.append(
                f"{role} {name} has shape {list(tensor.shape)} in {FILE_NAME}, {fixed} in the graph"
            )
    return faults


def _recorded_faults(manifest: Manifest) -> list[str]:
    """An engine cannot be looked into here; its manifest has to say what it takes."""
    faults = [
        f"{FILE_NAME} has no {name}, which tells a release whether {manifest.artifact} fits; "
        "build it again"
        for name in ("tensors", "reads", "hardware")
        if not getattr(manifest, name)
    ]
    return faults
