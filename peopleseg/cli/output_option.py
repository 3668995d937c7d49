"""Where a command writes to, refused before the work where nothing can be written there.

    parser.add_argument("--json", type=file_to_write)
    parser.add_argument("--out", type=folder_to_write, default="out")

A default has to be text, which argparse then checks as it checks what is given. Folders that are
missing are made when something is written.
"""

import argparse
import os
from pathlib import Path


def file_to_write(text: str) -> Path:
    """argparse type: a file that is not there or is to be replaced."""
    return _checked(Path(text), file_fault(Path(text)))


def folder_to_write(text: str) -> Path:
    """argparse type: a folder, there or not."""
    return _checked(Path(text), folder_fault(Path(text)))


def file_fault(path: Path) -> str | None:
    """Why a file cannot be written; None where it can, by all that is known now."""
    try:
        if path.is_dir():
            return f"{path} is a folder; name a file"
        path.exists()  # raises OSError for a name that is too long
    except OSError as error:
        return f"{path} cannot be written ({error.strerror})"
    return folder_fault(path.parent)


def folder_fault(path: Path) -> str | None:
    """Why nothing can be written into a folder; None where it can, or where it can be made."""
    try:
        there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    except OSError as error:
        return f"{path} cannot be written ({error.strerror})"
    if not there.is_dir():
        return f"{there} is a file, not a folder; name another place"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"{there} cannot be written by this user; name another place"
    return None


def _checked(path: Path, fault: str | None) -> Path:
    if fault:
        raise argparse.ArgumentTypeError(fault)
    return path
