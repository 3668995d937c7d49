"""Compare an artifact with the network in torch: how far apart they are, and may be."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from conversion.export.inputs import IMAGES, Case
from conversion.export.runners import Runner
from conversion.export.settings import ExportError
from conversion.export.tolerances import Tolerances
from peopleseg.systems.known import parts
from peopleseg.systems.step import Arrays


class Gap(NamedTuple):
    """How far an output is from what was expected, over all cases.

    Of FP16 outputs, a difference counts in parts of the value where that is above 1. Of class maps
    the mean is the share of pixels of another class, and the magnitude 1.
    """

    max: float
    mean: float
    magnitude: float  # mean of what was expected


Gaps = dict[str, dict[str, Gap]]  # by the inputs' source, and by what is compared


_SYSTEMS = parts("conversion.{}.tolerances")
# Name of an output to what is compared of it apart: slices of its values.
_PARTS = {name: apart for system in _SYSTEMS for name, apart in system.PARTS.items()}
# Outputs that are numbers of classes: right or wrong, and not nearer or farther.
_CLASS_NUMBERS = {name for system in _SYSTEMS for name in system.CLASS_NUMBERS}


def _level(name: str, *sources: str) -> Tolerances:
    by_name = {one: limit for s in _SYSTEMS for one, limit in getattr(s, name).items()}
    return Tolerances(by_name, sources)


# The graph as exported: rounding alone. By `reference_name` of an Exportable.
EXACT = _level("EXACT")
AS_TRACED = {"torch": EXACT, "file": _level("OF_A_FILE")}
# Weights stored as FP16: each is off by at most 1 part in 2048.
HALF_WEIGHTS = _level("HALF_WEIGHTS")
# Every number of the computation is.
HALF = _level("HALF")
# Weights to train on: those of a start, and of images.
TO_TRAIN_ON = replace(HALF, sources=(IMAGES,))
# INT8 is for images like those it was calibrated on. What it may cost is judged by accuracy;
# this finds a broken graph.
QUANTISED = _level("QUANTISED", IMAGES)


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
            gap, magnitude = differences(name, values, found[name]), magnitudes(name, values)
            if values.dtype == np.float16:  # 11 bits: what is exact depends on the value
                gap /= np.maximum(1, np.abs(values))
            row = np.array([gap.max(), gap.sum(), magnitude.sum(), gap.size])
            by_name.setdefault(name, []).append(row)
    return {
        source: {name: _gap(np.stack(rows)) for name, rows in by_name.items()}
        for source, by_name in collected.items()
    }


def differences(name: str, expected: NDArray[Any], found: NDArray[Any]) -> NDArray[np.float64]:
    """How far each value of an output is off; of a class, 1 where it is another one."""
    if name in _CLASS_NUMBERS:
        return (expected != found).astype(np.float64)
    return np.abs(expected.astype(np.float64) - found)


def magnitudes(name: str, expected: NDArray[Any]) -> NDArray[np.float64]:
    """What the differences are in parts of; of classes, of all of them."""
    if name in _CLASS_NUMBERS:
        return np.ones(expected.shape)
    return np.abs(expected, dtype=np.float64)


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
    """What has parts, part by part."""
    return {
        part: values[:, place]
        for name, values in outputs.items()
        for part, place in _PARTS.get(name, {name: slice(None)}).items()
    }


def _gap(rows: NDArray[np.float64]) -> Gap:
    gap, magnitude, count = rows[:, 1:].sum(axis=0)
    return Gap(float(rows[:, 0].max()), float(gap / count), float(magnitude / count))
