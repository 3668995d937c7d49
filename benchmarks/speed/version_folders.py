"""Versions of networks as a user names them: found, described, and what each is asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.errors import BenchError
from peopleseg.errors import WrongUsage
from peopleseg.pixels.examples import example_images
from peopleseg.pixels.images import prepare_file
from peopleseg.repository.manifest import FILE_NAME, Manifest, reads_of, tensors_of
from peopleseg.repository.model_folder import versions_in
from peopleseg.repository.tensors import Tensor
from peopleseg.systems.shared.contract import PIXELS
from peopleseg.systems.step import Arrays

_SEED = 0


@dataclass(frozen=True)
class Version:
    """A version folder of a network that runs on CPUs."""

    name: str  # as results call it: "people_unet/7"
    folder: Path
    manifest: Manifest

    @property
    def artifact(self) -> Path:
        return self.folder / self.manifest.artifact

    def describe(self) -> dict[str, Any]:
        """For a result: what it is, and what its manifest says of it."""
        manifest = self.manifest
        return {
            "bytes": self.artifact.stat().st_size,
            "parameters": self.parameters(),
            "precision": manifest.precision,
            "weights": manifest.weights,
            "accelerator": manifest.accelerator,
            "accuracy": manifest.accuracy,
            "accuracy_data": manifest.accuracy_data,
            "accuracy_gate": manifest.accuracy_gate,
        }

    def parameters(self) -> int | None:
        """Of the network in torch; None where the version has none."""
        if not self.manifest.weights_sha256:
            return None
        from peopleseg.networks.checkpoint import load_network

        network = load_network(self.folder).network
        return sum(values.numel() for values in network.parameters())


def find_versions(repository: Path, given: Sequence[str]) -> list[Version]:
    """Each by its folder, or as MODEL/VERSION of the repository, in the order given.

    Raises WrongUsage for one alone, one named twice and one that is not there; ArtifactError, and
    BenchError for one that no CPU runs.
    """
    folders = [_folder(repository, one) for one in given]
    if len({folder.resolve() for folder in folders}) < max(len(folders), 2):
        raise WrongUsage(
            f"expected two versions or more, each once, got {' '.join(given)}; the first is what "
            "the others are compared with"
        )
    manifests = [_manifest(folder) for folder in folders]
    names = [f"{m.model}/{folder.name}" for m, folder in zip(manifests, folders, strict=True)]
    if len(set(names)) < len(names):  # of several repositories
        names = list(given)
    return [Version(*one) for one in zip(names, folders, manifests, strict=True)]


def inputs_of(folder: Path) -> list[Arrays]:
    """What a version is asked by turns, one image or roi a call, by the lengths of its tensors.

    Pixels are those of the example images, all else that it reads random numbers. Raises
    ArtifactError, and BenchError where a length is open.
    """
    tensors, reads = tensors_of(folder).inputs.values(), reads_of(folder)
    for tensor in tensors:
        if tensor.name in reads and -1 in tensor.shape:
            raise BenchError(
                f"{folder} does not say how long its input {tensor.name} is, {tensor.shape}; "
                "export the network again"
            )
    random = np.random.default_rng(_SEED)
    return [
        {tensor.name: _values(tensor, reads, image, random) for tensor in tensors}
        for image in example_images()
    ]


def _values(
    tensor: Tensor, reads: Sequence[str], image: Path, random: np.random.Generator
) -> NDArray[Any]:
    """With a batch axis of 1."""
    if tensor.name == PIXELS.name:
        return prepare_file(image, tensor.shape[-1])[0]
    from conversion.export.inputs import random_values, unread_values

    return random_values(tensor, 1, random) if tensor.name in reads else unread_values(tensor, 1)


def _folder(repository: Path, given: str) -> Path:
    for folder in (Path(given), repository / given):
        if (folder / FILE_NAME).is_file():
            return folder
    named = repository / given
    there = ", ".join(map(str, versions_in(named) or versions_in(named.parent))) or "none"
    raise WrongUsage(
        f"there is no version {given}, neither as a folder with a {FILE_NAME} nor in {repository}, "
        f"whose versions of it are: {there}"
    )


def _manifest(folder: Path) -> Manifest:
    """Raises ArtifactError for no network's version, BenchError for one that no CPU runs."""
    manifest = Manifest.read(folder)
    manifest.verify(folder)
    if not manifest.artifact.endswith(".onnx"):
        raise BenchError(
            f"{folder} holds {manifest.artifact}, a TensorRT engine, which runs on its own kind of "
            "GPU alone; name a version with a model.onnx"
        )
    return manifest
