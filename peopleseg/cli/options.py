"""The options of commands: kinds of values, and groups that several commands share.

A command's module has a frozen dataclass `Options`, whose fields are its options, and
`run(args: Options) -> int`:

    @dataclass(frozen=True, kw_only=True)
    class Options(UrlOption):
        paths: Annotated[list[Path], POSITIONAL, Help("an image or a folder")]
        out: Annotated[FolderToWrite, Help("written to")] = Path("out")

A field with a default may be left out. Values are checked when they are parsed.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from cyclopts import Parameter, Token

from peopleseg.cli.output import file_fault, folder_fault
from peopleseg.repository.place import MODEL_REPOSITORY

POSITIONAL = "positional"  # in an option's annotation: it is told by its place, not by a name
WRITTEN = "written"  # in an option's annotation: its file is written, so that it may be no other's


def Help(text: str) -> Parameter:  # noqa: N802  (reads as what it makes)
    """What --help says of an option."""
    return Parameter(help=text)


def checked(fault_of: Callable[[Any], str | None], *, some: bool = False, **more: Any) -> Parameter:
    """Of an option whose value, or each of whose values, has no fault that is said in words.

    some: there has to be one value at least. A default is checked as what is given is.
    """

    def check(_: object, value: object) -> None:
        if some and value == ():
            raise ValueError("expected one value at least")
        for one in value if isinstance(value, tuple) else (value,):
            if one is not None and (fault := fault_of(one)):
                raise ValueError(fault)

    return Parameter(validator=check, **more)


def one_of(names: Iterable[object], *, some: bool = False) -> Parameter:
    """Of an option whose value, or each of whose values, is one of these."""
    known = tuple(names)
    shown = ", ".join(map(str, known))
    if isinstance(names, range):
        shown = f"{names[0]} to {names[-1]}"
    return checked(
        lambda name: None if name in known else f"{name} is not one of {shown}", some=some
    )


def _whole(kind: Any, tokens: Sequence[Token]) -> Any:
    """Whole numbers alone: of 2.4, cyclopts would make 2."""
    for token in tokens:
        if not re.fullmatch(r"[+-]?\d+", token.value):
            raise ValueError(f"{token.value} is not a whole number")
    values = tuple(int(token.value) for token in tokens)
    return values if get_origin(kind) is tuple else values[0]


def whole(least: int, most: int | None = None) -> Parameter:
    """Of a whole number, or of several, within these limits."""
    upto = "on" if most is None else f"to {most}"

    def fault(value: int) -> str | None:
        fits = value >= least and (most is None or value <= most)
        return None if fits else f"{value} is not a whole number from {least} {upto}"

    return checked(fault, some=True, converter=_whole)


def _not_in_unit_range(value: float) -> str | None:
    return None if 0 <= value <= 1 else f"{value} is not a number from 0 to 1"  # nan too


def _not_positive(value: float) -> str | None:
    return None if 0 < value < math.inf else f"{value} is not a number above 0"


def _negative(value: float) -> str | None:
    return None if 0 <= value < math.inf else f"{value} is not a number from 0 on"


Count = Annotated[int, whole(1)]
Counts = Annotated[tuple[int, ...], whole(1)]
Whole = Annotated[int, whole(0)]
Fraction = Annotated[float, checked(_not_in_unit_range)]
Positive = Annotated[float, checked(_not_positive)]
NotNegative = Annotated[float, checked(_negative)]
FileToWrite = Annotated[Path, WRITTEN, checked(file_fault)]
FolderToWrite = Annotated[Path, checked(folder_fault)]


def parts_of(hint: Any) -> Iterator[Any]:
    """What an option's annotation holds beside its types, however deep."""
    for part in get_args(hint):
        if isinstance(part, Parameter | str):
            yield part
        else:
            yield from parts_of(part)


@dataclass(frozen=True, kw_only=True)
class RepositoryOption:
    """For commands that read a model repository."""

    model_repository: Annotated[Path, Help("folder of the models")] = MODEL_REPOSITORY


@dataclass(frozen=True, kw_only=True)
class WrittenRepositoryOption(RepositoryOption):
    """For commands that make versions in a model repository."""

    model_repository: Annotated[FolderToWrite, Help("folder of the models")] = MODEL_REPOSITORY


def elsewhere(args: RepositoryOption) -> str:
    """What a command to type next has to say too, where the models are not in their own place."""
    if args.model_repository == MODEL_REPOSITORY:
        return ""
    return f" --model-repository {args.model_repository}"


@dataclass(frozen=True, kw_only=True)
class AnnotatedImagesOptions:
    """For commands that measure on, or learn from, annotated images."""

    images: Annotated[Path, Help("folder of the images")]
    annotations: Annotated[Path, Help("people in COCO format")]


@dataclass(frozen=True, kw_only=True)
class LimitOption:
    limit: Annotated[Count | None, Help("take the first so many images")] = None
