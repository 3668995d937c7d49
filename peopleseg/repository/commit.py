"""Which state of this repository made something."""

import subprocess
from pathlib import Path


def current_commit() -> str:
    """The commit of the checkout that this code runs from, with -dirty when files differ from it.

    "unknown" where the code is installed and not a checkout, or git is missing.
    """
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (FileNotFoundError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
