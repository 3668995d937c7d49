"""What `peopleseg segment` gives to a system's part of it."""

from pathlib import Path
from typing import NamedTuple

RESULTS = "results.json"


class Job(NamedTuple):
    """One image to segment."""

    image: Path
    overlay: Path  # PNG to write
    image_id: int
