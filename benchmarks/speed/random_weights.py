"""Graphs of networks with random weights: the published full-size ones, and those of a version."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from conversion.cache import cache_folder

CACHE = cache_folder() / "peers"
_PUBLISHED = {"variant": "b0"}


def published_graph(name: str, cache: Path = CACHE) -> Path:
    """The graph of people_unet or hierarchical_head B0, which the lite ones took the place of.

    Kept in a cache.
    """
    path = cache / f"{name}_b0-torch_{version('torch')}.onnx"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        print(f"exporting {path}", flush=True)
        part = path.with_suffix(".partial")
        write_traced_graph(name, _PUBLISHED, part)
        part.replace(path)
    return path


def write_traced_graph(family: str, dims: Mapping[str, Any], path: Path) -> None:
    """The graph of a network as torch's exporter makes it, not rewritten for processors."""
    import torch

    from conversion.export.exportable import of_network
    from conversion.export.onnx_export import export_onnx
    from training.checkpoint import FAMILIES, Loaded

    torch.manual_seed(0)
    found = of_network(Loaded(family, dict(dims), FAMILIES[family](**dims), metrics={}))
    export_onnx(found.module, found.model, path, found.input_shapes)
