"""What a file is instead of what was expected, by its first bytes."""

from pathlib import Path

FIRST_BYTES = 64  # that tell it
_STARTS = {
    b"\x1f\x8b": "is compressed by gzip; run gunzip on it first",
    b"version https://git-lfs": "is a Git LFS pointer; run `git lfs pull` to get the file itself",
}


def mistaken(start: bytes) -> str | None:
    """What is said of a file that begins so, with the next step; None where nothing is known."""
    if not start.strip():
        return "is empty; fetch it again"
    if start.lstrip().startswith(b"<"):
        return "is HTML or XML, such as a page that says why there is no download; fetch it again"
    return next((said for first, said in _STARTS.items() if start.startswith(first)), None)


def mistaken_file(path: Path) -> str | None:
    """The same of a file. Raises OSError."""
    with path.open("rb") as file:
        return mistaken(file.read(FIRST_BYTES))
