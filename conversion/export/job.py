"""What one version is made of, and how."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from conversion.export.exportable import Exportable
from conversion.export.inputs import Case, RoiReader, image_cases, roi_cases
from conversion.export.settings import Settings
from peopleseg.networks.checkpoint import Loaded

IMAGES = 8  # compared, at most; a batch of one, of three, of one, of three


@dataclass(frozen=True)
class Source:
    """A network, and those whose outputs it reads."""

    exportable: Exportable
    loaded: Loaded  # with the companions of a head


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

    def begin(self, stage: str) -> None:
        """Tell what begins."""
        self.on_stage(f"{self.name}: {stage}")

    def reader(self) -> RoiReader | None:
        """Makes what a mask head reads of an image; the other networks read the image itself."""
        if is_image_network(self.source.exportable):
            return None
        return RoiReader(self.source.loaded, self.source.exportable, self.repository)

    def comparison_cases(self) -> list[Case]:
        """The images as inputs of the network, in several batch sizes."""
        images, reader = self.images[:IMAGES], self.reader()
        if reader is None:
            return list(image_cases(images))
        return list(roi_cases(images, self.source.exportable, reader))


def is_image_network(exportable: Exportable) -> bool:
    """Whether it reads whole images, not rois."""
    return exportable.reads == ("pixels",)
