"""What a release calls at the end of each stage, with the stage's name."""

from collections.abc import Callable

OnStage = Callable[[str], None]


def silent(stage: str) -> None:
    """For whoever does not want to know."""
