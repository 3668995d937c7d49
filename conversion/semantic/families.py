"""The families of the semantic networks, by the names that checkpoints give them."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from conversion.export.exportable import Exportable
from conversion.export.family import Family, Source
from conversion.export.inputs import ImageInputs, Inputs
from conversion.semantic.accuracy import labelled_images, semantic_accuracy
from conversion.semantic.exportable import DEFAULT_SIZE, of_semantic
from peopleseg.networks.checkpoint import CheckpointError, Loaded
from peopleseg.networks.semantic.pair import DeepLabPair

PAIR = "deeplab_pair"


def _exportable(loaded: Loaded, size: int | None = None) -> Exportable:
    """size: of the square; None for the one that it was trained on, where its checkpoint says."""
    size = loaded.size if size is None else size
    return of_semantic(loaded.network, DEFAULT_SIZE if size is None else size)


def _inputs(source: Source, repository: Path) -> Inputs:
    return ImageInputs(source.exportable.input_shapes["pixels"][-1])


def _together(loaded: Sequence[Loaded]) -> Loaded:
    """Raises CheckpointError for networks of different classes."""
    dims = {"networks": [one.dims for one in loaded]}
    try:
        pair = DeepLabPair(**dims)
    except ValueError as error:
        raise CheckpointError(f"they cannot be one network: {error}") from error
    pair.networks = nn.ModuleList([one.network for one in loaded])
    return Loaded(PAIR, dims, pair.eval(), metrics={}, size=loaded[0].size)


FAMILIES = {
    "deeplab": Family(
        _exportable, _inputs, labelled_images, semantic_accuracy, ("size",), _together
    ),
    PAIR: Family(_exportable, _inputs, labelled_images, semantic_accuracy, ("size",)),
}
NOT_THEIRS = {"size": "a {family} reads squares of 640 pixels alone; leave out --size"}
