"""Whether two responses of the same versions to one image agree, and which versions fit."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from peopleseg.pixels.geometry import INPUT_SIZE
from peopleseg.repository.manifest import Manifest, StepManifest, tensors_of
from peopleseg.systems.semantic.contract import (
    CLASSES,
    DEEPLAB,
    NAMES,
    POSTPROCESS_CLASSES,
    VOC_CLASSES,
)
from peopleseg.systems.shared.contract import PIXELS, PREPROCESS
from peopleseg.systems.system import Response

# Room for another CPU, thread count or batch, and for half precision on a GPU: pixels between two
# classes. Other weights differ by far more.
MOST_OTHER_PIXELS = 0.02


def unlike(folders: Mapping[str, Path], found: Response, expected: Response) -> str | None:
    """How two responses of the same versions differ; None within the tolerance above."""
    if found[NAMES.name].tolist() != expected[NAMES.name].tolist():
        return f"the classes are {found[NAMES.name].tolist()}, not {expected[NAMES.name].tolist()}"
    classes, wanted = found[CLASSES.name], expected[CLASSES.name]
    if classes.shape != wanted.shape:
        return f"classes has shape {list(classes.shape)} instead of {list(wanted.shape)}"
    other = float(np.mean(classes != wanted))
    if other > MOST_OTHER_PIXELS:
        return f"{other:.1%} of the pixels are of another class, more than {MOST_OTHER_PIXELS:.0%}"
    return None


def pair_faults(folders: Mapping[str, Path]) -> Iterator[str]:
    """What is wrong between the pinned versions of an ensemble whose artifacts are in order."""
    network = folders[DEEPLAB.name]
    yield from _square_fault(network, folders[PREPROCESS.name])
    yield from _names_fault(network, folders[POSTPROCESS_CLASSES.name])


def _square_fault(network: Path, first: Path) -> Iterator[str]:
    read = tensors_of(network).inputs[PIXELS.name].shape[-1]
    made = StepManifest.read(first).settings.get("size", INPUT_SIZE)
    if read not in (-1, made):
        yield (
            f"{DEEPLAB.name}/{network.name} reads a square of {read} pixels, "
            f"{PREPROCESS.name}/{first.name} makes one of {made}; make a version that fits: "
            f"peopleseg new-step-version {PREPROCESS.name} --set size={read}"
        )


def _names_fault(network: Path, last: Path) -> Iterator[str]:
    dims = Manifest.read(network).variant
    if not dims.keys() & {"classes", "networks"}:
        yield (
            f"the manifest of {DEEPLAB.name}/{network.name} does not say which classes it tells "
            "apart; export it again"
        )
        return
    learned = classes_of(dims)
    named = list(StepManifest.read(last).settings.get("class_names", VOC_CLASSES))
    if learned != named:
        yield (
            f"{DEEPLAB.name}/{network.name} tells {', '.join(learned)} apart, "
            f"{POSTPROCESS_CLASSES.name}/{last.name} names {', '.join(named)}; make a version that "
            f"fits: peopleseg new-step-version {POSTPROCESS_CLASSES.name} --set "
            f"'class_names={json.dumps(learned)}'"
        )


def classes_of(dims: Mapping[str, Any]) -> list[str]:
    """The names of the classes of a network, or of several as one, by what builds it."""
    first = dims["networks"][0] if "networks" in dims else dims
    return list(first["classes"])
