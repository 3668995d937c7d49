"""What one version is made of, and how."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from conversion.export.families import FAMILIES
from conversion.export.family import Family, Source
from conversion.export.inputs import Case, Inputs
from conversion.export.settings import Settings

IMAGES = 8  # compared, at most; a batch of one, of three, of one, of three


@dataclass(frozen=True)
class Job:
    """One version to make."""

    source: Source
    checkpoint_sha256: str
    images: Sequence[Path]  # to compare on, and to calibrate with
    settings: Settings
    repository: Path
    on_stage: Callable[[str], None]  # is told what begins

    @property
    def name(self) -> str:
        """The model's."""
        return self.source.exportable.model.name

    @property
    def family(self) -> Family:
        return FAMILIES[self.source.loaded.family]

    def begin(self, stage: str) -> None:
        """Tell what begins."""
        self.on_stage(f"{self.name}: {stage}")

    @cached_property
    def inputs(self) -> Inputs:
        """Makes what the network reads of images."""
        return self.family.inputs(self.source, self.repository)

    def comparison_cases(self) -> list[Case]:
        """The images as inputs of the network, in several batch sizes."""
        return list(self.inputs.cases(self.images[:IMAGES]))
