"""The chooser: who a text means does not depend on the order of people, nor on who is not there."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from peopleseg.networks.checkpoint import load_network, save_network
from peopleseg.networks.referring.chooser import ABSENT, PersonChooser

PERSON, WORDS, TOKENS, PEOPLE = 12, 16, 7, 5


@pytest.fixture(scope="module")
def chooser() -> PersonChooser:
    torch.manual_seed(0)
    return PersonChooser(PERSON, WORDS, width=16, layers=2, heads=2).eval()


def made_up(prompts: int = 3, there: int = PEOPLE, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Words, which are there, and people, the first so many of whom are."""
    random = torch.Generator().manual_seed(seed)
    words = torch.randn(prompts, TOKENS, WORDS, generator=random)
    mask = torch.ones(prompts, TOKENS, dtype=torch.int64)
    mask[0, 4:] = 0
    people = torch.randn(prompts, PEOPLE, PERSON, generator=random)
    people[..., 0] = (torch.arange(PEOPLE) < there).float()
    return words, mask, people


@torch.no_grad()
def test_a_batch_answers_as_its_single_texts(chooser: PersonChooser) -> None:
    given = made_up()
    together = chooser(*given)
    assert together.shape == (3, PEOPLE)
    alone = torch.cat([chooser(*(one[row : row + 1] for one in given)) for row in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_each_person_keeps_the_logit_in_another_order(chooser: PersonChooser) -> None:
    words, mask, people = made_up()
    order = torch.tensor([3, 0, 4, 1, 2])
    found = chooser(words, mask, people)
    torch.testing.assert_close(
        chooser(words, mask, people[:, order]), found[:, order], atol=1e-5, rtol=1e-4
    )
    assert found.std(dim=1).min() > 1e-4  # people are told apart


@torch.no_grad()
def test_who_is_not_there_gets_no_share_and_changes_nobodys(chooser: PersonChooser) -> None:
    words, mask, people = made_up(there=3)
    found = chooser(words, mask, people)
    assert (found[:, 3:] == ABSENT).all()
    assert (found.softmax(dim=1)[:, 3:] == 0).all() and found[:, :3].abs().max() < 1e3
    others = people.clone()
    others[:, 3:, 1:] = 100 * torch.randn(3, 2, PERSON - 1)
    torch.testing.assert_close(chooser(words, mask, others), found, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        chooser(words, mask, people[:, :3]), found[:, :3], atol=1e-5, rtol=1e-4
    )


@torch.no_grad()
def test_words_that_are_not_there_change_nothing(chooser: PersonChooser) -> None:
    words, mask, people = made_up()
    found = chooser(words, mask, people)
    other = words.clone()
    other[0, 4:] = 100
    torch.testing.assert_close(chooser(other, mask, people), found, atol=1e-5, rtol=1e-4)
    short = chooser(words[:1, :4], mask[:1, :4], people[:1])
    torch.testing.assert_close(short, found[:1], atol=1e-5, rtol=1e-4)
    other = words.clone()
    other[0, :4] = 1
    assert (chooser(other, mask, people) - found)[0].abs().max() > 1e-4  # those that are do


@torch.no_grad()
def test_one_person_is_meant_by_everything(chooser: PersonChooser) -> None:
    words, mask, people = made_up(there=1)
    shares = chooser(words, mask, people).softmax(dim=1)
    torch.testing.assert_close(shares[:, 0], torch.ones(3))
    assert chooser(words, mask, people[:, :1]).isfinite().all()


@torch.no_grad()
def test_where_nobody_is_nobody_has_a_logit(chooser: PersonChooser) -> None:
    found = chooser(*made_up(there=0))
    assert (found == ABSENT).all()


def test_it_learns_from_a_batch_with_absent_people() -> None:
    torch.manual_seed(0)
    chooser = PersonChooser(PERSON, WORDS, width=16, layers=1, heads=2)
    logits = chooser(*made_up(there=2))
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 1])).backward()
    gradients = [one.grad for one in chooser.parameters()]
    assert all(one is not None and one.isfinite().all() for one in gradients)


@torch.no_grad()
def test_a_checkpoint_builds_the_same_network(chooser: PersonChooser, tmp_path: Path) -> None:
    path = tmp_path / "chooser.ckpt"
    save_network(path, "person_chooser", chooser, dims=chooser.dims)
    again = load_network(path).network
    assert isinstance(again, PersonChooser) and again.dims == chooser.dims
    given = made_up()
    assert torch.equal(again(*given), chooser(*given))
