"""Checkpoints: what a training writes, and how the network in one is built again.

A checkpoint is Lightning's, and so resumes, with one more entry, `network`: the family, the
arguments that build it, and those of the frozen companions whose weights are in the file too. It is
loaded as weights only: a file cannot run code. One without a training to resume may be a
safetensors file, as a version folder has it.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from peopleseg.errors import PeoplesegError
from peopleseg.labels.files import beside
from peopleseg.labels.mistaken import mistaken_file
from peopleseg.networks.people.onnx_detector import OnnxDetector
from peopleseg.networks.weights_file import SUFFIX, read_weights, write_weights
from peopleseg.repository.manifest import WEIGHTS, ArtifactError, Manifest
from peopleseg.systems.known import parts

_SYSTEMS = parts("peopleseg.networks.{}.families")
# Name to what builds the network of its dims, and attribute of a companion to its family.
FAMILIES: dict[str, Callable[..., nn.Module]] = dict(
    family for system in _SYSTEMS for family in system.FAMILIES.items()
)
COMPANION_FAMILIES: dict[str, str] = dict(
    companion for system in _SYSTEMS for companion in system.COMPANIONS.items()
)
TRAINED_ON = "trained_on"  # the checkpoint's entry of names of images
NETWORK = "network"  # prefix of its weights in `state_dict`; a companion's is its own name


class CheckpointError(PeoplesegError):
    """A file is not a checkpoint that can be used here."""


@dataclass(frozen=True)
class Loaded:
    """A network in evaluation mode, on the CPU, with what its checkpoint says about it."""

    family: str
    dims: dict[str, Any]  # arguments that build the network
    network: nn.Module
    metrics: dict[str, float]  # of the last validation before it was written
    companions: dict[str, nn.Module] = field(default_factory=dict)
    epoch: int | None = None  # trained epochs, the last one perhaps in part
    trained_on: tuple[str, ...] = ()  # names of images, where the training recorded them
    size: int | None = None  # of the square that it was trained on, where the checkpoint says so


def describe(
    family: str,
    dims: Mapping[str, Any],
    companions: Mapping[str, Mapping[str, Any]] | None = None,
    size: int | None = None,
) -> dict[str, Any]:
    """The checkpoint's `network` entry. companions: name and dims of each. size: as in Loaded."""
    described = {"family": family, "dims": dict(dims), "companions": dict(companions or {})}
    return described if size is None else described | {"size": size}


def save_network(
    path: Path,
    family: str,
    network: nn.Module,
    *,
    dims: Mapping[str, Any],
    metrics: Mapping[str, float] | None = None,
    companions: Mapping[str, tuple[nn.Module, Mapping[str, Any]]] | None = None,
    trained_on: Sequence[str] = (),
    size: int | None = None,
) -> None:
    """Write weights that no training left here, such as imported ones; whole or not at all.

    path: of a safetensors file, where its name says so. companions: name to (network, dims). size:
    as in Loaded.
    """
    beside = companions or {}
    modules = nn.ModuleDict({NETWORK: network} | {name: one for name, (one, _) in beside.items()})
    state: dict[str, Any] = {
        "state_dict": dict(modules.state_dict()),
        "network": describe(family, dims, {name: dict(d) for name, (_, d) in beside.items()}, size),
        "metrics": dict(metrics or {}),
    }
    if trained_on:
        state[TRAINED_ON] = list(trained_on)
    write_checkpoint(state, path)


def load_network(path: Path) -> Loaded:
    """Build the network of a checkpoint or of a version folder, and its companions.

    Raises CheckpointError naming the file when it is none of ours, broken or not there.
    """
    path = _weights_in(path) if path.is_dir() else path
    checkpoint = read_checkpoint(path)
    try:
        described = checkpoint["network"]
        family, dims = described["family"], described["dims"]
        weights = checkpoint["state_dict"]
        network = _built(FAMILIES[family], dims, weights, NETWORK)
        companions = {
            name: _built(FAMILIES[COMPANION_FAMILIES[name]], companion_dims, weights, name)
            for name, companion_dims in described["companions"].items()
        }
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} does not hold a network of peopleseg ({error}); checkpoints of other projects "
            "come in through `peopleseg import-weights`"
        ) from error
    metrics = {name: float(value) for name, value in checkpoint.get("metrics", {}).items()}
    epoch = checkpoint["epoch"] + 1 if "epoch" in checkpoint else None
    return Loaded(
        family,
        dims,
        network,
        metrics,
        companions,
        epoch,
        trained_on=tuple(checkpoint.get(TRAINED_ON, ())),
        size=described.get("size"),
    )


