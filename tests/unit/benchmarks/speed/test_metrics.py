"""Medians over the rounds, ratios within the same round, and the better of the two limits."""

import math

import pytest

from benchmarks.speed import metrics
from benchmarks.speed.load import Slice
from benchmarks.speed.targets import MANY_CALLERS, ONE_CALLER, SERVER

MOODS = (1.0, 2.0, 4.0)  # how slow the machine is in each round


def slices(target: str, call_ms: float, callers: int = 1, group: str = "5") -> list[Slice]:
    """One a round; every call takes call_ms times the round's mood."""
    made = []
    for number, mood in enumerate(MOODS):
        ms = call_ms * mood
        calls = [
            (i * ms, (i + 1) * ms) for i in range(math.ceil(1000 / ms)) for _ in range(callers)
        ]
        made.append(Slice(target, group, callers, number, 1.0, calls, {}))
    return made


def test_ratios_hold_though_the_machine_s_speed_varies() -> None:
    ours, theirs = slices(SERVER, 10), slices(ONE_CALLER, 12.5)
    assert metrics.throughput_ratio(ours, theirs) == pytest.approx((1.25, 1.25, 1.25))
    assert metrics.latency_ratio(ours, theirs) == pytest.approx((1.25, 1.25, 1.25))
    assert metrics.rates(ours) == pytest.approx((50, 25, 100))
    assert metrics.latencies(ours) == pytest.approx((20, 10, 40))


@pytest.mark.parametrize(("many_ms", "better"), [(25, ONE_CALLER), (15, MANY_CALLERS)])
def test_the_limit_is_the_better_of_both_ways(many_ms: float, better: str) -> None:
    measured = [*slices(ONE_CALLER, 10), *slices(MANY_CALLERS, many_ms, callers=2)]
    measured += slices(SERVER, 1)
    measured += slices(MANY_CALLERS, 1, callers=2, group="another")
    assert {one.target for one in metrics.limit(measured, "5")} == {better}


def test_a_round_without_a_response_is_left_out_of_ratios() -> None:
    ours, theirs = slices(SERVER, 10), slices(ONE_CALLER, 20)
    ours[1] = Slice(SERVER, "5", 1, 1, 1.0, [], {"ServerUnavailable": 7})
    assert metrics.throughput_ratio(ours, theirs) == pytest.approx((2, 2, 2))
    nothing = [Slice(SERVER, "5", 1, number, 1.0, [], {}) for number in range(3)]
    assert metrics.throughput_ratio(nothing, theirs) is None
    assert metrics.latencies(nothing) is None


def test_a_percentile_is_of_all_calls() -> None:
    assert metrics.percentile(slices(SERVER, 10), 100) == pytest.approx(40)
    assert metrics.percentile(slices(SERVER, 10), 0) == pytest.approx(10)


def test_direct_comes_first_then_callers_in_order() -> None:
    measured = [slices(SERVER, 1, callers)[0] for callers in (8, 1, 2)]
    measured += [slices(MANY_CALLERS, 1, 2)[0], slices(ONE_CALLER, 1)[0]]
    assert metrics.kinds_of(measured) == [
        (ONE_CALLER, 1),
        (MANY_CALLERS, 2),
        (SERVER, 1),
        (SERVER, 2),
        (SERVER, 8),
    ]
