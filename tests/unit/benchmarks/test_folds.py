"""Folds: a division of the images, the same for the same seed, each class spread over all."""

from collections import Counter

import numpy as np
import pytest

from benchmarks.folds import balanced_folds


def images(count: int, seed: int = 0) -> dict[str, frozenset[int]]:
    """Background everywhere, class n in about one of 2 ** n images; some have no class."""
    random = np.random.default_rng(seed)
    return {
        f"{n:03}": frozenset(one for one in range(6) if random.random() < 0.9 / 2**one)
        for n in range(count)
    }


def test_every_image_is_in_one_fold() -> None:
    classes = images(103)
    folds = balanced_folds(classes, 5)
    assert sorted(name for fold in folds for name in fold) == sorted(classes)
    assert max(map(len, folds)) - min(map(len, folds)) <= 3


def test_the_seed_alone_decides() -> None:
    classes = images(60)
    backwards = dict(reversed(classes.items()))
    assert balanced_folds(classes, 5) == balanced_folds(backwards, 5)
    assert balanced_folds(classes, 5) != balanced_folds(classes, 5, seed=1)


@pytest.mark.parametrize("seed", range(5))
def test_each_class_is_spread_over_the_folds(seed: int) -> None:
    classes = images(150, seed)
    folds = balanced_folds(classes, 5)
    total = Counter(one for there in classes.values() for one in there)
    for one, count in total.items():
        having = [sum(one in classes[name] for name in fold) for fold in folds]
        assert max(having) - min(having) <= max(1, 0.15 * count), (one, having)


def test_fewer_images_than_folds_are_refused() -> None:
    with pytest.raises(ValueError, match="4 images make no 5 folds"):
        balanced_folds(images(4), 5)