def load_companion(path: Path | None, family: str) -> Any:
    """The network of a checkpoint of `family`, frozen; None without a path.

    Any is the network's own type. Raises CheckpointError for another family.
    """
    if path is None:
        return None
    loaded = load_network(Path(path))
    if loaded.family != family:
        raise CheckpointError(f"{path} holds a {loaded.family}, not a {family}")
    return loaded.network.requires_grad_(False)


def load_detector(path: Path | None) -> Any:
    """A detector to read the outputs of, frozen: of a checkpoint, or as it is served, of a version
    folder or its model.onnx; None without a path.

    Raises CheckpointError for anything else.
    """
    if path is None:
        return None
    file = detector_file(path)
    if file.suffix != ".onnx":
        return load_companion(file, "yolov9")
    try:
        return OnnxDetector.read(file)
    except (OSError, ValueError) as error:
        raise CheckpointError(str(error)) from error


def detector_file(path: Path) -> Path:
    """The file that a detector is in: of a version folder its artifact. Raises CheckpointError."""
    path = Path(path)
    if not path.is_dir():
        return path
    manifest = _verified(path)
    if not manifest.artifact.endswith(".onnx"):
        raise CheckpointError(
            f"{path} holds {manifest.artifact}, which runs on its own kind of GPU alone; name a "
            "version with a model.onnx"
        )
    return path / manifest.artifact


def write_checkpoint(checkpoint: Mapping[str, Any], path: Path) -> None:
    """Beside, then renamed: the file is whole or not there, on whichever disk it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = beside(path)
    write = write_weights if path.suffix == SUFFIX else torch.save
    write(checkpoint, partial)
    os.replace(partial, path)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The file's dictionary, as weights only. Raises CheckpointError."""
    try:
        if path.suffix == SUFFIX:
            return read_weights(path)
        checkpoint = torch.load(path, weights_only=True, map_location="cpu")
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror or error})") from error
    except (SafetensorError, ValueError) as error:
        said = mistaken_file(path) or f"is not a file of weights: {error}"
        raise CheckpointError(f"{path} {said}") from error
    except (RuntimeError, UnpicklingError, EOFError) as error:
        # what torch advises here is to let the file run code
        said = mistaken_file(path) or (
            "is not a checkpoint of peopleseg, or cut off; name one that a training wrote, or make "
            "one of other weights by `peopleseg import-weights`"
        )
        raise CheckpointError(f"{path} {said}") from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(f"{path} holds a {type(checkpoint).__name__}, not a checkpoint")
    return checkpoint


def _weights_in(version: Path) -> Path:
    if not _verified(version).weights_sha256:
        raise CheckpointError(
            f"{version} has no {WEIGHTS}: it is an imported detector, or was made before versions "
            "had one; name a checkpoint (training/pretrained/defaults has the default models')"
        )
    return version / WEIGHTS


def _verified(version: Path) -> Manifest:
    try:
        manifest = Manifest.read(version)
        manifest.verify(version)
    except ArtifactError as error:
        raise CheckpointError(str(error)) from error
    return manifest


def _built(
    build: Callable[..., nn.Module], dims: dict[str, Any], weights: dict[str, Any], prefix: str
) -> nn.Module:
    network = build(**dims)
    own = {
        key.removeprefix(f"{prefix}."): value
        for key, value in weights.items()
        if key.startswith(f"{prefix}.")
    }
    network.load_state_dict(own)
    return network.eval()
