"""The metrics of accuracy, by hand-made cases, slow obvious versions, and shared measuring."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from peopleseg.labels.coco import AnnotatedImage, Annotation
from training.data.samples import IGNORED, TARGET
from training.validation.people.metrics import (
    BOUNDARY_WIDTH,
    METRICS,
    BoundaryIou,
    BoxAveragePrecision,
    InstanceMiou,
    PeopleSegMiou,
    TwoClassMiou,
    boundary,
    mask_metrics,
)


def logits_of(classes: Tensor, certainty: float = 9.0) -> Tensor:
    """Class ids [N, h, w] to logits of which these are the likeliest."""
    return torch.nn.functional.one_hot(classes, 3).permute(0, 3, 1, 2) * certainty


def random_rois(seed: int, count: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (count, 16, 12), generator=generator, dtype=torch.uint8)
    return torch.randn(count, 3, 16, 12, generator=generator), labels


def box_image(image_id: int, *boxes: tuple[float, float, float, float]) -> AnnotatedImage:
    people = [Annotation(box, [[0.0, 0.0, 1.0, 0.0, 1.0, 1.0]], False) for box in boxes]
    return AnnotatedImage(image_id, Path("unread.png"), 100, 100, people)


def test_people_seg_miou_is_the_mean_over_images_of_both_classes() -> None:
    metric = PeopleSegMiou()
    labels = torch.tensor([[[1, 1, 0, 0]], [[0, 0, 0, 0]]], dtype=torch.uint8)
    logits = torch.tensor([[[[3.0, -1.0, -1.0, -1.0]]], [[[-1.0, -1.0, -1.0, -2.0]]]])
    metric.update(logits, labels)
    first = (1 / 2 + 2 / 3) / 2  # people 1 of 2, background 2 of 3
    second = 1.0  # nobody there and nobody found
    assert float(metric.compute()) == pytest.approx((first + second) / 2)


def test_people_seg_miou_leaves_ignored_pixels_out() -> None:
    labels = torch.tensor([[[1, 0, IGNORED, IGNORED]]], dtype=torch.uint8)
    metric = PeopleSegMiou()
    metric.update(torch.tensor([[[[1.0, -1.0, 1.0, -1.0]]]]), labels)
    assert float(metric.compute()) == 1.0
    metric.update(torch.tensor([[[[1.0, 1.0, 1.0, -1.0]]]]), labels)
    assert float(metric.compute()) == pytest.approx((1 + (1 / 2 + 0) / 2) / 2)


def test_the_published_and_the_served_rule_differ_where_no_class_has_half() -> None:
    logits = torch.tensor([0.3, 0.4, 0.3]).log().view(1, 3, 1, 1).expand(1, 3, 4, 4)
    labels = torch.full((1, 4, 4), TARGET)
    published, served = InstanceMiou("argmax"), InstanceMiou("probability")
    for metric in (published, served):
        metric.update(logits, labels)
    assert float(published.compute()) == 1.0
    assert float(served.compute()) == 0.0


def test_instance_miou_is_the_mean_over_rois_not_over_pixels() -> None:
    metric = InstanceMiou("argmax")
    labels = torch.tensor([[[1, 0, 0, 0]], [[1, 1, 1, 1]], [[0, 2, 0, 0]]])
    found = torch.tensor([[[1, 1, 0, 0]], [[1, 1, 2, 1]], [[0, 0, 2, 0]]])
    metric.update(logits_of(found), labels)
    assert float(metric.compute()) == pytest.approx((1 / 2 + 3 / 4 + 1) / 3)


@pytest.mark.parametrize("name", list(mask_metrics()))
def test_ignored_cells_of_a_roi_count_nowhere(name: str) -> None:
    logits, labels = random_rois(0)
    labels[:, :5] = IGNORED
    said, perfect = logits.clone(), logits_of(labels.long() % IGNORED).float()
    for changed in (said, perfect):
        changed[:, TARGET, :5] = 99.0
    plain, other, best = (mask_metrics()[name] for _ in range(3))
    for metric, response in ((plain, logits), (other, said), (best, perfect)):
        metric.update(response, labels)
    assert 0 < float(plain.compute()) == float(other.compute()) < 1
    assert float(best.compute()) == 1


def test_two_class_miou_pools_the_pixels_of_all_rois_and_leaves_out_background() -> None:
    metric = TwoClassMiou()
    labels = torch.tensor([[[1, 0, 0, 2]], [[1, 1, 1, 2]]])
    found = torch.tensor([[[1, 1, 0, 0]], [[1, 1, 2, 2]]])
    metric.update(logits_of(found), labels)
    target, other = 3 / 5, 1 / 3
    assert float(metric.compute()) == pytest.approx((target + other) / 2)


def test_a_class_that_nobody_has_or_shows_is_left_out_of_two_class_miou() -> None:
    metric = TwoClassMiou()
    metric.update(logits_of(torch.tensor([[[1, 1]]])), torch.tensor([[[1, 0]]]))
    assert float(metric.compute()) == 0.5
    metric.reset()
    metric.update(logits_of(torch.tensor([[[0, 0]]])), torch.tensor([[[0, 0]]]))
    assert math.isnan(float(metric.compute()))


def slow_boundary(mask: np.ndarray) -> np.ndarray:
    """Cells of the mask with a cell that is not mask, or lies outside, within reach."""
    reach = max(1, round(BOUNDARY_WIDTH * math.hypot(*mask.shape)))
    padded = np.pad(mask, reach)
    near = np.zeros_like(mask)
    for row, column in zip(*np.nonzero(mask), strict=True):
        around = padded[row : row + 2 * reach + 1, column : column + 2 * reach + 1]
        near[row, column] = not around.all()
    return near


@pytest.mark.parametrize("size_hw", [(12, 9), (128, 96), (56, 56), (3, 200)])
def test_the_boundary_equals_the_slow_one(
    size_hw: tuple[int, int], random: np.random.Generator
) -> None:
    coarse = random.random((3, 5, 4)) > 0.4
    masks = coarse[:, np.linspace(0, 4.99, size_hw[0]).astype(int)]
    masks = masks[:, :, np.linspace(0, 3.99, size_hw[1]).astype(int)]
    fast = boundary(torch.from_numpy(masks)).numpy()
    for mask, near in zip(masks, fast, strict=True):
        np.testing.assert_array_equal(near, slow_boundary(mask))


def test_boundary_iou_compares_what_lies_near_each_contour() -> None:
    true = np.zeros((128, 96), dtype=bool)
    true[20:100, 20:70] = True
    found = true.copy()
    found[20:100, 68:70] = False  # two columns short, of a boundary of three
    near_true, near_found = slow_boundary(true), slow_boundary(found)
    expected = (near_true & near_found).sum() / (near_true | near_found).sum()
    metric = BoundaryIou()
    metric.update(
        logits_of(torch.from_numpy(found).long()[None]), torch.from_numpy(true).long()[None]
    )
    assert float(metric.compute()) == pytest.approx(expected)
    assert expected < (true & found).sum() / (true | found).sum()


def test_box_average_precision_of_the_truth_is_one_and_of_nothing_zero() -> None:
    images = [box_image(1, (10, 10, 40, 80), (50, 10, 90, 60)), box_image(2, (5, 5, 50, 50))]
    perfect, blind = BoxAveragePrecision(images), BoxAveragePrecision(images)
    for image in images:
        boxes = torch.tensor([person.box_xyxy for person in image.people])
        perfect.update(image.id, boxes, torch.full((len(boxes),), 0.8))
        blind.update(image.id, torch.empty((0, 4)), torch.empty(0))
    assert {k: float(v) for k, v in perfect.compute().items()} == pytest.approx(
        {"box_ap": 1.0, "box_ap50": 1.0, "box_recall": 1.0}
    )
    assert set(map(float, blind.compute().values())) == {0.0}


def test_only_images_that_were_looked_at_count() -> None:
    images = [box_image(1, (10, 10, 40, 80)), box_image(2, (5, 5, 50, 50))]
    metric = BoxAveragePrecision(images)
    metric.update(1, torch.tensor([[10.0, 10.0, 40.0, 80.0]]), torch.tensor([0.3]))
    assert float(metric.compute()["box_ap"]) == pytest.approx(1.0)
    metric.update(2, torch.empty((0, 4)), torch.empty(0))
    assert float(metric.compute()["box_ap"]) < 0.6


def test_recall_counts_people_by_overlap_and_score() -> None:
    image = box_image(7, (0, 0, 40, 40), (50, 0, 90, 40), (50, 50, 90, 90))
    metric = BoxAveragePrecision([image])
    boxes = torch.tensor([[0.0, 0, 40, 21], [50.0, 0, 90, 19], [50.0, 50, 90, 90]])
    metric.update(7, boxes, torch.tensor([0.05, 0.9, 0.049]))
    # the first by IoU 0.525, the second's 0.475 is too little, the third's score too low
    assert float(metric.compute()["box_recall"]) == pytest.approx(1 / 3)


def test_images_without_people_have_no_box_metrics() -> None:
    metric = BoxAveragePrecision([box_image(1)])
    metric.update(1, torch.empty((0, 4)), torch.empty(0))
    assert all(math.isnan(value) for value in metric.compute().values())


@pytest.mark.parametrize("name", mask_metrics())
def test_mask_metrics_of_two_processes_are_those_of_one(name: str) -> None:
    whole, first, second = (mask_metrics()[name] for _ in range(3))
    for part, seed, count in ((first, 0, 5), (second, 1, 2)):
        rois = random_rois(seed, count)
        whole.update(*rois)
        part.update(*rois)
    first.merge_state(second)
    assert float(first.compute()) == pytest.approx(float(whole.compute()))


def test_people_seg_miou_of_two_processes_is_that_of_one(random: np.random.Generator) -> None:
    whole, first, second = PeopleSegMiou(), PeopleSegMiou(), PeopleSegMiou()
    for part, count in ((first, 3), (second, 1)):
        logits = torch.from_numpy(random.normal(size=(count, 1, 8, 8)))
        labels = torch.from_numpy(random.choice([0, 1, IGNORED], (count, 8, 8)))
        whole.update(logits, labels)
        part.update(logits, labels)
    first.merge_state(second)
    assert float(first.compute()) == pytest.approx(float(whole.compute()))


def test_an_image_that_two_processes_look_at_counts_once() -> None:
    images = [box_image(1, (10, 10, 40, 80)), box_image(2, (5, 5, 50, 50))]
    found = {
        1: (torch.tensor([[10.0, 10, 40, 80], [60.0, 60, 90, 90]]), torch.tensor([0.3, 0.9])),
        2: (torch.tensor([[5.0, 5, 50, 50]]), torch.tensor([0.8])),
    }
    whole, first, second = (BoxAveragePrecision(images) for _ in range(3))
    for part, image_ids in ((whole, (1, 2)), (first, (1, 2)), (second, (1,))):
        for image_id in image_ids:
            part.update(image_id, *found[image_id])
    first.merge_state(second)
    assert len(first.image_ids) == 3
    assert first.compute() == whole.compute()
    assert float(whole.compute()["box_ap50"]) < 1


def test_without_rois_there_is_no_metric() -> None:
    for metric in mask_metrics().values():
        metric.update(torch.empty((0, 3, 8, 6)), torch.empty((0, 8, 6), dtype=torch.uint8))
        assert math.isnan(float(metric.compute()))


def test_every_metric_has_its_place_in_the_table() -> None:
    assert len(set(METRICS)) == len(METRICS) == 10
    assert set(mask_metrics()) < set(METRICS)
