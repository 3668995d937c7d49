"""Counts on a command line."""

import argparse


def positive(text: str) -> int:
    """An option's whole number from 1 on; for argparse's `type`."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)
