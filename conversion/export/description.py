"""The manifest of an exported version."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx
import onnxruntime

from conversion.export.exportable import Exportable
from conversion.export.job import Job
from peopleseg.repository.commit import current_commit
from peopleseg.repository.limits import MAX_IR_VERSION, OPSET
from peopleseg.repository.manifest import WEIGHTS, Manifest, sha256
from peopleseg.systems.step import Arrays

TOOLS = ("torch", "onnx", "numpy", "segmentation-models-pytorch", "timm")


def describe(
    job: Job,
    artifact: Path,
    outputs: Arrays,
    *,
    weights: str,
    parity: dict[str, Any],
    accuracy_gate: dict[str, Any],
    hardware: dict[str, str],
) -> Manifest:
    """Of an artifact in its folder.

    outputs: of any one call, for their lengths. weights: how they are stored.
    """
    settings, exportable = job.settings, job.source.exportable
    in_torch = artifact.with_name(WEIGHTS)
    is_graph = artifact.suffix == ".onnx"  # an engine is made of a graph within the same limits
    return Manifest(
        model=job.name,
        artifact=artifact.name,
        sha256=sha256(artifact),
        bytes=artifact.stat().st_size,
        variant=exportable.dims,
        export=exportable.settings,
        precision=settings.precision,
        weights=weights,
        opset=OPSET,
        ir_version=onnx.load(artifact).ir_version if is_graph else MAX_IR_VERSION,
        checkpoint_sha256=job.checkpoint_sha256,
        commit=current_commit(),
        tools=tools(),
        parity=parity,
        accuracy=job.source.loaded.metrics,
        accuracy_data=settings.accuracy_data,
        data_licence=settings.data_licence,
        tensors=_tensors(exportable, outputs),
        reads=list(exportable.reads),
        accelerator=settings.accelerator,
        hardware=hardware,
        accuracy_gate=accuracy_gate,
        weights_licence=settings.weights_licence,
        weights_sha256=sha256(in_torch) if in_torch.is_file() else "",
    )


def tools() -> dict[str, str]:
    """Name to version of what an export goes through."""
    # ONNX Runtime's package has another name where it is for GPUs.
    return {tool: version(tool) for tool in TOOLS} | {"onnxruntime": onnxruntime.__version__}


def _tensors(exportable: Exportable, outputs: Arrays) -> dict[str, dict[str, dict[str, Any]]]:
    """True lengths: of the inputs as the network has them, of the outputs as they came."""
    lengths = exportable.input_shapes | {name: a.shape[1:] for name, a in outputs.items()}
    return {
        role: {t.name: {"dtype": t.dtype, "shape": list(lengths[t.name])} for t in tensors}
        for role, tensors in (
            ("inputs", exportable.model.inputs),
            ("outputs", exportable.model.outputs),
        )
    }
