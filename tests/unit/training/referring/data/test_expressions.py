"""An expression means one person: it surely fits this one, and surely nobody else."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random

import pytest

from peopleseg.labels.coco import load_labels
from tests.data.gatherings import SIZE_HW, gathering, person
from training.data.images import read_rgb
from training.referring.expressions.choosing import (
    MOST,
    MOST_PEOPLE,
    Expression,
    clothes_expressions_of,
    expressions_of,
)
from training.referring.expressions.claims import Claim, Truth, among, every, means_only
from training.referring.expressions.people import Everybody, Person
from training.referring.expressions.places import place_claims
from training.referring.people_of import everybody_of
from training.referring.side_by_side import MainPerson, everybody_in, pairs

GATHERINGS = range(120)
# Nothing is said of sex or age.
NEVER_SAID = {
    *("man", "woman", "guy", "lady", "girl", "boy", "kid", "child", "baby", "men", "women", "dude"),
    *("old", "young", "older", "younger", "adult", "he", "she", "his", "her", "male", "female"),
}


def made(everybody: Everybody, seed: int = 0) -> Iterator[tuple[int, Expression]]:
    for index in range(len(everybody)):
        for one in expressions_of(everybody, index, Random(f"{seed} {index}"), most=50):
            yield index, one


def assert_means_one(everybody: Everybody, index: int, claim: Claim) -> None:
    truths = [claim.holds(everybody, one) for one in range(len(everybody))]
    assert truths[index] is True, claim.name
    assert all(truth is False for other, truth in enumerate(truths) if other != index), claim.name


@pytest.fixture(scope="module")
def of_gatherings() -> list[tuple[Everybody, int, Expression]]:
    return [
        (everybody, index, one)
        for everybody in map(gathering, GATHERINGS)
        for index, one in made(everybody)
    ]


def test_every_expression_fits_its_person_and_surely_nobody_else(
    of_gatherings: list[tuple[Everybody, int, Expression]],
) -> None:
    kinds: set[str] = set()
    for everybody, index, one in of_gatherings:
        assert_means_one(everybody, index, one.claim)
        noticed = everybody.noticed()
        seen = Everybody(everybody.size_hw, tuple(everybody.people[i] for i in noticed))
        assert_means_one(seen, noticed.index(index), one.claim)
        kinds.update(one.claim.name.split(", "))
    wanted = {"on the left", "far right", "second from the left", "in the middle", "highest"}
    wanted |= {"in front", "in the back", "largest", "smallest", "standing", "sitting", "lying"}
    wanted |= {"both arms raised", "one arm raised", "facing away", "bending over", "wears hat"}
    wanted |= {"wears red coat", "wears black jacket", "red above the waist", "in blue"}
    assert wanted <= kinds


# What the words say, plainly: the one who comes first by a number, without any margin.
FIRST: dict[str, Callable[[Person], float]] = {
    "far left": lambda one: one.centre[0],
    "far right": lambda one: -one.centre[0],
    "highest": lambda one: one.centre[1],
    "lowest": lambda one: -one.centre[1],
    "largest": lambda one: -one.area_px,
    "smallest": lambda one: one.area_px,
    "in front": lambda one: -one.box_xyxy[3],
    "in the back": lambda one: one.box_xyxy[3],
    "tallest": lambda one: -one.height,
    "shortest": lambda one: one.height,
}


def test_places_and_sizes_are_what_their_words_say(
    of_gatherings: list[tuple[Everybody, int, Expression]],
) -> None:
    found = set()
    for everybody, index, one in of_gatherings:
        people = everybody.people
        by_x = sorted(range(len(people)), key=[one.centre[0] for one in people].__getitem__)
        name = one.claim.name
        if name in FIRST:
            assert min(people, key=FIRST[name]) is people[index]
        elif " from the " in name and "," not in name:
            rank = {"second": 1, "third": 2}[name.split()[0]]
            assert by_x[-1 - rank if name.endswith("right") else rank] == index
        elif name == "in the middle":
            assert by_x[len(people) // 2] == index
        else:
            continue
        found.add(name)
    assert found >= {*FIRST, "second from the left", "third from the right", "in the middle"} - {
        "tallest",
        "shortest",
    }


@pytest.mark.parametrize(
    ("annotations", "images", "with_pixels"),
    [
        ("people/person_val.json", "people/val", True),
        ("people/person_train.json", "people/train", False),
        pytest.param("people/person_train.json", "people/train", True, marks=pytest.mark.slow),
        pytest.param("more/coco_val.json", "more/coco_val", True, marks=pytest.mark.slow),
    ],
)
def test_every_expression_of_real_people_fits_one_of_them(
    people_data: Path, annotations: str, images: str, with_pixels: bool
) -> None:
    folder = people_data.parent
    if not (folder / annotations).exists():
        pytest.skip(f"no annotations at {folder / annotations}")
    labels = load_labels(folder / annotations, folder / images)
    count = 0
    for image in labels.images:
        entries = labels.entries[image.id]
        everybody = everybody_of(image, entries, read_rgb(image) if with_pixels else None)
        texts: dict[str, int] = {}
        for index, one in made(everybody, image.id):
            assert not any(entry.get("iscrowd") for entry in entries)
            assert_means_one(everybody, index, one.claim)
            assert texts.setdefault(one.text, index) == index, one.text
            count += 1
    assert count > 300


@pytest.mark.slow
def test_every_expression_of_a_real_pair_fits_one_of_the_two(people_data: Path) -> None:
    folder = people_data.parent / "ccp"
    if not (folder / "person_ccp.json").exists():
        pytest.skip(f"no annotated clothes at {folder}")
    labels = load_labels(folder / "person_ccp.json", folder / "images")
    people = [
        MainPerson(image, entry, everybody_of(image, [entry]))
        for image in labels.images
        for entry in labels.entries[image.id]
    ]
    count = 0
    for pair in pairs(people, 0):
        everybody = everybody_in(pair)
        for index in range(2):
            for one in clothes_expressions_of(everybody, index, Random(index), most=50):
                assert_means_one(everybody, index, one.claim)
                count += 1
    assert count > 1000


def row(count: int, **changes: object) -> tuple[Person, ...]:
    """People of one size in a row, 80 pixels apart."""
    return tuple(person(20 + 80 * place, 200, 40, 120) for place in range(count))


def test_a_row_is_counted_from_both_ends() -> None:
    everybody = Everybody(SIZE_HW, row(5))
    said = {
        index: {one.claim.name for i, one in made(everybody) if i == index} for index in range(5)
    }
    assert "far left" in said[0] and "far right" in said[4]
    assert {"second from the left"} <= said[1] and {"second from the right"} <= said[3]
    assert "third from the left" in said[2] and not any(
        "largest" in names for names in said.values()
    )


def test_who_is_not_clearly_first_is_not_called_so() -> None:
    close = Everybody(SIZE_HW, (person(100, 100, 60, 200), person(110, 110, 60, 200)))
    assert list(made(close)) == []


def test_narrow_people_near_one_another_in_a_wide_image_are_in_no_order() -> None:
    near = Everybody(SIZE_HW, tuple(person(x, 100, 6, 300) for x in (300, 320)))
    assert list(made(near)) == []
    apart = Everybody(SIZE_HW, tuple(person(x, 100, 6, 300) for x in (300, 360)))
    assert {"far left", "far right"} <= {one.claim.name for _, one in made(apart)}


def test_two_on_the_left_are_not_the_one_on_the_left() -> None:
    left, more, right = (
        person(20, 100, 60, 200),
        person(120, 100, 60, 200),
        person(500, 100, 60, 200),
    )
    everybody = Everybody(SIZE_HW, (left, more, right))
    assert "on the left" not in {one.claim.name for index, one in made(everybody)}
    assert ("on the right", 2) in {(one.claim.name, index) for index, one in made(everybody)}


def test_there_is_none_beside_a_crowd_and_none_among_too_many() -> None:
    assert list(made(Everybody(SIZE_HW, row(3), complete=False))) == []
    many = tuple(person(5 + 45 * place, 200, 20, 60) for place in range(MOST_PEOPLE + 1))
    assert list(made(Everybody(SIZE_HW, many))) == []
    assert list(made(Everybody(SIZE_HW, many[:-1]))) != []


def test_who_is_easily_overlooked_does_not_change_who_is_meant() -> None:
    large = (person(200, 50, 100, 400), person(400, 50, 100, 400))
    tiny = person(5, 10, 8, 20)
    said = [(index, one.claim.name) for index, one in made(Everybody(SIZE_HW, (*large, tiny)))]
    assert not any(index == 2 for index, _ in said)
    # To who sees the tiny one, another one is second from the left.
    assert not any("left" in name for _, name in said)
    assert (1, "far right") in said


def test_a_pose_is_not_told_where_that_of_another_is_not_known() -> None:
    sitting, standing = person(50, 100, 80, 300, "sitting"), person(400, 100, 80, 300, "standing")
    names = {one.claim.name for _, one in made(Everybody(SIZE_HW, (sitting, standing)))}
    assert {"sitting", "standing"} <= names
    unknown = person(400, 100, 80, 300)
    names = {one.claim.name for _, one in made(Everybody(SIZE_HW, (sitting, unknown)))}
    assert "sitting" not in names and "sitting, on the left" in names


def test_one_of_two_who_sit_is_told_by_the_place_among_them() -> None:
    people = (
        person(20, 100, 60, 300, "standing"),
        person(220, 150, 60, 250, "sitting"),
        person(480, 150, 60, 250, "sitting"),
    )
    everybody = Everybody(SIZE_HW, people)
    claims = {claim.name: claim for claim in place_claims(everybody)}
    sits = next(
        one.claim for i, one in made(Everybody(SIZE_HW, people[:2])) if one.claim.name == "sitting"
    )
    assert means_only(among(sits, claims["on the left"]), everybody, 1)
    assert "sitting, far left" in {one.claim.name for index, one in made(everybody) if index == 1}


def planted(everybody: Everybody, index: int, truths: Sequence[Truth]) -> Truth:
    return truths[index]


def test_a_claim_that_fits_two_or_is_not_sure_of_one_means_nobody() -> None:
    everybody = Everybody(SIZE_HW, row(3))
    for truths in ((True, True, False), (True, None, False), (None, False, False), (False,) * 3):
        claim = Claim("planted", "pose", partial(planted, truths=truths))
        assert not any(means_only(claim, everybody, index) for index in range(3))
    sure = Claim("planted", "pose", lambda everybody, index: index == 1)
    assert [means_only(sure, everybody, index) for index in range(3)] == [False, True, False]


def test_all_are_true_or_one_is_false_or_it_is_not_known() -> None:
    assert every([]) is True and every([True, True]) is True
    assert every([True, None]) is None and every([None, False, True]) is False


def test_texts_say_nothing_of_sex_or_age_and_differ() -> None:
    texts = []
    for seed in GATHERINGS:
        for index in range(len(everybody := gathering(seed))):
            own = [one.text for one in expressions_of(everybody, index, Random(seed))]
            assert len(own) == len(set(own)) <= MOST
            texts += own
    assert len(set(texts)) > 300
    for text in texts:
        assert not NEVER_SAID & set(text.split()), text
        assert text == text.strip() and "  " not in text and text.count(" ") < 20


def test_the_same_seed_gives_the_same_expressions_and_another_one_others() -> None:
    def texts(seed: int) -> list[str]:
        everybody = gathering(7)
        return [
            one.text
            for i in range(len(everybody))
            for one in expressions_of(everybody, i, Random(seed))
        ]

    assert texts(1) == texts(1) != texts(2)


def test_nobody_gives_no_expression() -> None:
    assert list(made(Everybody(SIZE_HW))) == []


def test_main_people_are_told_by_clothes_alone() -> None:
    everybody = gathering(3)
    found = [
        one
        for index in range(len(everybody))
        for one in clothes_expressions_of(everybody, index, Random(index), most=50)
    ]
    assert found and all(one.claim.topic == "clothes" for one in found)
