"""The images that tests use: real photos where they are at hand, or else made-up ones."""

import os
from pathlib import Path

from training.data.generated import people_image, write_image, write_images

__all__ = ["data_set", "people_image", "real_photos", "write_data_set", "write_image"]

REPOSITORY = Path(__file__).parents[2]


def real_photos() -> tuple[Path, Path] | None:
    """Images folder and annotations of the real validation photos, where they are at hand."""
    beside = REPOSITORY.parent / "shared" / "data" / "people"
    people = Path(os.environ.get("PEOPLESEG_DATA", beside))
    images, annotations = people / "val", people / "person_val.json"
    return (images, annotations) if images.is_dir() and annotations.is_file() else None


def write_data_set(folder: Path, *, count: int = 6, seed: int = 0) -> tuple[Path, Path]:
    """Write `count` PNGs, the first without people. Returns images folder and annotations."""
    counts = [None if i else 0 for i in range(count)]
    return write_images(folder / "images", folder / "people.json", counts, seed)


def data_set(folder: Path) -> tuple[Path, Path]:
    """The real photos where they are at hand, or else made-up ones, written to `folder`."""
    return real_photos() or write_data_set(folder)
