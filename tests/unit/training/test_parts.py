"""What each system brings to be measured and imported: whole, and known nowhere else."""

import re
from pathlib import Path

from peopleseg.networks.checkpoint import COMPANION_FAMILIES, FAMILIES
from peopleseg.systems.known import NAMES, parts
from training.pretrained.import_command import Options as ImportOptions
from training.pretrained.kinds import KINDS
from training.validation.command import Options as ValidateOptions
from training.validation.parts import BY_FAMILY, PARTS, part_of

ROOT = Path(__file__).parents[3]


def test_every_network_that_a_checkpoint_may_hold_has_a_part() -> None:
    assert BY_FAMILY.keys() == FAMILIES.keys()
    assert len(BY_FAMILY) == sum(len(part.families) for part in PARTS)
    assert part_of("mask_rcnn") is None


def test_every_kind_has_its_importer_and_is_a_family() -> None:
    importers = [
        kind for system in parts("training.pretrained.{}.importers") for kind in system.IMPORTERS
    ]
    assert sorted(importers) == sorted(KINDS)
    assert KINDS.keys() <= FAMILIES.keys()


def test_the_options_that_belong_to_one_are_options_of_the_command() -> None:
    own = {option for part in PARTS for option in part.own_options}
    assert own <= ValidateOptions.__dataclass_fields__.keys()
    assert {o for options in KINDS.values() for o in options} <= (
        ImportOptions.__dataclass_fields__.keys()
    )


def test_what_is_common_to_all_systems_names_none_of_them() -> None:
    families = {*FAMILIES, *COMPANION_FAMILIES.values()}
    own = re.compile(rf"\.({'|'.join(NAMES)})\b|\"({'|'.join(families)})\"")
    common = ("part", "parts", "measuring", "table", "leak", "sheets")
    files = [ROOT / "training" / "validation" / f"{name}.py" for name in common]
    files += [ROOT / "training" / "pretrained" / f"{name}.py" for name in ("importing", "kinds")]
    for file in files:
        assert not own.search(file.read_text()), file
