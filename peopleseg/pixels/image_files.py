"""Which pictures a command line's paths mean, and how each one's result is called."""

from collections.abc import Iterable, Sequence
from pathlib import Path

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def find_pictures(path: Path, *, leave_out: Path) -> list[Path]:
    """A file as it is; a folder's pictures at any depth, by SUFFIXES in any case, sorted.

    What lies in the folder `leave_out` is skipped when that is a part of the folder given: these
    are an earlier run's results. Raises FileNotFoundError for a path that is not there and for a
    folder without pictures.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError("there is no such file or folder")
    results = leave_out.resolve()
    skip = path.resolve() in results.parents
    pictures = sorted(
        file
        for file in path.rglob("*")
        if file.suffix.lower() in SUFFIXES
        and file.is_file()
        and not (skip and results in file.resolve().parents)
    )
    if not pictures:
        raise FileNotFoundError(f"the folder has no pictures ({', '.join(SUFFIXES)})")
    return pictures


def unique(pictures: Iterable[Path]) -> list[Path]:
    """Each file once, in the order of first mention."""
    by_place: dict[Path, Path] = {}
    for picture in pictures:
        by_place.setdefault(picture.resolve(), picture)
    return list(by_place.values())


def result_paths(pictures: Sequence[Path], folder: Path) -> list[Path]:
    """A PNG in `folder` for each picture, called as the picture or with _2, _3, ... behind it.

    No two are the same, also where the file system ignores case, and none is one of the pictures.
    """
    taken = {str(picture.resolve()).casefold() for picture in pictures}
    results = []
    for picture in pictures:
        result, number = folder / f"{picture.stem}.png", 2
        while str(result.resolve()).casefold() in taken:
            result, number = folder / f"{picture.stem}_{number}.png", number + 1
        taken.add(str(result.resolve()).casefold())
        results.append(result)
    return results


def image_ids(pictures: Sequence[Path]) -> list[int]:
    """The numbers that the files are called by, as COCO's are, or else 1, 2, 3, ..."""
    stems = [picture.stem for picture in pictures]
    if all(stem.isascii() and stem.isdigit() for stem in stems):
        numbers = [int(stem) for stem in stems]
        if len(set(numbers)) == len(numbers):
            return numbers
    return list(range(1, len(stems) + 1))
