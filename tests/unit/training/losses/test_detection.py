import math
from collections.abc import Sequence
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from peopleseg.networks.people.yolov9_blocks import Detect, anchor_points
from training.losses.detection import (
    BOX_GAIN,
    CLASS_GAIN,
    DFL_GAIN,
    Assignment,
    DetectionLosses,
    anchors_within,
    assign,
    ciou,
    detection_losses,
    distribution_focal_loss,
    dual_losses,
)

SIDE = 128  # pixels of the canvas
NOBODY = torch.zeros(0, 4)
TWO_PEOPLE = torch.tensor([[10.0, 20, 60, 120], [70, 30, 110, 90]])
ONE_PERSON = torch.tensor([[33.0, 8, 90, 100]])


@pytest.fixture
def detect() -> Detect:
    return Detect(1, (8, 8, 8))


def random_maps(images: int) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(images, 65, SIDE // stride, SIDE // stride) for stride in Detect.strides]


def perfect_maps(boxes: Tensor, certainty: float = 12.0) -> list[Tensor]:
    """Maps that predict each box at every anchor inside it (the later box where they overlap)."""
    maps = [torch.zeros(1, 65, SIDE // stride, SIDE // stride) for stride in Detect.strides]
    for level, stride in zip(maps, Detect.strides, strict=True):
        level[:, 64] = -certainty
        for box in boxes / stride:
            for row in range(level.shape[2]):
                for column in range(level.shape[3]):
                    x, y = column + 0.5, row + 0.5
                    sides = torch.tensor([x - box[0], y - box[1], box[2] - x, box[3] - y])
                    if sides.min() <= 0 or sides.max() >= 15:
                        continue
                    level[0, 64, row, column] = certainty
                    for side, distance in enumerate(sides.tolist()):
                        low = math.floor(distance)
                        share = max(distance - low, 1e-6)  # two bins whose mean is the distance
                        bins = torch.full((16,), -50.0)
                        bins[low], bins[low + 1] = math.log(max(1 - share, 1e-6)), math.log(share)
                        level[0, side * 16 : side * 16 + 16, row, column] = bins
    return maps


def slow_ciou(a: list[float], b: list[float]) -> float:
    aw, ah, bw, bh = a[2] - a[0], a[3] - a[1], b[2] - b[0], b[3] - b[1]
    inner_w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    inner_h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    iou = inner_w * inner_h / (aw * ah + bw * bh - inner_w * inner_h)
    hull_w, hull_h = max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])
    dx = (a[0] + a[2]) / 2 - (b[0] + b[2]) / 2
    dy = (a[1] + a[3]) / 2 - (b[1] + b[3]) / 2
    v = 4 / math.pi**2 * (math.atan(aw / ah) - math.atan(bw / bh)) ** 2
    alpha = v / (1 - iou + v) if v else 0.0
    return iou - (dx**2 + dy**2) / (hull_w**2 + hull_h**2) - alpha * v


def test_ciou_equals_the_slow_obvious_version():
    torch.manual_seed(0)
    corners = torch.rand(40, 2, 2) * 50
    boxes = torch.cat((corners.amin(dim=1), corners.amax(dim=1) + 1), dim=1)
    values = ciou(boxes[:, None], boxes[None])
    expected = [[slow_ciou(a, b) for b in boxes.tolist()] for a in boxes.tolist()]
    torch.testing.assert_close(values, torch.tensor(expected), atol=1e-4, rtol=1e-4)


def test_ciou_of_a_box_with_itself_is_one_and_distance_costs():
    box = torch.tensor([0.0, 0, 10, 20])
    assert ciou(box, box) == pytest.approx(1, abs=1e-5)
    near, far = ciou(box, box + 30), ciou(box, box + 60)
    assert -1 <= far < near < 0


def random_boxes(people: int, side: float = SIDE) -> Tensor:
    corners = torch.rand(people, 2, 2) * side
    return torch.cat((corners.amin(dim=1), corners.amax(dim=1) + 1), dim=1)


class Scene(NamedTuple):
    """What anchors on a grid of 8 pixels predict, and the people."""

    scores: Tensor  # [B, A]
    predicted: Tensor  # [B, A, 4]
    centres: Tensor  # [A, 2]
    boxes: list[Tensor]


def random_scene(people: Sequence[int], seed: int = 0) -> Scene:
    torch.manual_seed(seed)
    cells = torch.arange(4, SIDE, 8.0)
    centres = torch.cartesian_prod(cells, cells).flip(1)
    boxes = [random_boxes(count) for count in people]
    # Each anchor guesses near some person of its image, so that many compete for the same.
    predicted = torch.stack(
        [
            centres.new_zeros(len(centres), 4) + SIDE / 2
            if not len(truth)
            else truth[torch.randint(len(truth), (len(centres),))]
            + torch.randn(len(centres), 4) * 4
            for truth in boxes
        ]
    )
    return Scene(torch.rand(len(boxes), len(centres)), predicted, centres, boxes)


def slow_assignment(scene: Scene) -> dict[tuple[int, int], tuple[list[float], float]]:
    """Box and score by (image, anchor), one person and one anchor at a time."""
    found = {}
    for image, truth in enumerate(scene.boxes):
        overlaps: dict[tuple[int, int], float] = {}
        metrics: dict[tuple[int, int], float] = {}
        for person, box in enumerate(truth):
            inside = {}
            for anchor, (x, y) in enumerate(scene.centres.tolist()):
                if box[0] < x < box[2] and box[1] < y < box[3]:
                    overlap = max(ciou(box, scene.predicted[image, anchor]).item(), 0)
                    inside[anchor] = overlap, scene.scores[image, anchor].item() ** 0.5 * overlap**6
            for anchor in sorted(inside, key=lambda a: -inside[a][1])[:10]:
                if inside[anchor][1] > 0:
                    overlaps[person, anchor], metrics[person, anchor] = inside[anchor]
        for person, anchor in list(overlaps):
            rivals = [overlaps[p, a] for p, a in overlaps if a == anchor]
            if overlaps[person, anchor] < max(rivals):
                del metrics[person, anchor]
        for person, anchor in metrics:
            own = [a for p, a in metrics if p == person]
            best = max(metrics[person, a] for a in own)
            highest = max(overlaps[person, a] for a in own)
            score = metrics[person, anchor] * highest / max(best, 1e-9)
            found[image, anchor] = truth[person].tolist(), score
    return found


def by_anchor(found: Assignment) -> dict[tuple[int, int], tuple[list[float], float]]:
    keys = zip(found.images.tolist(), found.anchors.tolist(), strict=True)
    return dict(
        zip(keys, zip(found.boxes.tolist(), found.scores.tolist(), strict=True), strict=True)
    )


@pytest.mark.parametrize("people", [(1,), (3, 0, 5), (0, 0), (12, 1)])
def test_the_assignment_equals_the_slow_obvious_version(people):
    scene = random_scene(people)
    found, expected = by_anchor(assign(*scene)), slow_assignment(scene)
    assert found.keys() == expected.keys() and bool(expected) == bool(sum(people))
    for key, (box, score) in expected.items():
        assert found[key][0] == box
        assert found[key][1] == pytest.approx(score, rel=1e-3, abs=1e-6)


def test_the_assignment_of_a_batch_is_that_of_its_images():
    scene = random_scene((3, 0, 5))
    whole = by_anchor(assign(*scene))
    for image in range(3):
        cut = slice(image, image + 1)
        alone = assign(scene.scores[cut], scene.predicted[cut], scene.centres, scene.boxes[cut])
        expected = {key[1]: value for key, value in whole.items() if key[0] == image}
        assert {key[1]: value for key, value in by_anchor(alone).items()} == expected


def test_a_person_smaller_than_a_cell_gets_no_anchor_unless_one_is_inside():
    scene = random_scene((1,))
    for box, anchors in (([5.0, 5, 7, 7], 0), ([3.0, 3, 5, 5], 1)):
        truth = torch.tensor([box])
        predicted = truth.expand_as(scene.predicted)
        found = assign(scene.scores, predicted, scene.centres, [truth])
        assert len(found.anchors) == anchors


def test_a_person_whose_best_anchor_goes_to_another_is_led_by_the_next():
    mine, other = torch.tensor([0.0, 0, 32, 32]), torch.tensor([16.0, 0, 48, 32])
    centres = torch.tensor([[24.0, 16], [4, 16]])  # in both boxes, in mine
    predicted = torch.stack((other, torch.tensor([0.0, 0, 32, 24])))[None]
    scores = torch.tensor([[1.0, 1e-8]])  # so small that the first is better for both
    found = by_anchor(assign(scores, predicted, centres, [torch.stack((mine, other))]))
    overlap = ciou(mine, predicted[0, 1]).item()
    assert [found[0, anchor][0] for anchor in (0, 1)] == [other.tolist(), mine.tolist()]
    assert [found[0, anchor][1] for anchor in (0, 1)] == pytest.approx([1, overlap], rel=1e-3)


def test_distribution_focal_loss_is_least_where_the_two_bins_share_the_side():
    sides = torch.tensor([[2.25, 0.0, 14.5, 7.0]])
    best = torch.full((1, 4, 16), -30.0)
    for side, (low, share) in enumerate([(2, 0.25), (0, 0.0), (14, 0.5), (7, 0.0)]):
        best[0, side, low] = math.log(1 - share)
        best[0, side, low + 1] = math.log(share) if share else -30.0
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25) + math.log(0.5)) / 4
    assert distribution_focal_loss(best, sides).item() == pytest.approx(entropy, abs=1e-3)
    assert distribution_focal_loss(torch.zeros(1, 4, 16), sides).item() == pytest.approx(
        math.log(16), abs=1e-5
    )


