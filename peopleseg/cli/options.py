"""The options of commands: kinds of values, and groups that several commands share.

A command's module has a frozen dataclass `Options`, whose fields are its options, and
`run(args: Options) -> int`:

    @dataclass(frozen=True, kw_only=True)
    class Options(UrlOption):
        paths: Annotated[list[Path], POSITIONAL, Help("an image or a folder")]
        out: Annotated[FolderToWrite, Help("written to")] = Path("out")

A field with a default may be left out. Values are checked when they are parsed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.types import PositiveInt

from peopleseg.cli.output import file_fault, folder_fault
from peopleseg.repository.place import MODEL_REPOSITORY

POSITIONAL = "positional"  # in an option's annotation: it is told by its place, not by a name


def Help(text: str) -> Parameter:  # noqa: N802  (reads as what it makes)
    """What --help says of an option."""
    return Parameter(help=text)


def _can_be_written(fault_of: Callable[[Path], str | None]) -> Parameter:
    def check(_: object, path: Path | None) -> None:
        if path is not None and (fault := fault_of(path)):
            raise ValueError(fault)

    return Parameter(validator=check)


def _in_unit_range(_: object, value: float | None) -> None:
    if value is not None and not 0 <= value <= 1:  # nan too
        raise ValueError(f"{value} is not a number from 0 to 1")


def one_of(names: Iterable[object]) -> Parameter:
    """Of an option whose value, or each of whose values, is one of these."""
    known = tuple(names)

    def check(_: object, value: object) -> None:
        for name in value if isinstance(value, tuple) else (value,):
            if name is not None and name not in known:
                raise ValueError(f"{name} is not one of {', '.join(map(str, known))}")

    return Parameter(validator=check)


FileToWrite = Annotated[Path, _can_be_written(file_fault)]
FolderToWrite = Annotated[Path, _can_be_written(folder_fault)]
Fraction = Annotated[float, Parameter(validator=_in_unit_range)]


@dataclass(frozen=True, kw_only=True)
class RepositoryOption:
    """For commands that read a model repository."""

    model_repository: Annotated[Path, Help("folder of the models")] = MODEL_REPOSITORY


@dataclass(frozen=True, kw_only=True)
class WrittenRepositoryOption:
    """For commands that make versions in a model repository."""

    model_repository: Annotated[FolderToWrite, Help("folder of the models")] = MODEL_REPOSITORY


@dataclass(frozen=True, kw_only=True)
class AnnotatedImagesOptions:
    """For commands that measure on, or learn from, annotated images."""

    images: Annotated[Path, Help("folder of the images")]
    annotations: Annotated[Path, Help("people in COCO format")]


@dataclass(frozen=True, kw_only=True)
class LimitOption:
    limit: Annotated[PositiveInt | None, Help("take the first so many images")] = None
