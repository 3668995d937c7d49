"""Parts of a whole on a command line."""

import argparse


def fraction(text: str) -> float:
    """An option's number from 0 to 1; for argparse's `type`."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:  # nan too
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value