def test_a_side_beyond_the_last_bin_counts_as_the_last():
    loss = distribution_focal_loss(torch.zeros(1, 4, 16), torch.tensor([[99.0, -3, 15, 16]]))
    assert torch.isfinite(loss).all()


def test_the_total_is_the_weighted_sum(detect):
    losses = detection_losses(detect, random_maps(1), [ONE_PERSON])
    expected = BOX_GAIN * losses.box + CLASS_GAIN * losses.classes + DFL_GAIN * losses.dfl
    assert (BOX_GAIN, CLASS_GAIN, DFL_GAIN) == (7.5, 0.5, 1.5)
    assert losses.total.item() == pytest.approx(expected.item()) and losses.total > 0


def test_the_auxiliary_branch_adds_a_quarter_of_its_losses(detect):
    main = detection_losses(detect, random_maps(1), [ONE_PERSON])
    auxiliary = detection_losses(detect, perfect_maps(ONE_PERSON), [ONE_PERSON])
    assert dual_losses(main, None) is main
    both = dual_losses(main, auxiliary)
    assert isinstance(both, DetectionLosses)
    assert both.total.item() == pytest.approx(main.total.item() + 0.25 * auxiliary.total.item())


def test_a_head_of_several_classes_is_refused():
    with pytest.raises(ValueError, match="80 classes"):
        detection_losses(Detect(80, (8, 8, 8)), random_maps(1), [ONE_PERSON])


