"""Why a benchmark cannot be run."""

from peopleseg.errors import PeoplesegError, WrongUsage


class BenchError(PeoplesegError):
    """What was asked for cannot be measured. The message says why."""


class MissingTool(BenchError, WrongUsage):
    """Something that the benchmark needs is not installed. The message names it and its source."""
