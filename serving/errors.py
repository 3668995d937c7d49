"""Errors of the embedded server.

ServerError
 +- ServerStartError      it cannot start, or it ended before its models were ready
 |   +- PortInUseError    another process listens on one of its ports
 +- NoAnswer              it refuses a call, or does not answer
 +- GaveUp                it was brought back too often
"""

from peopleseg.errors import PeoplesegError


class ServerError(PeoplesegError, RuntimeError):
    """Base of every error that the embedded server raises."""


class ServerStartError(ServerError):
    """The server cannot start or did not become ready. The message names the cause and the log."""


class PortInUseError(ServerStartError):
    """A port is taken. The message names the port and the option that changes it."""


class NoAnswer(ServerError):
    """Triton refuses a call, or does not answer it in time. The message is Triton's own."""


class GaveUp(ServerError):
    """The server, or one of its steps, fails again and again. The message says which and why."""
