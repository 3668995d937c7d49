"""Whether two responses of the same versions to one image agree, but for rounding."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peopleseg.repository.manifest import StepManifest
from peopleseg.systems.people.contract import FOREGROUND, SELECT_PEOPLE
from peopleseg.systems.people.selection import MIN_SCORE
from peopleseg.systems.system import Response

# Room for another CPU, thread count or batch, and for half precision on a GPU. Other weights
# differ by far more.
BOX_TOLERANCE_PX = 2.0
BOX_TOLERANCE = 0.01  # of the box's longer side, where that is more
SCORE_TOLERANCE = 0.02
MASK_TOLERANCE = 5.0  # of 255, mean over the cells or pixels


def unlike(folders: Mapping[str, Path], found: Response, expected: Response) -> str | None:
    """How two responses of one ensemble of these versions differ; None within the tolerances above.

    Somebody whose score is near the smallest one may be in only one of them. Raises ArtifactError.
    """
    return agree(found, expected, smallest_score(folders))


def smallest_score(folders: Mapping[str, Path]) -> float:
    """Of the people in a response of these versions, a folder a step. Raises ArtifactError."""
    if SELECT_PEOPLE.name not in folders:
        return MIN_SCORE
    settings = StepManifest.read(folders[SELECT_PEOPLE.name]).settings
    return float(settings.get("min_score", MIN_SCORE))


def agree(found: Response, expected: Response, min_score: float = MIN_SCORE) -> str | None:
    """How two responses of one ensemble to one image differ, None within the tolerances above.

    Somebody whose score is that near min_score, the smallest one, may be in only one of them.
    """
    if FOREGROUND.name in expected:
        name = FOREGROUND.name
        return _unlike_maps(name, found[name], expected[name])
    return next(_differences(found, expected, min_score + SCORE_TOLERANCE), None)


def _differences(found: Response, expected: Response, marginal: float) -> Iterator[str]:
    lengths = {name: len(found[name]) for name in expected}
    if len(set(lengths.values())) != 1:
        yield f"the tensors differ in length: {lengths}"
        return
    remaining = list(range(len(found["scores"])))
    for number, box in enumerate(expected["boxes"]):
        score = float(expected["scores"][number])
        match = _nearest(box, found["boxes"], remaining)
        if match is None:
            if not score <= marginal:  # also for NaN
                yield f"person {number}, {_shown(box)} with score {score:.3f}, is not found"
            continue
        remaining.remove(match)
        gap = abs(float(found["scores"][match]) - score)
        if not gap <= SCORE_TOLERANCE:  # also for NaN
            yield f"person {number} has score {found['scores'][match]:.3f} instead of {score:.3f}"
        difference = _unlike_maps(
            f"the mask of person {number}", found["masks"][match], expected["masks"][number]
        )
        if difference:
            yield difference
    for number in remaining:
        score = float(found["scores"][number])
        if not score <= marginal:
            yield (
                f"somebody at {_shown(found['boxes'][number])} with score {score:.3f} should not "
                "be found"
            )


def _nearest(
    box: NDArray[np.floating], boxes: NDArray[np.floating], candidates: Sequence[int]
) -> int | None:
    """The candidate whose edges are nearest, if they are within the tolerance."""
    gaps = {number: float(np.abs(boxes[number] - box).max()) for number in candidates}
    nearest = min(gaps, key=lambda number: gaps[number], default=None)
    longer_side = float((box[2:] - box[:2]).max())
    tolerance = max(BOX_TOLERANCE_PX, BOX_TOLERANCE * longer_side)
    return nearest if nearest is not None and gaps[nearest] <= tolerance else None


def _unlike_maps(name: str, found: NDArray[Any], expected: NDArray[Any]) -> str | None:
    if found.shape != expected.shape:
        return f"{name} has shape {list(found.shape)} instead of {list(expected.shape)}"
    gap = float(np.abs(found.astype(np.float32) - expected).mean())
    if gap > MASK_TOLERANCE:
        return f"{name} differs by {gap:.1f} of 255 in the mean, more than {MASK_TOLERANCE:g}"
    return None


def _shown(box: NDArray[np.floating]) -> str:
    return f"[{', '.join(f'{edge:.1f}' for edge in box.tolist())}]"
