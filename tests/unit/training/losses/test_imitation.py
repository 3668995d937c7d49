"""Learning from another detector's answer at every anchor."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from peopleseg.networks.people.yolov9_blocks import Detect
from tests.unit.training.losses.test_detection import SIDE, random_maps
from training.losses.imitation import LEAST_SCORE, attention_difference, imitation_losses
from training.teachers.teacher import DensePredictions

ANCHORS = sum((SIDE // stride) ** 2 for stride in Detect.strides)
BINS = 11


@pytest.fixture
def detect() -> Detect:
    return Detect(1, (8, 8, 8))


def random_response(images: int) -> DensePredictions:
    generator = torch.Generator().manual_seed(1)
    scores = torch.rand(images, ANCHORS, generator=generator) ** 4
    bins = torch.randn(images, ANCHORS, 4, BINS, generator=generator).softmax(dim=3)
    return DensePredictions(scores, bins, ())


def maps_of(response: DensePredictions) -> list[Tensor]:
    """The raw maps of a student that answers just so."""
    bins = F.pad(response.bins, (0, Detect.reg_max - BINS)).clamp(min=1e-12).log()
    flat = torch.cat((bins.flatten(2), response.scores.logit()[..., None]), dim=2).transpose(1, 2)
    sides = [SIDE // stride for stride in Detect.strides]
    parts = flat.split([side**2 for side in sides], dim=2)
    return [part.unflatten(2, (side, side)) for part, side in zip(parts, sides, strict=True)]


def test_whoever_answers_as_the_teacher_has_nothing_to_learn(detect: Detect) -> None:
    response = random_response(2)
    maps = [level.requires_grad_() for level in maps_of(response)]
    losses = imitation_losses(detect, maps, response)
    total = torch.stack(list(losses))
    assert total.detach().abs().max() < 1e-4
    (losses.scores + losses.bins).backward()  # where boxes are equal, CIoU has a kink
    for level in maps:
        assert level.grad is not None and level.grad.abs().max() < 1e-4


def test_the_losses_are_their_formulas(detect: Detect) -> None:
    response, maps = random_response(1), random_maps(1)
    losses = imitation_losses(detect, maps, response)
    flat = torch.cat([level.flatten(2) for level in maps], dim=2)[0]
    normaliser = scores = bins = 0.0
    for anchor in range(ANCHORS):
        taught, logit = float(response.scores[0, anchor]), float(flat[64, anchor])
        own = 1 / (1 + math.exp(-logit))
        entropy = -taught * math.log(own) - (1 - taught) * math.log(1 - own)
        scores += abs(taught - own) * entropy
        if taught < LEAST_SCORE:
            continue
        normaliser += taught
        for side in range(4):
            q = flat[side * 16 : side * 16 + 16, anchor].softmax(dim=0)[:BINS]
            p = response.bins[0, anchor, side]
            bins += taught * float((p * (p / q).log()).sum()) / 4
    assert float(losses.scores) == pytest.approx(scores / normaliser, rel=1e-3)
    assert float(losses.bins) == pytest.approx(bins / normaliser, rel=1e-3)
    assert 0 < float(losses.boxes) < 2


def test_boxes_of_anchors_without_a_person_are_not_imitated(detect: Detect) -> None:
    response = random_response(1)
    unsure = response._replace(scores=response.scores.clamp(max=LEAST_SCORE - 1e-3))
    losses = imitation_losses(detect, random_maps(1), unsure)
    assert float(losses.boxes) == float(losses.bins) == 0
    assert torch.isfinite(losses.scores)


def test_a_batch_is_its_images_together(detect: Detect) -> None:
    response, maps = random_response(2), random_maps(2)
    both = imitation_losses(detect, maps, response)
    weights, singles = [], []
    for row in (slice(0, 1), slice(1, 2)):
        own = DensePredictions(response.scores[row], response.bins[row], ())
        singles.append(torch.stack(list(imitation_losses(detect, [m[row] for m in maps], own))))
        weights.append(own.scores[own.scores >= LEAST_SCORE].sum())
    mean = (singles[0] * weights[0] + singles[1] * weights[1]) / (weights[0] + weights[1])
    torch.testing.assert_close(torch.stack(list(both)), mean)


def test_attention_sees_where_a_map_is_active_and_not_how_much_or_in_which_channel() -> None:
    torch.manual_seed(0)
    own = [torch.randn(2, 4, 6, 6), torch.randn(2, 4, 3, 3)]
    same = [3 * level.flip(1).repeat(1, 2, 1, 1) for level in own]
    assert float(attention_difference(own, same)) == pytest.approx(0, abs=1e-6)
    assert float(attention_difference(own, [level.flip(3) for level in own])) > 0.1
    assert float(attention_difference([], [])) == 0
