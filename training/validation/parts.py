"""The parts that there are, by the family of a network and by the annotations given."""

from pathlib import Path

from peopleseg.systems.known import parts
from training.validation.part import Part

PARTS: tuple[Part, ...] = tuple(module.PART for module in parts("training.validation.{}.part"))
BY_FAMILY: dict[str, Part] = {family: part for part in PARTS for family in part.families}


def part_of(family: str) -> Part | None:
    """None for a family that nothing here measures, such as one of a benchmark."""
    return BY_FAMILY.get(family)


def part_reading(annotations: Path) -> Part:
    """The part that such annotations are for; what no part knows is for the first one to refuse.

    The last one that reads them: COCO files with captions are COCO files too.
    """
    return next((part for part in reversed(PARTS) if part.reads(annotations)), PARTS[0])
