"""Where commands keep what they would otherwise make again."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """The project's folder in the user's cache: $XDG_CACHE_HOME or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "peopleseg"
