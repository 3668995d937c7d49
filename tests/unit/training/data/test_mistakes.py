"""Where a detector finds somebody and nobody is."""

import pytest
import torch
from torch import Tensor

from tests.unit.training.data.test_samples import GRID_HW, scene_of
from training.data.mistakes import LEAST_SCORE, mistakes, with_mistakes
from training.data.samples import IGNORED, RoiBatch, collate_rois, roi_sample

PERSON, LAMP, HYDRANT = [10, 10, 40, 90], [200, 50, 240, 150], [400, 400, 440, 460]


def predictions(*found: tuple[list[int], float]) -> Tensor:
    """[5, anchors] of boxes and scores."""
    columns = [
        [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, score] for (x1, y1, x2, y2), score in found
    ]
    return torch.tensor(columns, dtype=torch.float32).reshape(-1, 5).T


def people(*boxes: list[int]) -> Tensor:
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)


def batch_of(*boxes: list[list[int]], mistakes: float, ignored: tuple = ()) -> RoiBatch:
    scenes = [scene_of(own, size=640, ignored_boxes=ignored) for own in boxes]
    return collate_rois([roi_sample(scene, GRID_HW, 9, mistakes=mistakes) for scene in scenes])


def test_who_is_found_on_nobody_is_a_mistake_the_surest_first() -> None:
    found = predictions((HYDRANT, 0.3), (PERSON, 0.9), (LAMP, 0.6), ([500, 9, 540, 60], 0.05))
    assert mistakes(found, people(PERSON)).tolist() == [LAMP, HYDRANT]
    assert mistakes(found, people()).tolist() == [PERSON, LAMP, HYDRANT]
    assert mistakes(predictions(), people(PERSON)).shape == (0, 4)


@pytest.mark.parametrize(
    ("region", "left"),
    [
        ([200, 50, 203, 150], [LAMP]),  # 3 of 40 columns
        ([200, 50, 205, 150], []),  # 5 of 40
        ([0, 0, 640, 640], []),  # not everybody is known
    ],
)
def test_what_lies_partly_on_somebody_is_none(region: list[int], left: list[list[int]]) -> None:
    assert mistakes(predictions((LAMP, 0.6)), people(region)).tolist() == left


def test_a_mistake_counts_once_and_lies_in_the_image() -> None:
    twice = predictions((LAMP, 0.6), ([202, 52, 242, 152], 0.5), ([-20, 300, 30, 360], 0.4))
    assert mistakes(twice, people()).tolist() == [LAMP, [0, 300, 30, 360]]
    slim = predictions(([600, 300, 607, 360], 0.9), ([636, 300, 680, 360], 0.9))
    assert len(mistakes(slim, people())) == 0
    assert len(mistakes(predictions((LAMP, LEAST_SCORE)), people())) == 1


@pytest.mark.parametrize(("mistakes", "count"), [(0.0, 0), (0.5, 1), (1.0, 2), (9.0, 7)])
def test_mistakes_become_rois_of_unknown_masks_after_those_of_people(
    mistakes: float, count: int
) -> None:
    torch.manual_seed(0)
    batch = batch_of([PERSON], [], [PERSON], mistakes=mistakes)
    found = torch.stack([predictions((HYDRANT, 0.3), (PERSON, 0.9))] * 3)
    found = torch.cat((found, predictions((LAMP, 0.6)).expand(3, 5, 1)), dim=2)
    all_mistakes = [[0, *HYDRANT], [0, *LAMP], [1, *HYDRANT], [1, *LAMP], [1, *PERSON]]
    all_mistakes += [[2, *HYDRANT], [2, *LAMP]]
    more, present = with_mistakes(batch, found)
    assert present.tolist() == [True] * 2 + [False] * count
    assert torch.equal(more.rois[:2], batch.rois) and torch.equal(more.labels[:2], batch.labels)
    added = more.rois[2:].tolist()
    assert len(added) == count
    assert all(roi in all_mistakes and added.count(roi) == 1 for roi in added)
    assert more.labels.dtype == torch.uint8 and more.labels.shape == (2 + len(added), *GRID_HW)
    assert (more.labels[2:] == IGNORED).all()


def test_nothing_is_a_mistake_where_others_may_be() -> None:
    batch = batch_of([PERSON], mistakes=3, ignored=(tuple(LAMP), tuple(HYDRANT)))
    found = predictions((HYDRANT, 0.3), (PERSON, 0.9), (LAMP, 0.6))[None]
    more, present = with_mistakes(batch, found)
    assert len(more.rois) == 1 and present.tolist() == [True]
