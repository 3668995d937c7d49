"""How the networks are run: each by every runtime of the device, and the lite head beside the full.

  peopleseg bench runtimes
  peopleseg bench runtimes --runtimes onnxruntime --networks hierarchical_head --rois 1 5 10
  peopleseg bench runtimes --checkpoint runs/yolov9_t/best.ckpt runs/hierarchical_lite/best.ckpt
  peopleseg bench runtimes --device cuda

onnxruntime                ONNX Runtime on the device, the graph as it is exported
torch                      PyTorch, as it is written
torch_compile              PyTorch, compiled (torch.compile); compiling takes minutes
onnxruntime_tensorrt_fp16  ONNX Runtime's TensorRT provider (cuda)
tensorrt                   a TensorRT engine (cuda)
torch_cuda_graph           PyTorch, its kernels recorded and launched at once (cuda)

On cuda also with _fp16: computing in FP16. FP32 may be TF32 there, as PyTorch and ONNX Runtime have
it by default; TensorRT's is not. A runtime that is not on this machine is left out, and named.

The networks are those that are served, and the full mask head (B0) with the inputs of the served
one; with random weights, unless --checkpoint brings trained ones. Networks on images are asked for
one image, the heads for each number of rois, with the same random numbers for every runtime; the
outputs are compared with the first one's. A call takes and gives arrays in the machine's memory.
Needs the packages for training.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from benchmarks.speed import metrics
from benchmarks.speed.devices import CPU, CUDA
from benchmarks.speed.errors import BenchError, MissingTool
from benchmarks.speed.load import Slice
from benchmarks.speed.metrics import of_kind
from benchmarks.speed.options import RoundOptions, RunOptions, confined_to
from benchmarks.speed.saving import finish
from benchmarks.speed.targets import Group, InProcess, interleave
from peopleseg.cli.options import Help, one_of, whole
from peopleseg.systems.known import NETWORKS
from peopleseg.systems.people.contract import MAX_PEOPLE

if TYPE_CHECKING:  # they bring torch, which --help does without
    from benchmarks.speed.networks import Network
    from conversion.export.inputs import Case
    from conversion.export.runners import Runner

    Opened = dict[str, dict[str, Runner]]  # by runtime and network

RUNTIMES: dict[str, tuple[str, ...]] = {
    CPU: ("onnxruntime", "torch", "torch_compile"),
    CUDA: (
        *("onnxruntime", "onnxruntime_fp16", "onnxruntime_tensorrt_fp16"),
        *("tensorrt", "tensorrt_fp16", "torch", "torch_fp16"),
        *("torch_compile", "torch_compile_fp16", "torch_cuda_graph", "torch_cuda_graph_fp16"),
    ),
}


_EVERY = tuple(dict.fromkeys(name for names in RUNTIMES.values() for name in names))


@dataclass(frozen=True, kw_only=True)
class Options(RoundOptions, RunOptions):
    checkpoint: Annotated[
        tuple[Path, ...],
        Help("trained networks, in place of those of the same variant or beside the others"),
    ] = ()
    networks: Annotated[tuple[str, ...], one_of(NETWORKS, some=True), Help("some of them")] = tuple(
        NETWORKS
    )
    runtimes: Annotated[
        tuple[str, ...], one_of(_EVERY), Help(f"of {', '.join(_EVERY)} (all of the device)")
    ] = ()
    rois: Annotated[
        tuple[int, ...],
        Help(f"in one call of a mask head, at most {MAX_PEOPLE}"),
        whole(1, MAX_PEOPLE),
    ] = (1, 5, 10)


def run(args: Options) -> int:
    from benchmarks.speed.networks import find_networks

    names, rois = runtimes_of(args.device, args.runtimes), sorted(set(args.rois))
    with confined_to(args.threads), tempfile.TemporaryDirectory(prefix="runtimes-") as folder:
        networks = find_networks(
            args.model_repository, args.checkpoint, args.networks, rois, Path(folder)
        )
        opened, left_out = open_all(names, networks, device=args.device, threads=args.threads)
        differences = compare(opened, networks)
        groups = [Group(name, [(one.name, case)]) for name, one, case in cases_of(networks)]
        targets = [InProcess(name, partial(_called, runners)) for name, runners in opened.items()]
        slices = interleave(targets, groups, rounds=args.rounds, seconds=args.seconds)
    heads = [network.name for network in networks if network.reads_rois]
    return finish(
        args,
        "runtimes",
        slices,
        {"rois": rois},
        metrics={
            "networks": {network.name: network.describe() for network in networks},
            "left_out": left_out,
            "differences": differences,
            "heads": compare_heads(slices, heads, rois),
        },
    )


def _called(runners: "Mapping[str, Runner]", request: "tuple[str, Case]") -> object:
    """One call of a network, by its name."""
    name, case = request
    return runners[name](case.inputs)


def runtimes_of(device: str, wanted: Sequence[str]) -> list[str]:
    """Those wanted, none for all, in the device's order. Raises BenchError for another device's."""
    for name in wanted:
        if name not in RUNTIMES[device]:
            raise BenchError(
                f"{name} does not run on --device {device}, which has {', '.join(RUNTIMES[device])}"
            )
    return [name for name in RUNTIMES[device] if not wanted or name in wanted]


def cases_of(networks: "Sequence[Network]") -> "Iterator[tuple[str, Network, Case]]":
    """What is measured: group, network and case. Heads follow each other for one number of rois."""
    sizes = sorted({size for network in networks for size in network.cases})
    for reads_rois in (False, True):
        for size in sizes:
            for network in networks:
                if network.reads_rois == reads_rois and size in network.cases:
                    yield group_name(network.name, size), network, network.cases[size]


def group_name(network: str, size: int) -> str:
    """size: images or rois in a call."""
    return f"{network} x {size}"


def open_all(
    names: Sequence[str], networks: "Sequence[Network]", *, device: str, threads: int
) -> "tuple[Opened, dict[str, str]]":
    """Every runtime with all networks, and why others are left out.

    Raises MissingTool when none is left.
    """
    from benchmarks.speed.runners import open_runner

    opened: Opened = {}
    left_out: dict[str, str] = {}
    for name in names:
        print(f"opening {name}", flush=True)
        try:
            opened[name] = {
                network.name: open_runner(network, name, device=device, threads=threads)
                for network in networks
            }
        except MissingTool as error:
            left_out[name] = str(error)
            print(f"left out {name}: {error}", flush=True)
    if not opened:
        raise MissingTool("; ".join(left_out.values()))
    return opened, left_out


def compare(
    opened: "Opened", networks: "Sequence[Network]"
) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """How far the runtimes' outputs are from the first one's, by group, runtime and output.

    As `conversion.export.parity.Gap` says.
    """
    from conversion.export.parity import Expected, as_record, gaps

    first, *others = opened
    found: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for group, network, case in cases_of(networks):
        expected = Expected(case, opened[first][network.name](case.inputs))
        found[group] = {}
        for name in others:
            gap = gaps([expected], opened[name][network.name])
            found[group][name] = as_record(gap)[case.source]
    return found


def compare_heads(
    slices: Sequence[Slice], heads: Sequence[str], rois: Sequence[int]
) -> list[dict[str, Any]]:
    """Of every head, runtime and number of rois: ms a person, and how many times the first head's.

    The latter as median, smallest and largest of the rounds.
    """
    found = []
    for runtime in dict.fromkeys(one.target for one in slices):
        for size in rois:
            groups = [group_name(head, size) for head in heads]
            measured = [of_kind(slices, group, runtime, 1) for group in groups]
            for head, group, ours in zip(heads, groups, measured, strict=True):
                latency = metrics.latencies(ours)
                times = metrics.latency_ratio(measured[0], ours)
                assert latency is not None and times is not None  # nothing here fails to answer
                found.append(
                    {
                        "network": head,
                        "runtime": runtime,
                        "rois": size,
                        "group": group,
                        "ms_a_person": round(latency.median / size, 4),
                        "times_first": [round(ratio, 4) for ratio in times],
                    }
                )
    return found
