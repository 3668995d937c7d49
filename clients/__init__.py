"""Ask a peopleseg server who is in a picture, and where.

    from clients import SegmentationClient, draw_people

    with SegmentationClient("localhost:8001") as client:
        people = client.segment("photo.jpg")

Names are imported on first use, so that the command line starts without gRPC and OpenCV.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clients.async_client import AsyncSegmentationClient
    from clients.client import SegmentationClient
    from clients.drawing import draw_people
    from clients.errors import (
        InvalidImage,
        Overloaded,
        RequestRejected,
        SegmentationError,
        ServerError,
        ServerUnavailable,
    )
    from clients.person import Person

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
    "AsyncSegmentationClient": "async_client",
    "Person": "person",
    "SegmentationClient": "client",
    "draw_people": "drawing",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'clients' has no attribute {name!r}")
    return getattr(import_module(f"clients.{_MODULES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
