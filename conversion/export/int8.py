"""Quantise a network to INT8, but for the blocks of layers that cost accuracy.

ONNX Runtime's static quantisation: QuantizeLinear and DequantizeLinear around each operator,
weights by channel, ranges of the activations from real images. Which blocks of layers stay in
float is found by measuring: each block alone is quantised and the outputs compared; then the block
that hurts most goes back to float until the outputs are within the tolerance of INT8, and the
network's metric of accuracy close enough to what it was.
"""

import copy
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
from tqdm import tqdm

from conversion.export.accuracy import Accuracy
from conversion.export.inputs import IMAGES, Case
from conversion.export.onnx_export import decoding_nodes, save
from conversion.export.parity import (
    QUANTISED,
    Expected,
    ParityError,
    differences,
    gaps,
    judge,
    magnitudes,
)
from conversion.export.runners import Runner, onnx_runner
from conversion.export.settings import ExportError
from peopleseg.systems.step import Arrays

CONVOLUTIONS = ("Conv", "ConvTranspose")
# In a block with convolutions these pass INT8 on, which halves the time once more.
OPERATORS = (
    *CONVOLUTIONS,
    "Add",
    "Clip",
    "Concat",
    "LeakyRelu",
    "MaxPool",
    "Mul",
    "Relu",
    "Resize",
    "Sigmoid",
)
FEWEST_BLOCKS = 16  # that the layers are divided into, where there are as many
COMPARED = 4  # calibration inputs that a block's damage is measured on
ACCEPTED = 8  # and those that the tolerance has to hold for


class AccuracyError(ExportError):
    """The quantised network is worse than allowed, whatever stays in float."""


@dataclass(frozen=True)
class Quantised:
    """How a network was quantised, for its manifest."""

    metric: str
    before: float
    after: float
    allowed_loss: float
    damage: dict[str, float]  # of each block alone: mean difference of the outputs, relative
    float_blocks: list[str]


def quantise(
    source: Path,
    target: Path,
    calibration: Sequence[Arrays],
    accuracy: Accuracy,
    *,
    signed: bool,
    most_loss: float,
) -> Quantised:
    """Write `source`, an FP32 graph, in INT8, at most `most_loss` less accurate.

    calibration: inputs of real images. signed: activations from -128 to 127 around 0, as TensorRT
    wants them; else from 0 to 255, twice as fast on an x86 CPU. Raises AccuracyError.
    """
    quantiser = Quantiser(source, calibration, signed=signed)
    exact = onnx_runner(source)
    damage = _damage_by_block(quantiser, exact, calibration[:COMPARED])
    expected = [Expected(Case(IMAGES, one), exact(one)) for one in calibration[:ACCEPTED]]
    before = after = accuracy.measure(exact)
    worst_first = sorted(damage, key=damage.__getitem__, reverse=True)
    steps = tqdm(range(len(worst_first)), desc="INT8", unit="trial", leave=False, disable=None)
    for kept in steps:
        quantiser.write(target, worst_first[kept:])
        run = onnx_runner(target)
        if not _within_tolerance(run, expected):
            continue
        after = accuracy.measure(run)
        if after >= before - most_loss:
            in_float = sorted(worst_first[:kept])
            return Quantised(accuracy.metric, before, after, most_loss, damage, in_float)
    raise AccuracyError(
        f"INT8 is out of tolerance, or takes more than {most_loss:g} of {accuracy.metric} "
        f"({before:.4f}), even with all blocks but one in float ({after:.4f}); calibrate on "
        "more images like those to be served, or export another precision; nothing was written"
    )


def _within_tolerance(run: Runner, expected: Sequence[Expected]) -> bool:
    try:
        judge(gaps(expected, run), QUANTISED, "INT8")
    except ParityError:
        return False
    return True


class Quantiser:
    """An FP32 graph with the ranges that its activations take on real inputs."""

    def __init__(self, source: Path, calibration: Sequence[Arrays], *, signed: bool) -> None:
        self._model = onnx.load(source)
        self._signed = signed
        self.blocks = blocks(self._model.graph)
        self._ranges = _ranges(source, calibration)

    def write(self, target: Path, chosen: Collection[str]) -> None:
        """The graph with these blocks in INT8."""
        # Slow to import, and needed here alone.
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

        quantiser = QDQQuantizer(
            copy.deepcopy(self._model),
            per_channel=True,
            # 7 bits of weights, as a CPU without VNNI adds two products in 16 bits.
            reduce_range=not self._signed,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QInt8 if self._signed else QuantType.QUInt8,
            tensors_range=self._ranges,
            nodes_to_quantize=[name for block in chosen for name in self.blocks[block]],
            nodes_to_exclude=[],
            op_types_to_quantize=list(OPERATORS),
            extra_options={"ActivationSymmetric": self._signed, "WeightSymmetric": True},
        )
        quantiser.quantize_model()
        quantiser.model.clean_initializers()  # bounds of operators that are no more
        quantiser.model.topological_sort()
        save(quantiser.model.model, target)


def blocks(graph: Any) -> dict[str, list[str]]:
    """The nodes to quantise, by the module that they belong to.

    Modules are those of the coarsest level with at least FEWEST_BLOCKS that have convolutions.
    """
    left_out = decoding_nodes(graph)
    nodes = [n for n in graph.node if n.op_type in OPERATORS and n.name not in left_out]
    paths = {node.name: node.name.split("/")[1:] for node in nodes}  # as torch's exporter names
    convolutions = [node.name for node in nodes if node.op_type in CONVOLUTIONS]
    for depth in range(1, max(map(len, paths.values())) + 1):
        modules = {name: "/".join(path[:depth]) for name, path in paths.items()}
        groups: dict[str, list[str]] = {modules[name]: [] for name in convolutions}
        if len(groups) >= FEWEST_BLOCKS:
            break
    for name, module in modules.items():
        groups.get(module, []).append(name)
    return groups


def _damage_by_block(
    quantiser: Quantiser, exact: Runner, inputs: Sequence[Arrays]
) -> dict[str, float]:
    """Mean difference of the outputs in parts of their magnitude, the largest of all outputs."""
    expected = [exact(arrays) for arrays in inputs]
    damage = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "block.onnx"
        for block in tqdm(quantiser.blocks, desc="damage", unit="block", leave=False, disable=None):
            quantiser.write(path, [block])
            run = onnx_runner(path)
            damage[block] = _difference(expected, [run(arrays) for arrays in inputs])
    return damage


def _difference(expected: Sequence[Arrays], found: Sequence[Arrays]) -> float:
    shares = []
    for name in expected[0]:
        pairs = [(e[name], f[name]) for e, f in zip(expected, found, strict=True)]
        gap = np.mean([differences(name, *pair).mean() for pair in pairs])
        magnitude = np.mean([magnitudes(name, exact).mean() for exact, _ in pairs])
        shares.append(float(gap / max(magnitude, 1e-12)))
    return max(shares)


def _ranges(source: Path, calibration: Sequence[Arrays]) -> Any:
    from onnxruntime.quantization.calibrate import CalibrationMethod, create_calibrator

    calls = iter(tqdm(calibration, desc="calibrating", unit="call", leave=False, disable=None))
    reader = SimpleNamespace(get_next=lambda: next(calls, None))  # all that a calibrator asks of it
    with tempfile.TemporaryDirectory() as folder:
        calibrator = create_calibrator(
            source,
            list(OPERATORS),
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=CalibrationMethod.MinMax,
        )
        calibrator.collect_data(reader)
        return calibrator.compute_data()
