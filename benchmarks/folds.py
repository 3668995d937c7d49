"""Images divided into folds for cross-validation, each class spread over all of them."""

import random
from collections import Counter
from collections.abc import Mapping


def balanced_folds(
    classes: Mapping[str, frozenset[int]], count: int, seed: int = 0
) -> list[list[str]]:
    """Names by fold, each sorted; the same for the same seed.

    classes: those in each image, by its name. The class that is in the fewest of the images left is
    spread first, each of its images going where the fewest of that class are, then where the fewest
    images are (Sechidis et al. 2011, On the Stratification of Multi-Label Data). Raises ValueError
    for fewer images than folds.
    """
    if len(classes) < count:
        raise ValueError(f"{len(classes)} images make no {count} folds")
    left = sorted(classes)
    random.Random(seed).shuffle(left)
    folds: list[list[str]] = [[] for _ in range(count)]
    having: list[Counter[int | None]] = [Counter() for _ in range(count)]
    while left:
        rarest = _rarest(left, classes)
        for name in [one for one in left if rarest is None or rarest in classes[one]]:
            best = min(range(count), key=lambda one: (having[one][rarest], len(folds[one])))
            folds[best].append(name)
            having[best].update(classes[name])
        placed = {name for fold in folds for name in fold}
        left = [name for name in left if name not in placed]
    return [sorted(fold) for fold in folds]


def _rarest(names: list[str], classes: Mapping[str, frozenset[int]]) -> int | None:
    """None where no image has a class."""
    counts = Counter(one for name in names for one in classes[name])
    return min(counts, key=lambda one: (counts[one], one), default=None)
