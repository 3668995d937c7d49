"""Ask a peopleseg server who is in an image, and where.

    from peopleseg import SegmentationClient, draw_people

    with SegmentationClient("localhost:8001") as client:
        people = client.segment("photo.jpg")

Names are imported on first use, so that the command line starts without gRPC and OpenCV. Nothing
here imports torch but `peopleseg.networks`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peopleseg.client.asynchronous import AsyncSegmentationClient
    from peopleseg.client.blocking import SegmentationClient
    from peopleseg.client.errors import (
        InvalidImage,
        Overloaded,
        RequestRejected,
        SegmentationError,
        ServerError,
        ServerUnavailable,
    )
    from peopleseg.systems.people.drawing import draw_people
    from peopleseg.systems.people.person import Person

__version__ = "0.1.0"

__all__ = [
    "AsyncSegmentationClient",
    "InvalidImage",
    "Overloaded",
    "Person",
    "RequestRejected",
    "SegmentationClient",
    "SegmentationError",
    "ServerError",
    "ServerUnavailable",
    "draw_people",
]

_MODULES = {
    "AsyncSegmentationClient": "client.asynchronous",
    "Person": "systems.people.person",
    "SegmentationClient": "client.blocking",
    "draw_people": "systems.people.drawing",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'peopleseg' has no attribute {name!r}")
    return getattr(import_module(f"peopleseg.{_MODULES.get(name, 'client.errors')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
