"""Made-up people of an image, to make expressions of."""

from random import Random

from tests.data.skeletons import POSES, skeleton
from training.referring.expressions.colour_names import RANGES, Shares
from training.referring.expressions.people import Everybody, Garment, Person

SIZE_HW = (480, 640)
_CLOTHES = {
    "coat": (200, 30, 30),
    "jacket": (20, 20, 25),
    "shirt": (240, 240, 240),
    "pants": (30, 60, 180),
    "skirt": (160, 30, 40),
    "hat": (90, 90, 90),
    "sunglasses": (20, 20, 20),
}
_COLOURS = ((200, 30, 30), (20, 20, 25), (240, 240, 240), (30, 60, 180), (120, 90, 100))


def person(
    left: float,
    top: float,
    width: float,
    height: float,
    pose: str | None = None,
    clothes: tuple[Garment, ...] | None = None,
    colours: tuple[dict[str, Shares], dict[str, Shares]] | None = None,
) -> Person:
    """In a box, which a skeleton of a pose fills from top to bottom; its area is half the box's."""
    keypoints = None if pose is None else skeleton(pose, x=left + width / 2, y=top, height=height)
    upper, everywhere = colours or (None, None)
    box = (left, top, left + width, top + height)
    return Person(box, width * height / 2, keypoints, clothes, upper, everywhere)


def gathering(seed: int) -> Everybody:
    """1 to 7 people anywhere, of any size, pose and clothes, some of whom are not known."""
    random = Random(seed)
    return Everybody(SIZE_HW, tuple(_anybody(random) for _ in range(random.randint(1, 7))))


def _anybody(random: Random) -> Person:
    height, width = random.uniform(15, 460), random.uniform(8, 250)
    left, top = random.uniform(0, 640 - width), random.uniform(0, 480 - height)
    pose = random.choice([None, "lying", "facing away", *POSES])
    clothes = None
    if random.random() < 0.7:
        names = random.sample(sorted(_CLOTHES), random.randint(1, 4))
        clothes = tuple(
            Garment(n, random.uniform(0.01, 0.5), random.choice(_COLOURS)) for n in names
        )
    return person(left, top, width, height, pose, clothes, _colours(random))


def _colours(random: Random) -> tuple[dict[str, Shares], dict[str, Shares]] | None:
    if random.random() < 0.3:
        return None
    worn = random.choice(sorted(RANGES))
    upper = {name: Shares(0.9, 0.95) if name == worn else Shares(0.0, 0.05) for name in RANGES}
    return upper, {name: Shares(s.sure / 2, s.possible / 2) for name, s in upper.items()}
