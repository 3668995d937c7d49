"""Find the neck's map in a detector's graph: what its head reads at stride 8.

A neck goes down and up again (PAN, Liu et al. 2018, arXiv:1803.01534): its map at stride 8 is made
of one at stride 16, and one at stride 16 is made of it. Of the maps that are both, the last is what
the head reads.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from onnx import TensorProto, shape_inference

from conversion.detectors.source import Source
from conversion.export.settings import ExportError

STRIDE = 8


class Map(NamedTuple):
    """A tensor [batch, channels, side, side] of a graph."""

    name: str
    channels: int
    side: int


def choose_map(source: Source, asked: str | None) -> Map:
    """The map asked for, or the neck's. Raises ExportError, naming the candidates, for neither."""
    maps = _maps(source.model)
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
    return _at(STRIDE, source, _maps(source.model))


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


def _maps(model: Any) -> dict[str, Map]:
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    found = {}
    for value in (*graph.value_info, *graph.output):
        kind = value.type.tensor_type
        lengths = [axis.dim_value for axis in kind.shape.dim]
        if kind.elem_type == TensorProto.FLOAT and len(lengths) == 4 and all(lengths[1:]):
            if lengths[2] == lengths[3]:
                found[value.name] = Map(value.name, lengths[1], lengths[2])
    in_order = (name for node in graph.node for name in node.output)
    return {name: found[name] for name in in_order if name in found}


def _listed(source: Source, maps: dict[str, Map]) -> str:
    found = _at(STRIDE, source, maps)
    return ", ".join(f"{one.name} [{one.channels}]" for one in found) or "there is none"
