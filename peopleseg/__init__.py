"""Ask a peopleseg server who and what is in an image, and where.

    from peopleseg import SegmentationClient, draw_people

    with SegmentationClient("localhost:8001") as client:
        people = client.segment("photo.jpg")

The public names are those of `peopleseg.surface`, which is imported on first use, so that the
command line starts without gRPC and OpenCV. Nothing here imports torch but `peopleseg.networks`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peopleseg.surface import *  # noqa: F403

__version__ = "0.1.0"

_SURFACE = (
    "peopleseg.surface"  # by its name alone: this file is in the code of every step's version
)


def __getattr__(name: str) -> Any:
    surface = import_module(_SURFACE)
    if name == "__all__" or name in surface.__all__:
        return getattr(surface, name)
    raise AttributeError(f"module 'peopleseg' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *import_module(_SURFACE).__all__})
