"""Where a command writes to, refused before the work where nothing can be written there.

Folders that are missing are made when something is written.
"""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from peopleseg.errors import WrongUsage


class SameFile(WrongUsage, ValueError):
    """Two options name one file, of which one would be lost; the message names both."""


def require_separate(read: Sequence[tuple[str, Path]], written: Sequence[tuple[str, Path]]) -> None:
    """Raises SameFile where a file to write is one that is read, or written too, by any path.

    read, written: the options, as one types them, and their files.
    """
    for number, (option, path) in enumerate(written):
        for other, file in (*read, *written[:number]):
            if is_one(file, path):
                raise SameFile(f"{option} {path} is the file of {other} {file}; name another")


def require_other_folder(path: Path, out: Path) -> None:
    """Raises WrongUsage where --out is the folder of an image: what is drawn would lie among the
    images, and be taken the next time."""
    folder = path if path.is_dir() else path.parent
    if folder.exists() and is_one(folder, out):
        raise WrongUsage(f"--out {out} is the folder of {path}; name another folder")


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


def report_fault(folder: Path) -> str | None:
    """Why no report can be written into a folder on this machine; None where one can."""
    if find_spec("matplotlib") is None:
        return (
            "a report has plots, which need matplotlib: `pip install matplotlib`, or leave the "
            "option out"
        )
    return folder_fault(folder)


def is_one(path: Path, other: Path) -> bool:
    """Whether two paths mean one file or folder, there or not."""
    if path.exists() and other.exists():
        return path.samefile(other)
    return path.resolve() == other.resolve()
