"""How certain people must be, as an option of commands."""

import argparse

from peopleseg.errors import InvalidInput
from peopleseg.systems.people.selection import requested_min_score


def min_score_of(text: str) -> float:
    """argparse type: a min_score that a request may ask for."""
    try:
        return requested_min_score(float(text))
    except (InvalidInput, ValueError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error
