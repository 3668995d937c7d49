"""Colours that nobody would dispute, and clothes that nobody mixes up."""

import colorsys
from random import Random

import numpy as np
import pytest

from tests.data.gatherings import SIZE_HW, person
from training.referring.expressions.choosing import clothes_expressions_of
from training.referring.expressions.colour_names import (
    RANGES,
    Shares,
    colour_name,
    colour_shares,
    may_be,
)
from training.referring.expressions.people import Everybody, Garment

RED, BLACK, WHITE, BLUE = (200, 20, 30), (15, 15, 18), (245, 245, 245), (30, 60, 200)


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        *((RED, "red"), (BLACK, "black"), (WHITE, "white"), (BLUE, "blue")),
        *(((250, 230, 60), "yellow"), ((30, 140, 60), "green"), ((250, 140, 20), "orange")),
        *(((128, 128, 130), "gray"), ((110, 60, 160), "purple"), ((240, 120, 170), "pink")),
        *(((110, 70, 40), "brown"), ((50, 50, 90), None), ((200, 180, 150), None)),
        *(((75, 70, 70), None), ((90, 20, 30), None), ((0, 150, 170), None)),
    ],
)
def test_a_clear_colour_has_its_name_and_an_unclear_one_none(
    rgb: tuple[int, int, int], name: str | None
) -> None:
    assert colour_name(rgb) == name


def test_what_is_surely_a_colour_may_be_it_and_never_two() -> None:
    random = np.random.default_rng(0)
    for values in random.integers(0, 256, (3000, 3)).tolist():
        rgb = (values[0], values[1], values[2])
        name = colour_name(rgb)
        assert name is None or may_be(rgb, name)
    red = colorsys.hsv_to_rgb(0.001, 0.9, 0.8), colorsys.hsv_to_rgb(0.999, 0.9, 0.8)
    assert [colour_name(tuple(round(255 * v) for v in one)) for one in red] == ["red"] * 2  # type: ignore[arg-type]


def test_shares_of_pixels_are_those_of_the_pixels_one_by_one() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (500, 3)).astype(np.uint8)
    middles = [tuple(int(v) // 16 * 16 + 8 for v in one) for one in pixels]
    shares = colour_shares(pixels)
    for name in RANGES:
        sure = np.mean([colour_name(one) == name for one in middles])  # type: ignore[arg-type]
        possible = np.mean([may_be(one, name) for one in middles])  # type: ignore[arg-type]
        assert shares[name] == pytest.approx((sure, possible))
    assert set(colour_shares(pixels[:0]).values()) == {Shares(0.0, 0.0)}


def said(*clothes: tuple[Garment, ...]) -> list[set[str]]:
    """What can be said of each of two people who stand apart."""
    people = tuple(person(50 + 300 * i, 50, 100, 400, clothes=one) for i, one in enumerate(clothes))
    everybody = Everybody(SIZE_HW, people, complete=False)
    return [
        {one.claim.name for one in clothes_expressions_of(everybody, i, Random(0), most=99)}
        for i in range(len(people))
    ]


def test_the_red_coat_beside_a_black_jacket_is_told_by_its_colour_alone() -> None:
    red, black = said((Garment("coat", 0.4, RED),), (Garment("jacket", 0.4, BLACK),))
    assert "wears red coat" in red and "wears black jacket" in black
    assert "wears coat" not in red  # some call a jacket so


def test_two_red_garments_that_are_mixed_up_tell_nobody() -> None:
    both = said((Garment("coat", 0.4, RED),), (Garment("jacket", 0.4, (190, 30, 30)),))
    assert both == [set(), set()]


def test_a_colour_that_might_be_the_same_tells_nobody() -> None:
    dark_blue = (25, 30, 60)
    black, _ = said((Garment("coat", 0.4, BLACK),), (Garment("coat", 0.4, dark_blue),))
    assert black == set()


def test_who_wears_a_hat_is_told_by_it_where_the_other_one_has_none() -> None:
    hat, none = said(
        (Garment("hat", 0.02, (99, 80, 90)), Garment("coat", 0.4, BLACK)),
        (Garment("coat", 0.4, BLACK),),
    )
    assert (
        hat
        == {
            "wears hat",
            "wears coat, wears hat",
            "wears black coat, wears hat",
            "dressed in black, wears hat",
        }
        and none == set()
    )


def test_nothing_is_told_of_clothes_that_are_not_known() -> None:
    assert said((Garment("coat", 0.4, RED),), None) == [set(), set()]  # type: ignore[arg-type]


def test_who_has_trousers_of_the_colour_is_not_surely_another() -> None:
    red = {name: Shares(0.9, 0.9) if name == "red" else Shares(0, 0) for name in RANGES}
    half = {name: Shares(0.4, 0.4) if name == "red" else Shares(0, 0) for name in RANGES}
    nothing = dict.fromkeys(RANGES, Shares(0.0, 0.0))
    own = person(50, 50, 100, 400, colours=(red, half))
    for other, names in (
        (person(400, 50, 100, 400, colours=(nothing, nothing)), {"in red", "red above the waist"}),
        (person(400, 50, 100, 400, colours=(nothing, half)), {"red above the waist"}),
        (person(400, 50, 100, 400), set()),
    ):
        everybody = Everybody(SIZE_HW, (own, other))
        found = clothes_expressions_of(everybody, 0, Random(0), most=99)
        assert {one.claim.name for one in found} == names
