"""The manifest beside every artifact: what it is, where it came from, how well it does."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FILE_NAME = "manifest.json"


class ArtifactError(Exception):
    """An artifact is not the one that its manifest describes."""


@dataclass(frozen=True)
class Manifest:
    """Written once with the artifact and never changed."""

    model: str  # folder of the model repository
    artifact: str  # file name, beside the manifest
    sha256: str  # of the artifact
    bytes: int
    variant: dict[str, Any]  # the arguments that rebuild the network
    precision: str  # of the computation
    weights: str  # how they are stored
    opset: int
    ir_version: int
    checkpoint_sha256: str
    commit: str  # of this repository at the time of conversion
    tools: dict[str, str]  # name to version
    parity: dict[str, Any]  # differences against torch, per output; see conversion.parity
    accuracy: dict[str, float]  # of the checkpoint, in torch
    accuracy_data: str  # what it was measured on
    data_licence: str  # of the training data

    def write(self, folder: Path) -> None:
        text = json.dumps(asdict(self), indent=2) + "\n"
        (folder / FILE_NAME).write_text(text)

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """The manifest of a version folder. Raises ArtifactError when it cannot be read."""
        path = folder / FILE_NAME
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise ArtifactError(
                f"{path} is not a manifest ({error}); export the model again"
            ) from error

    def verify(self, folder: Path) -> None:
        """Raises ArtifactError unless the artifact in `folder` is the one described here."""
        path = folder / self.artifact
        if not path.is_file():
            raise ArtifactError(f"{path} is missing, though its manifest describes it")
        found = sha256(path)
        if found != self.sha256:
            raise ArtifactError(
                f"{path} has sha256 {found}, its manifest says {self.sha256}; "
                "export the model again"
            )


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
