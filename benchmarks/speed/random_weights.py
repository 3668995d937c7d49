"""Networks with random weights, and their graphs: any, and the published full-size ones."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peopleseg.repository.cache import cache_folder

if TYPE_CHECKING:  # it brings torch
    from peopleseg.networks.checkpoint import Loaded

CACHE = cache_folder() / "peers"
_PUBLISHED = {"variant": "b0"}
_SETTLED_ON = 2  # images or rois


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
    """The graph of a network as torch's exporter makes it, not rewritten for CPUs."""
    from conversion.export.families import of_network
    from conversion.export.onnx_export import export_onnx

    found = of_network(random_network(family, dims))
    export_onnx(found.module, found.model, path, found.input_shapes)


def random_network(family: str, dims: Mapping[str, Any], size: int | None = None) -> "Loaded":
    """A network in evaluation mode, with norms fitted to what they see. size: as in Loaded.

    With initial ones, values fade from layer to layer, into numbers that CPUs are slow with.
    """
    import torch
    from torch import nn

    from conversion.export.families import of_network
    from conversion.export.inputs import random_cases
    from peopleseg.networks.checkpoint import FAMILIES, Loaded

    torch.manual_seed(0)
    network = FAMILIES[family](**dims).eval()
    exportable = of_network(Loaded(family, dict(dims), network, metrics={}, size=size))
    reference: Any = exportable.reference
    (case,) = random_cases(exportable, [_SETTLED_ON])
    for module in reference.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        reference.train()(
            *(torch.from_numpy(case.inputs[tensor.name]) for tensor in exportable.model.inputs)
        )
    return Loaded(family, dict(dims), reference.eval().network, metrics={}, size=size)
