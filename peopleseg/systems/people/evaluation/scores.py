"""What a score is worth: precision and recall from a score on, and how often a score is right."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peopleseg.systems.people.evaluation.matches import Matched

SCORES = np.arange(1, 100) / 100  # that people may be asked from
BINS = 10  # of the reliability diagram, equally wide


@dataclass(frozen=True)
class Point:
    """Of people from a score on, at IoU 0.5; those in crowds count nowhere."""

    score: float
    precision: float | None  # share of those found that is right; None: nobody is found
    recall: float  # share of the true people that is found
    f1: float  # harmonic mean of both


@dataclass(frozen=True)
class Judged:
    """Everybody found who counts."""

    scores: NDArray[np.float64]
    right: NDArray[np.bool_]
    people: int  # who are to be found

    @classmethod
    def of(cls, images: Sequence[Matched]) -> "Judged":
        """Over all images together."""
        found = [
            (entry["score"], right)
            for one in images
            for entry, right, ignored in zip(one.found, one.right, one.ignored, strict=True)
            if not ignored
        ]
        scores, right = np.array(found, dtype=np.float64).reshape(-1, 2).T
        return cls(scores, right.astype(np.bool_), sum(len(one.people) for one in images))

    def at_least(self, score: float) -> "Judged":
        """Those of at least that score."""
        chosen = self.scores >= score
        return Judged(self.scores[chosen], self.right[chosen], self.people)


def curve(judged: Judged) -> list[Point]:
    """A point for each of SCORES. There must be people to find."""
    return [_point(judged.at_least(score), float(score)) for score in SCORES]


def best(points: Sequence[Point]) -> Point:
    """Where F1 is highest; of equals the lowest score."""
    return max(points, key=lambda point: point.f1)


def reliability(judged: Judged) -> dict[str, Any]:
    """Share that is right by score, and the expected calibration error.

    The error is the mean over those found of |score - share right|, both of a bin
    (Guo et al. 2017, arXiv:1706.04599); None where nobody is found.
    """
    number = np.minimum((judged.scores * BINS).astype(np.int64), BINS - 1)
    bins = [_bin(index / BINS, judged, number == index) for index in range(BINS)]
    errors = [one["found"] * abs(one["mean_score"] - one["right"]) for one in bins if one["found"]]
    found = len(judged.scores)
    return {"bins": bins, "calibration_error": sum(errors) / found if found else None}


def as_rows(points: Sequence[Point]) -> list[dict[str, float | None]]:
    return [asdict(point) for point in points]


def _point(judged: Judged, score: float) -> Point:
    right, found = int(judged.right.sum()), len(judged.right)
    return Point(
        score=score,
        precision=right / found if found else None,
        recall=right / judged.people,
        f1=2 * right / (found + judged.people),
    )


def _bin(low: float, judged: Judged, chosen: NDArray[np.bool_]) -> dict[str, Any]:
    found = int(chosen.sum())
    return {
        "from_score": low,
        "found": found,
        "mean_score": float(judged.scores[chosen].mean()) if found else None,
        "right": float(judged.right[chosen].mean()) if found else None,
    }
