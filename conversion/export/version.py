"""Fill one version folder: trace, convert, compare, describe."""

import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx

from conversion.commit import current_commit
from conversion.export import parity, pinned_runtime
from conversion.export.exportable import Exportable
from conversion.export.fp16 import to_fp16
from conversion.export.inputs import (
    IMAGES_AT_ONCE,
    ROIS_AT_ONCE,
    Case,
    RoiReader,
    calibration_inputs,
    image_cases,
    random_cases,
    roi_cases,
)
from conversion.export.onnx_export import export_onnx, halve_weights
from conversion.export.parity import Expected, Tolerances, as_record, batch_sizes, gaps, judge
from conversion.export.profiles import profiles
from conversion.export.runners import CPU, CUDA, has_cuda, onnx_runner, torch_runner
from conversion.export.settings import Settings
from conversion.limits import MAX_IR_VERSION, OPSET
from peopleseg.coco import load_pictures
from peopleseg.manifest import Manifest, sha256
from training.checkpoint import Loaded

ARTIFACT = "model.onnx"
PLAN = "model.plan"
PINNED_CASES = 2  # compared under the pinned ONNX Runtime: one of each size
PICTURES = 8  # compared, at most; a batch of one, of three, of one, of three
TOOLS = ("torch", "onnx", "onnxruntime", "numpy", "segmentation-models-pytorch", "timm")


@dataclass(frozen=True)
class Source:
    """What one version is made of."""

    exportable: Exportable
    loaded: Loaded  # with the networks that a head reads
    unmoved: "Source | None" = None  # the head that still has its first convolution


def make_version(
    folder: Path,
    source: Source,
    pictures: Sequence[Path],
    settings: Settings,
    *,
    repository: Path,
    on_stage: Callable[[str], None],
) -> Manifest:
    """Write the artifact and return its manifest, which lacks the checkpoint's sha256.

    Raises ExportError when the artifact is out of tolerance.
    """
    exportable = source.exportable
    name = exportable.model.name
    on_stage(f"{name}: tracing")
    full, artifact = folder / "full.onnx", folder / ARTIFACT
    export_onnx(exportable.module, exportable.model, full, exportable.input_shapes)
    on_stage(f"{name}: running torch")
    expected = _expected(source, pictures, repository)
    on_stage(f"{name}: comparing")
    compared: dict[str, Any] = {"batches": batch_sizes(expected)}
    compared["fp32_against_torch"] = _within(name, parity.EXACT, expected, full)
    tolerances, gate = _convert(full, artifact, source, pictures, settings, repository)
    providers = (CUDA, CPU) if settings.accelerator == "cuda" and has_cuda() else (CPU,)
    compared["artifact_against_torch"] = _within(name, tolerances, expected, artifact, providers)
    compared["providers"] = list(providers)
    if source.unmoved:
        compared["unmoved_against_artifact"] = _with_unmoved(source, artifact, pictures, repository)
    compared[f"onnxruntime_{pinned_runtime.VERSION}"] = _pinned(
        name, artifact, expected, tolerances, settings, on_stage
    )
    full.unlink(missing_ok=True)
    hardware: dict[str, str] = {}
    if settings.accelerator == "tensorrt":
        on_stage(f"{name}: building a TensorRT engine")
        artifact, hardware, compared["engine_against_torch"] = _engine(
            artifact, source, expected, settings
        )
    on_stage(f"{name}: describing")
    return Manifest(
        **_files(artifact, settings),
        **_origin(source, settings),
        parity=compared,
        accuracy_gate=gate,
        hardware=hardware,
        tensors=_tensors(exportable, expected),
    )


def _expected(source: Source, pictures: Sequence[Path], repository: Path) -> list[Expected]:
    """The cases to compare, with what torch makes of them."""
    exportable = source.exportable
    run = torch_runner(exportable.reference, exportable.model)
    sizes = IMAGES_AT_ONCE if exportable.reads == ("pixels",) else ROIS_AT_ONCE
    cases = [*_picture_cases(source, pictures, repository), *random_cases(exportable, sizes)]
    return [Expected(case, run(case.inputs)) for case in cases]


def _picture_cases(source: Source, pictures: Sequence[Path], repository: Path) -> list[Case]:
    exportable = source.exportable
    if exportable.reads == ("pixels",):
        return list(image_cases(pictures[:PICTURES]))
    reader = RoiReader(source.loaded, exportable, repository)
    return list(roi_cases(pictures[:PICTURES], exportable, reader))


def _within(
    name: str,
    tolerances: Tolerances,
    expected: Sequence[Expected],
    artifact: Path,
    providers: Sequence[str] = (CPU,),
) -> dict[str, Any]:
    found = gaps(expected, onnx_runner(artifact, providers))
    judge(found, tolerances, f"{name} ({artifact.stem})")
    return as_record(found)


def _with_unmoved(
    source: Source, artifact: Path, pictures: Sequence[Path], repository: Path
) -> dict[str, Any]:
    """The head behind its detector's convolution against the head that has it, through RoIAlign."""
    assert source.unmoved is not None
    run = torch_runner(source.unmoved.exportable.reference, source.unmoved.exportable.model)
    moved = _picture_cases(source, pictures, repository)
    whole = _picture_cases(source.unmoved, pictures, repository)
    expected = [Expected(m, run(w.inputs)) for m, w in zip(moved, whole, strict=True)]
    return _within(source.exportable.model.name, parity.HALF, expected, artifact)


