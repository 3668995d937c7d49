"""Which images a command line's paths mean, and how each one's result is called."""

import itertools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

_LONGEST_NAME = 255  # bytes, on the file systems of Linux
_LONGEST_NUMBER = 15  # digits that every reader of JSON keeps
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
# Of other images, and of files that hold one.
OTHER_SUFFIXES = (
    *(".jfif", ".jpe", ".jp2", ".heic", ".heif", ".hif", ".avif", ".jxl", ".gif", ".tif", ".tiff"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".raw", ".psd", ".svg"),
)
_RESOURCE_FORK = "._"  # how the macOS Finder begins the names of files that describe others


def find_images(path: Path, *, leave_out: Path) -> list[Path]:
    """A file as it is; a folder's images at any depth, by SUFFIXES in any case, sorted.

    What lies in the folder `leave_out` is skipped when that is a part of the folder given: these
    are an earlier run's results. Raises FileNotFoundError for a path that is not there and for a
    folder without images.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError("there is no such file or folder")
    images = [file for file in _files(path, leave_out) if _is_taken(file)]
    if not images:
        raise FileNotFoundError(f"the folder has no images ({', '.join(SUFFIXES)})")
    return images


def find_skipped(path: Path, *, leave_out: Path) -> list[Path]:
    """What `find_images` does not take although its name is that of an image, sorted."""
    if not path.is_dir():
        return []
    known = (*SUFFIXES, *OTHER_SUFFIXES)
    return [
        file
        for file in _files(path, leave_out)
        if file.suffix.lower() in known and not _is_taken(file)
    ]


def _is_taken(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(_RESOURCE_FORK)


def _files(folder: Path, leave_out: Path) -> list[Path]:
    """At any depth, but for those in `leave_out` where that is a part of the folder."""
    results = leave_out.resolve()
    skip = folder.resolve() in results.parents
    return sorted(
        file
        for file in folder.rglob("*")
        if file.is_file() and not (skip and results in file.resolve().parents)
    )


def unique(images: Iterable[Path]) -> list[Path]:
    """Each file once, in the order of first mention."""
    by_place: dict[Path, Path] = {}
    for image in images:
        by_place.setdefault(image.resolve(), image)
    return list(by_place.values())


def result_paths(images: Sequence[Path], folder: Path) -> list[Path]:
    """A PNG in `folder` for each image, called as the image or with _2, _3, ... behind it.

    No two are the same, also where the file system ignores case, and none is one of the images.
    """
    taken = {str(image.resolve()).casefold() for image in images}
    results = []
    for image in images:
        result, number = folder / _named(image.stem, ".png"), 2
        while str(result.resolve()).casefold() in taken:
            result, number = folder / _named(image.stem, f"_{number}.png"), number + 1
        taken.add(str(result.resolve()).casefold())
        results.append(result)
    return results


def _named(stem: str, ending: str) -> str:
    """The stem, shortened where a file system would refuse the name, and the ending."""
    while len(os.fsencode(stem + ending)) > _LONGEST_NAME:
        stem = stem[:-1]
    return stem + ending


def image_ids(images: Sequence[Path]) -> list[int]:
    """The numbers that files are called by, as COCO's are; the others count on from the highest.

    So a file among them with a name of another kind, or with a number twice, changes no other id.
    """
    named = [int(stem) if _is_number(stem := image.stem) else None for image in images]
    highest = max((number for number in named if number is not None), default=0)
    following = itertools.count(highest + 1)
    ids: list[int] = []
    seen: set[int] = set()
    for number in named:
        chosen = next(following) if number is None or number in seen else number
        seen.add(chosen)
        ids.append(chosen)
    return ids


def _is_number(stem: str) -> bool:
    return stem.isascii() and stem.isdigit() and len(stem) <= _LONGEST_NUMBER
