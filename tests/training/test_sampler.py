"""Which image comes when: every one once an epoch, over all processes, from any place on."""

import math

import pytest
from torch.utils.data import DataLoader, Dataset

from training.data.sampler import Draw, EpochSampler


def indices(sampler: EpochSampler) -> list[int]:
    return [draw.index for draw in sampler]


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
def test_the_processes_together_draw_every_image_once_an_epoch(processes: int) -> None:
    shares = [EpochSampler(12, seed=5, rank=r, processes=processes) for r in range(processes)]
    for epoch in range(3):
        for sampler in shares:
            sampler.set_epoch(epoch)
        assert sorted(index for sampler in shares for index in indices(sampler)) == list(range(12))


@pytest.mark.parametrize("length", [7, 8, 9, 10])
def test_every_process_draws_as_many_as_the_others(length: int) -> None:
    shares = [EpochSampler(length, rank=rank, processes=3) for rank in range(3)]
    drawn = [indices(sampler) for sampler in shares]
    assert {len(own) for own in drawn} == {length // 3} == {len(sampler) for sampler in shares}
    together = [index for own in drawn for index in own]
    assert len(set(together)) == len(together)


@pytest.mark.parametrize("length", [1, 7, 8, 9])
def test_a_validation_leaves_nothing_out(length: int) -> None:
    shares = [EpochSampler(length, shuffle=False, rank=rank, processes=3) for rank in range(3)]
    assert sorted(index for sampler in shares for index in indices(sampler)) == list(range(length))
    assert [len(sampler) for sampler in shares] == [len(indices(sampler)) for sampler in shares]


def test_what_one_epoch_leaves_out_others_draw() -> None:
    shares = [EpochSampler(7, rank=rank, processes=2) for rank in range(2)]
    drawn: set[Draw] = set()
    for epoch in range(10):
        for sampler in shares:
            sampler.set_epoch(epoch)
            drawn.update(sampler)
    assert {draw.index for draw in drawn} == set(range(7))


def test_the_order_is_of_the_seed_and_the_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        sampler = EpochSampler(20, seed=seed)
        sampler.set_epoch(epoch)
        return indices(sampler)

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(seed, epoch)) for seed, epoch in ((0, 0), (0, 1), (7, 0))}) == 3


def test_images_keep_their_order_without_shuffling() -> None:
    assert indices(EpochSampler(5, shuffle=False)) == [0, 1, 2, 3, 4]
    assert indices(EpochSampler(5, shuffle=False, rank=1, processes=2)) == [1, 3]


def epochs(sampler: EpochSampler, count: int) -> list[list[int]]:
    """What each epoch draws."""
    drawn = []
    for epoch in range(count):
        sampler.set_epoch(epoch)
        drawn.append(indices(sampler))
    return drawn


@pytest.mark.parametrize("length", [1, 2, 7, 8])
@pytest.mark.parametrize("parts", [2, 3, 10])
def test_a_part_of_the_images_an_epoch_is_all_of_them_in_as_many_epochs(
    length: int, parts: int
) -> None:
    drawn = epochs(EpochSampler(length, weights=[1 / parts] * length), parts)
    assert {len(own) for own in drawn} == {-(-length // parts)}
    assert {index for own in drawn for index in own} == set(range(length))
    if length % parts == 0:
        assert sorted(index for own in drawn for index in own) == list(range(length))


def test_each_image_is_drawn_as_often_as_its_weight_says() -> None:
    weights = [1.0] * 6 + [0.5] * 4 + [2.0] * 3 + [1.5] * 2
    drawn = epochs(EpochSampler(len(weights), weights=weights, seed=3), 4)
    assert {len(own) for own in drawn} == {6 + 2 + 6 + 3}
    for index, weight in enumerate(weights):
        assert sum(own.count(index) for own in drawn) == 4 * weight
        assert {own.count(index) for own in drawn} <= {math.floor(weight), math.ceil(weight)}
    assert drawn[0] != sorted(drawn[0])


def test_an_image_has_another_turn_each_time_it_is_drawn() -> None:
    weights = [0.3] * 4 + [1.0] * 3 + [2.5] * 2
    sampler = EpochSampler(len(weights), weights=weights)
    draws: list[Draw] = []
    for epoch in range(6):
        sampler.set_epoch(epoch)
        draws += sampler
    assert len({(draw.index, draw.turn) for draw in draws}) == len(draws)
    assert all(draw.turn == draw.epoch for draw in draws if weights[draw.index] == 1)


def test_equal_weights_are_no_weights() -> None:
    plain, weighted = EpochSampler(9, seed=5), EpochSampler(9, seed=5, weights=[1.0] * 9)
    for epoch in range(3):
        for sampler in (plain, weighted):
            sampler.set_epoch(epoch)
        assert list(plain) == list(weighted)


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_a_weighted_epoch_is_shared_and_resumed_exactly(processes: int) -> None:
    weights = [0.5] * 5 + [1.0] * 4 + [2.0] * 3
    whole = EpochSampler(12, weights=weights)
    for epoch in range(3):
        whole.set_epoch(epoch)
        shares = [
            EpochSampler(12, weights=weights, rank=rank, processes=processes)
            for rank in range(processes)
        ]
        drawn = []
        for sampler in shares:
            sampler.start_at(epoch, 2)
            sampler.set_epoch(epoch)
            assert len(sampler) == len(whole) // processes
            drawn.append(list(sampler))
        together = [draw for row in zip(*drawn, strict=True) for draw in row]
        assert together == list(whole)[2 * processes :][: len(together)]
        assert len(together) > len(whole) - 3 * processes


@pytest.mark.parametrize("skip", [0, 1, 4, 8])
def test_a_resumed_epoch_is_the_rest_of_the_whole_one(skip: int) -> None:
    whole, resumed = (EpochSampler(16, seed=3, rank=1, processes=2) for _ in range(2))
    whole.set_epoch(2)
    resumed.start_at(2, skip)
    resumed.set_epoch(2)  # as the trainer does before the epoch
    assert list(resumed) == list(whole)[skip:]
    for sampler in (whole, resumed):
        sampler.set_epoch(3)
    assert list(resumed) == list(whole)
    assert len(list(resumed)) == 8


def test_a_draw_names_the_epoch_also_through_a_loaders_workers() -> None:
    sampler = EpochSampler(4)
    loader: DataLoader[Draw] = DataLoader(
        Echo(), batch_size=2, sampler=sampler, num_workers=1, collate_fn=list
    )
    for epoch in range(2):
        sampler.set_epoch(epoch)
        drawn = [draw for batch in loader for draw in batch]
        assert drawn == list(sampler)
        assert {draw.epoch for draw in drawn} == {epoch}


def test_more_processes_than_images_are_refused() -> None:
    with pytest.raises(ValueError, match="2 images cannot be shared by 3 processes"):
        EpochSampler(2, processes=3)


class Echo(Dataset[Draw]):
    """Returns what it is asked for."""

    def __getitem__(self, draw: Draw) -> Draw:
        return draw
