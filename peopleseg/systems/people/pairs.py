"""Versions that only work with one another, because one leaves to the other what is its own.

The step roi_align_features widens the boxes that the head on features cuts its masks back by. Who
is in a response is decided twice, before the masks are made and with them, by the same fit and
score.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from peopleseg.repository.manifest import Manifest, StepManifest
from peopleseg.systems.people.contract import (
    FEATURE_HEAD,
    POSTPROCESS,
    ROI_ALIGN_FEATURES,
    SELECT_PEOPLE,
)

_ALIGNER, _HEAD = ROI_ALIGN_FEATURES.name, FEATURE_HEAD.name
_SELECTS, _RESPONDS = SELECT_PEOPLE.name, POSTPROCESS.name


def pair_faults(folders: Mapping[str, Path]) -> Iterator[str]:
    """What is wrong between the pinned versions of an ensemble whose artifacts are in order.

    folders: of each step's version.
    """
    pins = {name: folder.name for name, folder in folders.items()}
    if _ALIGNER in folders:
        padding = StepManifest.read(folders[_ALIGNER]).settings.get("padding", 0)
        cut = Manifest.read(folders[_HEAD]).export.get("roi_padding", 0)
        if padding != cut:
            yield (
                f"{_ALIGNER}/{pins[_ALIGNER]} widens boxes by {padding:g} of their sides, "
                f"{_HEAD}/{pins[_HEAD]} cuts its masks back by {cut:g}; make a version that "
                f"fits: peopleseg new-step-version {_ALIGNER} --set padding={cut:g}"
            )
    if _SELECTS in folders:
        yield from _score_faults(pins, folders)


def _score_faults(pins: Mapping[str, str], folders: Mapping[str, Path]) -> Iterator[str]:
    """min_score counts only with a fit: without, who is selected is in the response."""
    selects, responds = (StepManifest.read(folders[n]).settings for n in (_SELECTS, _RESPONDS))
    shared = ("score_fit", "min_score") if selects.get("score_fit") else ("score_fit",)
    for name in shared:
        if selects.get(name) != responds.get(name):
            yield (
                f"{_SELECTS}/{pins[_SELECTS]} has {name} {selects.get(name)}, "
                f"{_RESPONDS}/{pins[_RESPONDS]} has {responds.get(name)}; "
                "make a version that fits: "
                f"peopleseg new-step-version {_RESPONDS} --set "
                f"'{name}={json.dumps(selects.get(name))}'"
            )