def test_images_without_their_boxes_are_refused(detect):
    with pytest.raises(ValueError, match="1 tensors of boxes for 2 images"):
        detection_losses(detect, random_maps(2), [ONE_PERSON])


def test_nobody_costs_only_the_scores(detect):
    maps = random_maps(1)
    losses = detection_losses(detect, maps, [NOBODY])
    logits = torch.cat([m[:, 64].flatten() for m in maps])
    assert losses.box == losses.dfl == 0
    assert losses.classes.item() == pytest.approx(logits.exp().log1p().sum().item(), rel=1e-4)


def test_a_batch_of_the_same_image_costs_what_the_image_costs(detect):
    # Every term is divided by the batch's sum of target scores, so equal images change nothing.
    maps = perfect_maps(TWO_PEOPLE, certainty=2.0)  # target scores add up to more than 1
    alone = detection_losses(detect, maps, [TWO_PEOPLE])
    three = detection_losses(detect, [m.repeat(3, 1, 1, 1) for m in maps], [TWO_PEOPLE] * 3)
    for one, batch in zip(alone, three, strict=True):
        assert one > 0 and batch.item() == pytest.approx(one.item(), rel=1e-4)


def test_an_image_of_nobody_adds_only_its_scores_to_a_batch(detect):
    people, nobody = perfect_maps(TWO_PEOPLE, certainty=2.0), random_maps(1)
    alone = detection_losses(detect, people, [TWO_PEOPLE])
    empty = detection_losses(detect, nobody, [NOBODY])
    joined = [torch.cat(pair) for pair in zip(people, nobody, strict=True)]
    both = detection_losses(detect, joined, [TWO_PEOPLE, NOBODY])
    assert both.box.item() == pytest.approx(alone.box.item(), rel=1e-4)
    assert both.dfl.item() == pytest.approx(alone.dfl.item(), rel=1e-4)
    # The empty image's sum (its divisor is 1) over the others' sum of target scores, at least 1.
    added = both.classes.item() - alone.classes.item()
    assert 0 < added <= empty.classes.item()


