"""Errors whose message is for the one who called: the value, what was expected, the next step."""


class PeoplesegError(Exception):
    """The base of all errors that this project foresees. The command line prints their message."""


class InvalidInput(PeoplesegError, ValueError):
    """A request that the steps cannot serve, by its own fault."""


class WrongUsage(PeoplesegError):
    """A command was asked for what there is not, or its options contradict each other."""
