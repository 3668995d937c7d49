"""How the chooser learns and is measured."""

import pytest
import torch

from peopleseg.networks.referring.chooser import WORD_CHANNELS
from peopleseg.networks.referring.pose import PersonPose
from peopleseg.systems.people.contract import MAX_PEOPLE
from peopleseg.systems.referring.describing import length_of
from training.referring.chooser_data import ChooserBatch
from training.referring.choosing import PersonChoice

PERSON, TOKENS = 10, 5


def batch(prompts: int = 8, there: int = 4) -> ChooserBatch:
    """The person meant is the one whose second number is highest; the words are all the same."""
    random = torch.Generator().manual_seed(1)
    people = torch.randn(prompts, MAX_PEOPLE, PERSON, generator=random)
    people[:, :there, 0], people[:, there:] = 1, 0
    words = torch.ones(prompts, TOKENS, WORD_CHANNELS)
    mask = torch.ones(prompts, TOKENS, dtype=torch.int64)
    targets = people[:, :there, 1].argmax(dim=1)
    return ChooserBatch(people, words, mask, people, targets, [])


def task() -> PersonChoice:
    torch.manual_seed(0)
    return PersonChoice(person=PERSON, width=16, layers=1, dropout=0.0)


def test_it_learns_whom_the_texts_mean() -> None:
    """Also beside people who are not there: 60 of each 64."""
    choice, given = task(), batch()
    optimizer = torch.optim.AdamW(choice.parameters(), lr=0.01)
    first = choice.loss_terms(given)["loss"].item()
    assert 0.5 < first < 3
    for _ in range(60):
        optimizer.zero_grad()
        choice.loss_terms(given)["loss"].backward()
        optimizer.step()
    choice.eval()
    with torch.no_grad():
        assert choice.loss_terms(given)["loss"].item() < first / 4
        choice.validation_step(given, 0)
    measured = {name: float(one.compute()) for name, one in choice.metrics().items()}
    assert measured["right_choice"] == 1 and measured["chance"] == pytest.approx(1 / 4)


@torch.no_grad()
def test_chance_is_that_of_a_die_among_those_who_are_there() -> None:
    choice = task().eval()
    choice.validation_step(batch(there=1), 0)
    choice.validation_step(batch(there=2), 1)
    measured = {name: float(one.compute()) for name, one in choice.metrics().items()}
    assert measured["chance"] == pytest.approx(3 / 4)
    assert measured["right_choice"] >= 1 / 2  # one of one is always right


def test_by_default_it_reads_what_the_default_pose_network_tells() -> None:
    with torch.device("meta"):
        told = length_of(PersonPose().looks_length)
        assert PersonChoice().network.dims["person"] == told