def test_the_order_of_the_people_does_not_matter(detect):
    maps = random_maps(1)
    forward = detection_losses(detect, maps, [TWO_PEOPLE]).total
    assert detection_losses(detect, maps, [TWO_PEOPLE.flip(0)]).total.item() == pytest.approx(
        forward.item(), rel=1e-5
    )


@pytest.mark.parametrize("boxes", [ONE_PERSON, TWO_PEOPLE])
def test_a_perfect_prediction_costs_little_and_a_worse_one_more(detect, boxes):
    perfect = detection_losses(detect, perfect_maps(boxes), [boxes])
    shifted = detection_losses(detect, perfect_maps(boxes + 6), [boxes])
    nothing = detection_losses(detect, random_maps(1), [boxes])
    assert perfect.box.item() == pytest.approx(0, abs=1e-2)
    assert perfect.box < shifted.box < nothing.box
    for worse in (shifted, nothing):
        assert perfect.dfl < worse.dfl and perfect.total < worse.total


def test_a_perfect_map_decodes_to_its_box(detect):
    maps = perfect_maps(ONE_PERSON)
    predictions = detect.decode(maps)[0]
    best = predictions[:, predictions[4].argmax()]
    boxes = torch.cat((best[:2] - best[2:4] / 2, best[:2] + best[2:4] / 2))
    torch.testing.assert_close(boxes, ONE_PERSON[0], atol=0.05, rtol=0)


def test_losses_are_differentiable_also_without_people(detect):
    for boxes in ([NOBODY], [TWO_PEOPLE]):
        maps = [m.requires_grad_() for m in random_maps(1)]
        detection_losses(detect, maps, boxes).total.backward()
        for level in maps:
            assert level.grad is not None
            assert torch.isfinite(level.grad).all() and level.grad.any()


def test_anchors_within_equals_the_slow_obvious_version():
    torch.manual_seed(0)
    centres = torch.rand(50, 2) * SIDE
    regions = [random_boxes(3), NOBODY, random_boxes(1)]
    found = anchors_within(centres, regions)
    for image, own in enumerate(regions):
        for anchor, (x, y) in enumerate(centres.tolist()):
            expected = any(x1 < x < x2 and y1 < y < y2 for x1, y1, x2, y2 in own.tolist())
            assert found[image, anchor] == expected
    assert found[0].any() and not found[0].all() and not found[1].any()


def gradients_of(detect, maps: list[Tensor], boxes: Tensor, ignored: Tensor | None) -> list[Tensor]:
    maps = [level.clone().requires_grad_() for level in maps]
    regions = None if ignored is None else [ignored]
    detection_losses(detect, maps, [boxes], regions).total.backward()
    return [level.grad for level in maps if level.grad is not None]


