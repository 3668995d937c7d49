"""Every error that the clients raise.

SegmentationError
├── ServerUnavailable     nobody answers at the address, not in time, or the model is not loaded
├── Overloaded            the request waited too long in the server's queue
├── RequestRejected       the request is at fault; the message names the step and the cause
│   └── InvalidImage      its image is: not an image, damaged, too large, of the wrong dtype
└── ServerError           the server failed; its log has the details
"""

from typing import Any

from peopleseg.errors import PeoplesegError

# The steps' own words: each begins its message with its name and the tensor at fault.
_INVALID_IMAGE = "preprocess: image"
# Triton's own words for a request that its queue dropped.
_OVERLOADED = ("request timeout expired", "maximum queue size")
_UNAVAILABLE = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "NOT_FOUND")
_NO_CONNECTION = "failed to connect"  # gRPC's words for nobody who listens
# A message over the 2 GiB of gRPC is RESOURCE_EXHAUSTED.
_REJECTED = ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED")


_NO_SERVER = "start one with `peopleseg serve`, or name another with its host:port"


class SegmentationError(PeoplesegError):
    """Base of every error that the clients raise."""


class ServerUnavailable(SegmentationError):
    """Nobody answers at the address, or not in time, or the model is not loaded (yet)."""


class Overloaded(SegmentationError):
    """The request waited too long in the server's queue; try again later, or with fewer at once."""


class RequestRejected(SegmentationError):
    """The request is at fault. The message names the step that refused it and the cause."""


class InvalidImage(RequestRejected):
    """The image is at fault: not an image, damaged, too large, of the wrong dtype or shape."""


class ServerError(SegmentationError):
    """The server failed to answer a valid request; its log has the details."""


def translated(error: Any, *, url: str, timeout_s: float) -> SegmentationError:
    """The error of this package for a tritonclient InferenceServerException, by its gRPC status."""
    message = str(error.message())
    status = str(error.status()).removeprefix("StatusCode.")
    if any(words in message.lower() for words in _OVERLOADED):
        return Overloaded(f"{url} has too much to do: {message}")
    if status == "DEADLINE_EXCEEDED":
        return ServerUnavailable(f"no response from {url} within {timeout_s:g} s")
    if status in _UNAVAILABLE:
        hint = f"; {_NO_SERVER}" if _NO_CONNECTION in message.lower() else ""
        return ServerUnavailable(f"{url} is not available: {message}{hint}")
    if status in _REJECTED:
        return (InvalidImage if _INVALID_IMAGE in message else RequestRejected)(message)
    return ServerError(f"{url} failed ({status}): {message}")


def not_ready(url: str, ensemble: str, timeout_s: float, *, answers: bool) -> ServerUnavailable:
    """For a server that had no such ensemble in that time. answers: it is there and says so."""
    if answers:
        cause = f"{url} answers, but has no {ensemble}"
        hint = "release the networks that it takes with `peopleseg release`, or name another server"
    else:
        cause, hint = f"no {ensemble} is ready at {url}", _NO_SERVER
    return ServerUnavailable(f"{cause} after {timeout_s:g} s; {hint}")
