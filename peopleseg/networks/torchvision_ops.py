"""Let torchvision be imported beside a torch whose build its compiled operators do not fit.

torchvision has no CPU-only wheel beside torch's; with that one its C++ library cannot be loaded,
and `import torchvision` then stops at two operators that it describes but does not find. timm, and
so the UNet's encoder, imports torchvision though it calls none of them.
"""

import torch

_SCHEMAS = ("nms", "qnms")
_library: torch.library.Library | None = None  # an operator lives as long as its library


def declare_missing_ops() -> None:
    """Declare the operators torchvision expects, where its own library does not bring them.

    Calling one still fails: only its signature is declared.
    """
    global _library
    if _library is not None or _operators_load():
        return
    _library = torch.library.Library("torchvision", "FRAGMENT")
    for name in _SCHEMAS:
        _library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def _operators_load() -> bool:
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        return True  # not installed: the importer's own error says so
    libraries = list(Path(spec.origin).parent.glob("_C*.so"))
    try:
        for library in libraries:
            torch.ops.load_library(str(library))
    except OSError:
        return False
    return bool(libraries)