def within(level: Tensor, region: Tensor) -> Tensor:
    """[rows, columns] of bool: the cells of a map whose centre is in the region."""
    stride = SIDE // level.shape[2]
    centres = (torch.arange(level.shape[2]) + 0.5) * stride
    rows = (centres > region[1]) & (centres < region[3])
    return rows[:, None] & ((centres > region[0]) & (centres < region[2]))


def test_what_is_found_in_an_ignored_region_costs_nothing(detect):
    region = torch.tensor([[64.0, 0, 128, 60]])
    maps = random_maps(1)
    changed = [level.clone() for level in maps]
    for level in changed:
        level[0, :, within(level, region[0])] += 9.0
    person = torch.tensor([[4.0, 60, 60, 124]])
    alone = detection_losses(detect, maps, [person], [region])
    for before, after in zip(
        alone, detection_losses(detect, changed, [person], [region]), strict=True
    ):
        assert before.item() == pytest.approx(after.item(), rel=1e-6)
    assert detection_losses(detect, changed, [person]).classes > 2 * alone.classes
    for level in gradients_of(detect, changed, person, region):
        inside = within(level, region[0])
        assert inside.any() and not level[0, :, inside].any()
        assert level[0, 64, ~inside].all()


def test_a_person_in_an_ignored_region_is_learned_all_the_same(detect):
    maps = perfect_maps(TWO_PEOPLE, certainty=2.0)
    everywhere = torch.tensor([[0.0, 0, SIDE, SIDE]])
    whole = detection_losses(detect, maps, [TWO_PEOPLE])
    ignoring = detection_losses(detect, maps, [TWO_PEOPLE], [everywhere])
    assert ignoring.box == whole.box > 0 and ignoring.dfl == whole.dfl > 0
    assert 0 < ignoring.classes < whole.classes


def test_where_not_everybody_is_annotated_only_the_anchors_of_people_learn(detect):
    everywhere = torch.tensor([[0.0, 0, SIDE, SIDE]])
    maps = random_maps(1)
    learning = gradients_of(detect, maps, TWO_PEOPLE, everywhere)
    judged = gradients_of(detect, maps, TWO_PEOPLE, None)
    for partly, whole in zip(learning, judged, strict=True):
        assigned = whole[0, :64].any(dim=0)  # only those have a box to learn
        assert torch.equal(partly[0, 64] != 0, assigned)
        torch.testing.assert_close(partly[0, :, assigned], whole[0, :, assigned])
    assert any(level[0, 64].any() for level in learning)


def test_an_image_of_nobody_learns_that_unless_it_is_ignored(detect):
    (nobody, ignored) = (
        gradients_of(detect, random_maps(1), NOBODY, region)
        for region in (NOBODY, torch.tensor([[0.0, 0, SIDE, SIDE]]))
    )
    assert all((level[0, 64] > 0).all() for level in nobody)
    assert not any(level.any() for level in ignored)


def test_ignored_regions_are_of_their_image_alone(detect):
    region = torch.tensor([[0.0, 0, SIDE, SIDE]])
    maps = [level.repeat(2, 1, 1, 1) for level in random_maps(1)]
    one, none = (
        detection_losses(detect, maps, [NOBODY] * 2, regions).classes.item()
        for regions in ([region, NOBODY], [NOBODY, NOBODY])
    )
    assert one == pytest.approx(none / 2, rel=1e-5)
    with pytest.raises(ValueError, match="1 tensors of boxes for 2 images"):
        detection_losses(detect, maps, [NOBODY] * 2, [region])


def test_anchor_points_are_the_cells_centres(detect):
    centres, strides = anchor_points(random_maps(1), detect.strides)
    assert len(centres) == len(strides) == 16**2 + 8**2 + 4**2
    assert centres[:3].tolist() == [[0.5, 0.5], [1.5, 0.5], [2.5, 0.5]]
    assert centres[16**2 + 8 + 1].tolist() == [1.5, 1.5] and strides[16**2] == 16
