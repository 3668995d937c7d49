"""What texts become when the image is flipped, and which a cut makes wrong."""

import pytest

from tests.data.gatherings import gathering
from tests.unit.training.referring.data.test_expressions import made
from training.referring.words_of_place import flipped_text, speaks_of_place


@pytest.mark.parametrize(
    ("text", "flipped"),
    [
        ("person on the left", "person on the right"),
        ("second from the right", "second from the left"),
        ("the leftmost person", "the rightmost person"),
        ("left-hand side", "right-hand side"),
        ("Left guy, RIGHT side", "Right guy, LEFT side"),
        ("left of the right one", "right of the left one"),
        ("the person in bright red", "the person in bright red"),
        ("upright person", "upright person"),
        ("top person in the middle", "top person in the middle"),
        ("closest to us", "closest to us"),
        ("", ""),
    ],
)
def test_only_left_and_right_change(text: str, flipped: str) -> None:
    assert flipped_text(text) == flipped
    assert flipped_text(flipped) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        *(
            (text, True)
            for text in ("left", "far right", "leftmost one", "middle", "2nd from left")
        ),
        *((text, True) for text in ("top person", "third one", "person at the edge", "Center")),
        *((text, False) for text in ("red shirt", "the tallest", "sitting person", "in front", "")),
        *((text, False) for text in ("closest to the camera", "with raised arms", "bright coat")),
    ],
)
def test_places_are_told_from_other_words(text: str, told: bool) -> None:
    assert speaks_of_place(text) == told


def test_every_generated_text_of_a_place_is_known_as_one() -> None:
    count = 0
    for seed in range(40):
        for _, one in made(gathering(seed)):
            if one.claim.topic == "place":
                assert speaks_of_place(one.text), one.text
                count += 1
            elif one.claim.topic == "size" or one.claim.name in ("standing", "sitting", "in red"):
                assert not speaks_of_place(one.text), one.text
    assert count > 100
