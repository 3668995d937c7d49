"""The public names of peopleseg: clients, what they return and raise, and what draws it."""

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
from peopleseg.systems.referring.drawing import draw_found
from peopleseg.systems.referring.found import Found
from peopleseg.systems.semantic.classified import Classified
from peopleseg.systems.semantic.drawing import draw_classes

__all__ = [
    "AsyncSegmentationClient",
    "Classified",
    "Found",
    "InvalidImage",
    "Overloaded",
    "Person",
    "RequestRejected",
    "SegmentationClient",
    "SegmentationError",
    "ServerError",
    "ServerUnavailable",
    "draw_classes",
    "draw_found",
    "draw_people",
]
