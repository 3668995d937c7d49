"""The one error that the steps raise for a request they cannot serve."""


class InvalidInput(ValueError):
    """The request's own fault. The message names the value, the expectation and the next step."""
