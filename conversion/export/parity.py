"""Compare an artifact with the network in torch: how far apart they are, and may be."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from conversion.export.inputs import IMAGES, Case
from conversion.export.runners import Runner
from conversion.export.settings import ExportError
from peopleseg.systems.step import Arrays


class Gap(NamedTuple):
    """How far an output is from what was expected, over all cases.

    Of FP16 outputs, a difference counts in parts of the value where that is above 1.
    """

    max: float
    mean: float
    magnitude: float  # mean of what was expected


Gaps = dict[str, dict[str, Gap]]  # by the inputs' source, and by what is compared


class Tolerance(NamedTuple):
    """What a gap may be at most: its largest value, and its mean in parts of the magnitude."""

    max: float
    mean_share: float = float("inf")


@dataclass(frozen=True)
class Tolerances:
    """Of everything compared: logits, features, and the predictions' boxes (px) and scores."""

    logits: Tolerance
    features: Tolerance
    boxes: Tolerance
    scores: Tolerance
    sources: tuple[str, ...] = ()  # of the inputs that they hold for; none: all

    def of(self, name: str) -> Tolerance:
        return self.logits if name.endswith(("_logit", "_logits")) else getattr(self, name)


_NO_LIMIT = float("inf")

# The graph as exported: rounding alone, which of random inputs, whose logits reach 100, is more.
# Features are rounded to FP16 on both sides, which is up to 2 ** -11 and may double it.
EXACT = Tolerances(
    logits=Tolerance(4e-3, mean_share=1e-4),
    features=Tolerance(4e-3),
    boxes=Tolerance(1e-2),
    scores=Tolerance(1e-3),
)
# The same where a distance is a mean over bins, of which rounding in a deep network moves the
# weights: a twentieth of a pixel. By `reference_name` of an Exportable.
AS_TRACED = {"torch": EXACT, "file": replace(EXACT, boxes=Tolerance(5e-2))}
# Weights stored as FP16: each is off by at most 1 part in 2048.
HALF_WEIGHTS = Tolerances(
    logits=Tolerance(0.2, mean_share=0.01),
    features=Tolerance(0.1, mean_share=0.01),
    boxes=Tolerance(4.0, mean_share=0.001),
    scores=Tolerance(0.01),
)
# Every number of the computation is.
HALF = Tolerances(
    logits=Tolerance(0.5, mean_share=0.02),
    features=Tolerance(0.5, mean_share=0.02),
    boxes=Tolerance(16.0, mean_share=0.002),
    scores=Tolerance(0.05),
)
# Weights to train on: those of a start, and of images.
TO_TRAIN_ON = replace(HALF, sources=(IMAGES,))
# INT8 is for images like those it was calibrated on. What it may cost is judged by accuracy;
# this finds a broken graph.
QUANTISED = Tolerances(
    logits=Tolerance(_NO_LIMIT, mean_share=0.25),
    features=Tolerance(_NO_LIMIT, mean_share=0.25),
    boxes=Tolerance(_NO_LIMIT, mean_share=0.05),
    scores=Tolerance(0.5),
    sources=(IMAGES,),
)


class ParityError(ExportError):
    """An artifact does not compute what the network in torch computes."""


class Expected(NamedTuple):
    """A case with what it should give."""

    case: Case
    outputs: Arrays


def gaps(expected: Iterable[Expected], run: Runner) -> Gaps:
    """Compare what `run` gives for every case with what it should.

    Raises ParityError for an output that is missing or of another type or shape.
    """
    collected: dict[str, dict[str, list[NDArray[Any]]]] = {}
    for (source, inputs), outputs in expected:
        found = _compared(run(inputs))
        for name, values in _compared(outputs).items():
            _check_form(name, values, found.get(name))
            by_name = collected.setdefault(source, {})
            gap = np.abs(values.astype(np.float64) - found[name])
            if values.dtype == np.float16:  # 11 bits: what is exact depends on the value
                gap /= np.maximum(1, np.abs(values))
            row = np.array([gap.max(), gap.sum(), np.abs(values, dtype=np.float64).sum(), gap.size])
            by_name.setdefault(name, []).append(row)
    return {
        source: {name: _gap(np.stack(rows)) for name, rows in by_name.items()}
        for source, by_name in collected.items()
    }


def judge(found: Gaps, tolerances: Tolerances, what: str) -> None:
    """Raises ParityError naming the first output of `what` that is out of tolerance."""
    for source, by_name in found.items():
        if tolerances.sources and source not in tolerances.sources:
            continue
        for name, gap in by_name.items():
            limit = tolerances.of(name)
            # written so that NaN is refused
            if not (gap.max <= limit.max and gap.mean <= limit.mean_share * gap.magnitude):
                raise ParityError(
                    f"{what}: {name} on {source} differs by at most {gap.max:.3g}, on average "
                    f"{gap.mean:.3g} of {gap.magnitude:.3g}; allowed is {limit.max:g}, on average "
                    f"{limit.mean_share:.1%}; nothing was written"
                )


def as_record(found: Gaps) -> dict[str, dict[str, dict[str, float]]]:
    """For a manifest."""
    return {
        source: {name: gap._asdict() for name, gap in by_name.items()}
        for source, by_name in found.items()
    }


def batch_sizes(expected: Sequence[Expected]) -> dict[str, list[int]]:
    """How many images or rois each case had, by source."""
    sizes: dict[str, list[int]] = {}
    for (source, inputs), _ in expected:
        sizes.setdefault(source, []).append(len(next(iter(inputs.values()))))
    return sizes


def _check_form(name: str, expected: NDArray[Any], found: NDArray[Any] | None) -> None:
    wanted = f"{expected.dtype}{list(expected.shape)}"
    given = "missing" if found is None else f"{found.dtype}{list(found.shape)}"
    if given != wanted:
        raise ParityError(f"{name} is {given}, in torch {wanted}; nothing was written")


def _compared(outputs: Arrays) -> Arrays:
    """Boxes and scores apart: pixels and probabilities have no common tolerance."""
    parts = dict(outputs)
    if "predictions" in parts:
        predictions = parts.pop("predictions")
        parts |= {"boxes": predictions[:, :4], "scores": predictions[:, 4:]}
    return parts


def _gap(rows: NDArray[np.float64]) -> Gap:
    gap, magnitude, count = rows[:, 1:].sum(axis=0)
    return Gap(float(rows[:, 0].max()), float(gap / count), float(magnitude / count))
