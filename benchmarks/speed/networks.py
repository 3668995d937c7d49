"""The networks whose runtimes are compared: those of checkpoints, and made-up ones.

A network that no checkpoint brings has random weights: its speed is that of a trained one.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.speed.errors import BenchError
from benchmarks.speed.random_weights import random_network
from conversion.export.exportable import Exportable
from conversion.export.families import of_network
from conversion.export.family import Source
from conversion.export.inputs import Case, random_cases
from conversion.export.job import Job
from conversion.export.onnx_export import export_onnx
from conversion.export.precision import convert
from conversion.export.settings import Settings
from peopleseg.networks.checkpoint import CheckpointError, Loaded, load_network
from peopleseg.repository.manifest import Manifest
from peopleseg.systems.known import SYSTEMS
from peopleseg.systems.people.contract import HIERARCHICAL_HEAD
from peopleseg.systems.wiring import serving_versions

HEAD = HIERARCHICAL_HEAD.name

FULL_HEAD = "b0"  # variant that the lite one is compared with
RANDOM_WEIGHTS = "random"
_OF_LITE_ALONE = "judges_presence"  # of the heads' arguments


@dataclass(frozen=True)
class Network:
    """A network in evaluation mode on the CPU, and what it is asked."""

    loaded: Loaded
    exportable: Exportable
    weights: str  # RANDOM_WEIGHTS, or the checkpoint's path
    cases: dict[int, Case]  # by images or rois in one call
    graphs: Path  # an existing folder for what is exported of it, this network's own

    @property
    def name(self) -> str:
        return name_of(self.loaded.family, self.loaded.dims)

    @property
    def reads_rois(self) -> bool:
        return not self.exportable.reads_images

    def describe(self) -> dict[str, Any]:
        """For a result."""
        parameters = sum(values.numel() for values in self.exportable.module.parameters())
        return {
            "model": self.exportable.model.name,
            "dims": self.loaded.dims,
            "weights": self.weights,
            "parameters": parameters,
        }

    def graph(self, *, accelerator: str, precision: str = "fp32") -> Path:
        """Its ONNX file as `peopleseg export` makes it, but for weights stored in FP32.

        So what runtimes differ by is their own.
        """
        full, scratch = self.graphs / "full.onnx", self.graphs / "scratch.onnx"
        if not full.is_file():
            exportable = self.exportable
            export_onnx(exportable.module, exportable.model, full, exportable.input_shapes)
        settings = Settings(precision=precision, accelerator=accelerator, stored="fp32")
        source = Source(self.exportable, self.loaded)
        artifact = self.graphs / f"{accelerator}_{precision}.onnx"
        job = Job(source, "", (), settings, self.graphs, on_stage=lambda stage: None)
        shutil.copyfile(full, scratch)
        convert(scratch, artifact, job)
        return artifact


def name_of(family: str, dims: Mapping[str, Any]) -> str:
    """As results call it: "yolov9 t"."""
    return f"{family} {dims['variant']}" if "variant" in dims else family


def find_networks(
    repository: Path,
    checkpoints: Sequence[Path],
    models: Sequence[str],
    rois: Sequence[int],
    folder: Path,
) -> list[Network]:
    """The networks that a repository serves and the full mask head, those on images first.

    Of these models. A checkpoint's network comes in place of its namesake, or is added. Raises
    BenchError for a checkpoint that is none, where a manifest does not say how its network is
    built, and where there is no network.
    """
    served = {name_of(one.family, one.dims): one for one in _served(repository, models)}
    given = {
        name: brought
        for name, brought in _brought(checkpoints).items()
        if of_network(brought[0]).model.name in models
    }
    if not served | given:
        raise BenchError(
            f"{repository} serves no {' or '.join(models)}; name a checkpoint with --checkpoint"
        )
    networks = []
    for name in served | given:
        loaded, weights = given.get(name) or (random_network(*served[name]), RANDOM_WEIGHTS)
        graphs = folder / name.replace(" ", "_")
        graphs.mkdir()
        exportable = of_network(loaded)
        sizes = [1] if exportable.reads_images else rois
        cases = dict(zip(sizes, random_cases(exportable, sizes), strict=True))
        networks.append(Network(loaded, exportable, weights, cases, graphs))
    return sorted(networks, key=lambda network: network.reads_rois)


class _Built(NamedTuple):
    """How a network is built."""

    family: str
    dims: dict[str, Any]
    size: int | None  # of the square that it reads, where versions differ in it


def _served(repository: Path, models: Sequence[str]) -> Iterator[_Built]:
    """Every network that a repository serves, of any system, and the full mask head.

    Not a published detector, which is a graph alone.
    """
    pinned: dict[str, int] = {}
    for system in SYSTEMS:
        pinned |= serving_versions(repository, system)
    for step, version in pinned.items():
        folder = repository / step / str(version)
        if step not in models or "decoder" in (manifest := Manifest.read(folder)).variant:
            continue
        if not manifest.variant:
            raise BenchError(
                f"the manifest in {folder} does not say how the network is built; name another "
                "--model-repository"
            )
        built = _Built(_family(folder, manifest), manifest.variant, manifest.export.get("size"))
        yield built
        if step == HEAD:
            reads = {k: v for k, v in manifest.variant.items() if k != _OF_LITE_ALONE}
            yield built._replace(dims=reads | {"variant": FULL_HEAD})


def _family(folder: Path, manifest: Manifest) -> str:
    """As the weights of a version say: a model may be of several families.

    One without is from before it could be, or made up: of the family that is called as the model.
    """
    return load_network(folder).family if manifest.weights_sha256 else manifest.model


def _brought(checkpoints: Sequence[Path]) -> dict[str, tuple[Loaded, str]]:
    """By name, the network of each checkpoint and its path."""
    found: dict[str, tuple[Loaded, str]] = {}
    for path in checkpoints:
        try:
            loaded = load_network(path)
        except (CheckpointError, OSError) as error:
            raise BenchError(str(error)) from error
        name = name_of(loaded.family, loaded.dims)
        if name in found:
            raise BenchError(f"{found[name][1]} and {path} both hold a {name}; name one of them")
        found[name] = loaded, str(path)
    return found
