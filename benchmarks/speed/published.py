"""The published full-size networks as graphs: those that the lite ones took the place of."""

from importlib.metadata import version
from pathlib import Path

from conversion.cache import cache_folder

CACHE = cache_folder() / "peers"


def published_graph(name: str, cache: Path = CACHE) -> Path:
    """The graph of people_unet or hierarchical_head B0 with random weights; kept in a cache."""
    path = cache / f"{name}_b0-torch_{version('torch')}.onnx"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        import torch

        from conversion.export.exportable import of_mask_head, of_people_unet
        from conversion.export.onnx_export import export_onnx
        from peopleseg.networks.hierarchical import PersonMaskHead
        from peopleseg.networks.people_unet import PeopleUNet

        print(f"exporting {path}", flush=True)
        torch.manual_seed(0)
        found = (
            of_people_unet(PeopleUNet("b0"))
            if name == "people_unet"
            else of_mask_head(PersonMaskHead("b0"))
        )
        part = path.with_suffix(".partial")
        export_onnx(found.module, found.model, part, found.input_shapes)
        part.replace(path)
    return path
