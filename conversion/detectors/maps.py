"""Find the neck's map in a detector's graph: what its head reads at stride 8.

A neck goes down and up again (PAN, Liu et al. 2018, arXiv:1803.01534): its map at stride 8 is made
of one at stride 16, and one at stride 16 is made of it. Of the maps that are both, the last is what
the head reads.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from conversion.detectors.batches import Shapes
from conversion.detectors.source import Source, shapes_of
from conversion.export.settings import ExportError

STRIDE = 8


class Map(NamedTuple):
    """A tensor [batch, channels, side, side] of a graph."""

    name: str
    channels: int
    side: int


def choose_map(source: Source, shapes: Shapes, asked: str | None) -> Map:
    """The map asked for, or the neck's. Raises ExportError, naming the candidates, for neither.

    shapes: of the file's tensors, in the graph's order.
    """
    maps = _maps(shapes)
    if asked is not None:
        return _asked(source, maps, asked)
    found = [maps[name] for name in _of_neck(source, maps)]
    if not found:
        raise ExportError(
            f"{source.path}: no map at stride {STRIDE} lies between others at stride "
            f"{2 * STRIDE}, as a neck's does; name one with --features: {_listed(source, maps)}"
        )
    return found[-1]


def candidates(source: Source) -> list[Map]:
    """The maps at stride 8, in the graph's order."""
    return _at(STRIDE, source, _maps(shapes_of(source)))


def _asked(source: Source, maps: dict[str, Map], asked: str) -> Map:
    if asked not in maps:
        raise ExportError(
            f"{source.path} has no map {asked} [batch, channels, side, side]; --features takes one "
            f"of: {_listed(source, maps)}"
        )
    return maps[asked]


def _of_neck(source: Source, maps: dict[str, Map]) -> list[str]:
    nodes = source.model.graph.node
    coarse = {one.name for one in _at(2 * STRIDE, source, maps)}
    below = _reached(coarse, ((node.input, node.output) for node in nodes))
    above = _reached(coarse, ((node.output, node.input) for node in reversed(nodes)))
    return [one.name for one in _at(STRIDE, source, maps) if one.name in below & above]


def _reached(start: Iterable[str], edges: Iterable[tuple[Any, Any]]) -> set[str]:
    """Names that `start` leads to; the edges in an order in which each follows those before."""
    reached = set(start)
    for sources, targets in edges:
        if reached.intersection(sources):
            reached.update(targets)
    return reached


def _at(stride: int, source: Source, maps: dict[str, Map]) -> list[Map]:
    return [one for one in maps.values() if one.side * stride == source.size]


def _maps(shapes: Shapes) -> dict[str, Map]:
    return {
        name: Map(name, shape[1], shape[2])
        for name, shape in shapes.items()
        if len(shape) == 4 and shape[2] == shape[3]
    }


def _listed(source: Source, maps: dict[str, Map]) -> str:
    found = _at(STRIDE, source, maps)
    return ", ".join(f"{one.name} [{one.channels}]" for one in found) or "there is none"
