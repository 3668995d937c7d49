"""Fill one version folder: trace, convert, compare, describe."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conversion.export import parity, pinned_runtime
from conversion.export.description import describe
from conversion.export.inputs import random_cases
from conversion.export.job import Job
from conversion.export.parity import Expected, as_record, batch_sizes, gaps, judge
from conversion.export.precision import convert
from conversion.export.runners import CPU, CUDA, Runner, onnx_runner, torch_runner
from conversion.export.tolerances import Tolerances
from conversion.export.torch_weights import write_weights
from peopleseg.repository.cache import cache_folder
from peopleseg.repository.manifest import Manifest
from peopleseg.systems.configs import profiles

ARTIFACT = "model.onnx"
PLAN = "model.plan"
PINNED_CASES = 2  # compared under the pinned ONNX Runtime: one of each size


def make_version(folder: Path, job: Job) -> Manifest:
    """Write the artifact into `folder`, and the network in torch where there is one.

    Returns their manifest. Raises ExportError.
    """
    exportable = job.source.exportable
    job.begin("tracing")
    full, artifact = folder / "full.onnx", folder / ARTIFACT
    exportable.trace(full)
    job.begin(f"running {exportable.reference_name}")
    expected = _expected(job)
    job.begin("comparing")
    compared: dict[str, Any] = {"batches": batch_sizes(expected)}
    reference = exportable.reference_name
    compared[f"fp32_against_{reference}"] = _within(
        parity.AS_TRACED[reference], expected, onnx_runner(full), f"{job.name} as traced"
    )
    if reference == "torch":
        compared["weights_against_torch"] = as_record(write_weights(folder, job, expected))
    converted = convert(full, artifact, job)
    full.unlink(missing_ok=True)
    compared |= _compare_artifact(artifact, expected, converted.tolerances, job)
    hardware: dict[str, str] = {}
    if job.settings.accelerator == "tensorrt":
        job.begin("building a TensorRT engine")
        graph, artifact = artifact, folder / PLAN
        hardware, compared[f"engine_against_{reference}"] = _build_engine(
            graph, artifact, expected, job
        )
        graph.unlink()
    job.begin("describing")
    return describe(
        job,
        artifact,
        expected[0].outputs,
        weights=converted.weights,
        parity=compared,
        accuracy_gate=converted.accuracy_gate,
        hardware=hardware,
    )


def _expected(job: Job) -> list[Expected]:
    """The cases to compare, with what torch makes of them."""
    exportable = job.source.exportable
    cases = [*job.comparison_cases(), *random_cases(exportable, job.inputs.at_once)]
    run = torch_runner(exportable.reference, exportable.model)
    return [Expected(case, run(case.inputs)) for case in cases]


def _compare_artifact(
    artifact: Path, expected: Sequence[Expected], tolerances: Tolerances, job: Job
) -> dict[str, Any]:
    """The graph that is served or built from, against torch and under the pinned ONNX Runtime."""
    settings = job.settings
    providers = (CUDA, CPU) if settings.accelerator == "cuda" else (CPU,)
    what = f"{job.name} in {settings.precision}"
    compared: dict[str, Any] = {"providers": list(providers)}
    run = onnx_runner(artifact, providers)
    compared[f"artifact_against_{job.source.exportable.reference_name}"] = _within(
        tolerances, expected, run, what
    )
    pinned = f"onnxruntime_{pinned_runtime.VERSION}"
    compared[pinned] = "not checked"
    if settings.check_pinned_runtime:
        job.begin(f"running under ONNX Runtime {pinned_runtime.VERSION}")
        found = pinned_runtime.compare(artifact, expected[:PINNED_CASES], onnx_runner(artifact))
        judge(found, tolerances, f"{what} under ONNX Runtime {pinned_runtime.VERSION}")
        compared[pinned] = as_record(found)
    return compared


def _build_engine(
    graph: Path, plan: Path, expected: Sequence[Expected], job: Job
) -> tuple[dict[str, str], dict[str, Any]]:
    """Write a graph's engine; what it runs on, and its parity."""
    from conversion.export import engine

    exportable, precision = job.source.exportable, job.settings.precision
    hardware = engine.build(
        graph,
        plan,
        profiles(exportable.model, exportable.input_shapes),
        precision=precision,
        timing_cache=cache_folder() / "tensorrt_timing.cache",
    )
    limits = {"fp32": parity.EXACT, "fp16": parity.HALF, "int8": parity.QUANTISED}
    run = engine.engine_runner(plan)
    return hardware, _within(limits[precision], expected, run, f"{job.name}'s engine")


def _within(
    tolerances: Tolerances, expected: Sequence[Expected], run: Runner, what: str
) -> dict[str, Any]:
    found = gaps(expected, run)
    judge(found, tolerances, what)
    return as_record(found)