def _convert(
    full: Path,
    artifact: Path,
    source: Source,
    pictures: Sequence[Path],
    settings: Settings,
    repository: Path,
) -> tuple[Tolerances, dict[str, Any]]:
    """Write the artifact that was asked for; how exact it has to be, and its accuracy gate."""
    if settings.precision == "int8":
        return parity.QUANTISED, _quantise(full, artifact, source, pictures, settings, repository)
    if settings.accelerator == "tensorrt":  # the engine's builder chooses where FP16 is used
        full.rename(artifact)
        return parity.EXACT, {}
    if settings.precision == "fp16":
        to_fp16(full, artifact)
        return parity.HALF, {}
    if settings.stored == "fp16":
        halve_weights(full, artifact)
        return parity.HALF_WEIGHTS, {}
    full.rename(artifact)
    return parity.EXACT, {}


def _quantise(
    full: Path,
    artifact: Path,
    source: Source,
    pictures: Sequence[Path],
    settings: Settings,
    repository: Path,
) -> dict[str, Any]:
    from conversion.export.accuracy import accuracy_of
    from conversion.export.int8 import quantise

    exportable = source.exportable
    reader = None
    if exportable.reads != ("pixels",):
        reader = RoiReader(source.loaded, exportable, repository)
    assert settings.images is not None and settings.annotations is not None
    annotated = load_pictures(settings.annotations, settings.images)[: settings.limit]
    accuracy = accuracy_of(exportable, annotated, reader)
    calibration = calibration_inputs(pictures, exportable, reader)
    found = quantise(
        full, artifact, calibration, accuracy, signed=settings.accelerator == "tensorrt"
    )
    return asdict(found) | {"pictures": len(annotated), "calibrated_on": len(pictures)}


def _pinned(
    name: str,
    artifact: Path,
    expected: Sequence[Expected],
    tolerances: Tolerances,
    settings: Settings,
    on_stage: Callable[[str], None],
) -> dict[str, Any] | str:
    """The artifact under the pinned ONNX Runtime against the installed one."""
    if not settings.check_pinned_runtime:
        return "not checked"
    on_stage(f"{name}: running under ONNX Runtime {pinned_runtime.VERSION}")
    found = pinned_runtime.compare(artifact, expected[:PINNED_CASES], onnx_runner(artifact))
    judge(found, tolerances, f"{name} under ONNX Runtime {pinned_runtime.VERSION}")
    return as_record(found)


def _engine(
    source_graph: Path, source: Source, expected: Sequence[Expected], settings: Settings
) -> tuple[Path, dict[str, str], dict[str, Any]]:
    """Replace the graph by its engine; the engine, what it runs on, and its parity."""
    from conversion.export import engine

    exportable = source.exportable
    plan = source_graph.with_name(PLAN)
    hardware = engine.build(
        source_graph,
        plan,
        profiles(exportable.model, exportable.input_shapes),
        precision=settings.precision,
        timing_cache=pinned_runtime.cache_folder() / "tensorrt_timing.cache",
    )
    found = gaps(expected, engine.engine_runner(plan))
    tolerances = {"fp32": parity.EXACT, "fp16": parity.HALF, "int8": parity.QUANTISED}
    judge(found, tolerances[settings.precision], f"{exportable.model.name} ({PLAN})")
    source_graph.unlink()
    return plan, hardware, as_record(found)


def _files(artifact: Path, settings: Settings) -> dict[str, Any]:
    """What a manifest says of the artifact itself; an engine is made of a graph of that opset."""
    graph = onnx.load(artifact, load_external_data=False) if artifact.name == ARTIFACT else None
    stored = {"fp32": settings.stored, "fp16": "fp16", "int8": "int8"}[settings.precision]
    return {
        "artifact": artifact.name,
        "sha256": sha256(artifact),
        "bytes": artifact.stat().st_size,
        "precision": settings.precision,
        "weights": stored,
        "opset": OPSET,
        "ir_version": graph.ir_version if graph else MAX_IR_VERSION,
    }


def _origin(source: Source, settings: Settings) -> dict[str, Any]:
    return {
        "model": source.exportable.model.name,
        "variant": source.exportable.dims,
        "export": source.exportable.settings,
        "reads": list(source.exportable.reads),
        "checkpoint_sha256": "",
        "commit": current_commit(),
        "tools": {tool: importlib.metadata.version(tool) for tool in TOOLS},
        "accelerator": settings.accelerator,
        "accuracy": source.loaded.metrics,
        "accuracy_data": settings.accuracy_data,
        "data_licence": settings.data_licence,
    }


def _tensors(
    exportable: Exportable, expected: Sequence[Expected]
) -> dict[str, dict[str, dict[str, Any]]]:
    """True lengths: of the inputs as the network has them, of the outputs as they came."""
    outputs = expected[0].outputs
    return {
        "inputs": {
            tensor.name: {
                "dtype": tensor.dtype,
                "shape": list(exportable.input_shapes[tensor.name]),
            }
            for tensor in exportable.model.inputs
        },
        "outputs": {
            tensor.name: {"dtype": tensor.dtype, "shape": list(outputs[tensor.name].shape[1:])}
            for tensor in exportable.model.outputs
        },
    }
