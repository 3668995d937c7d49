"""Options that the commands about releases share, and the place that they mean."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from conversion.gate import MARGIN, Gate, Reference
from conversion.release.operations import Place
from conversion.release.server import LOAD_TIMEOUT_S, ModelControl, admin_headers
from peopleseg.cli.options import Fraction, Help, NotNegative, Positive, RepositoryOption
from peopleseg.cli.server_options import UrlOption
from peopleseg.cli.system_options import SystemName
from peopleseg.errors import InvalidInput
from peopleseg.pixels.image_files import find_images
from peopleseg.pixels.images import prepare_file
from peopleseg.releases.admin_key import VARIABLE
from peopleseg.releases.errors import ControlError, ReleaseError, WrongRelease
from peopleseg.systems.system import System

_LOG = logging.getLogger(__name__)
IMAGES = 3  # of a folder that candidates are asked about


def _can_be_a_key(_: object, key: str | None) -> None:
    try:
        admin_headers(key)
    except ControlError as error:
        raise ValueError(str(error)) from error


@dataclass(frozen=True, kw_only=True)
class ServerOptions(UrlOption):
    admin_key: Annotated[
        str | None,
        Help(
            "NAME:SECRET of a server whose model control is restricted; better in the environment "
            f"variable {VARIABLE}"
        ),
        Parameter(validator=_can_be_a_key),
    ] = None


@dataclass(frozen=True, kw_only=True)
class WaitOption:
    wait: Annotated[NotNegative, Help("seconds, for another release to end")] = 0.0


@dataclass(frozen=True, kw_only=True)
class GateOptions:
    """How much less accurate a release may be."""

    margin: Annotated[
        Fraction, Help("by how much a metric may be worse than that of what serves")
    ] = MARGIN
    force: Annotated[bool, Help("release it although it is less accurate; the record says so")] = (
        False
    )


@dataclass(frozen=True, kw_only=True)
class ReleaseOptions(WaitOption, ServerOptions, RepositoryOption):
    """What `release` and `rollback` have in common."""

    why: Annotated[str, Help("a reason, for the record")] = ""
    system: Annotated[
        SystemName | None, Help("whose releases are meant, where that is not clear")
    ] = None
    images: Annotated[
        Path | None,
        Help(
            f"images on which the new ensembles are tried: a file, or the first {IMAGES} of a "
            "folder (three example images)"
        ),
    ] = None
    offline: Annotated[
        bool, Help("change the model repository alone, for a server that is not running")
    ] = False
    load_timeout_s: Annotated[Positive, Help("for each version to load")] = LOAD_TIMEOUT_S


@contextmanager
def place_of(
    args: ReleaseOptions,
    system: System,
    reference: Reference | None = None,
    margin: float = MARGIN,
) -> Iterator[Place]:
    """The place of a command's options. reference: what a release is measured on.

    Raises WrongRelease, and ReleaseError for a broken image.
    """
    images = [] if args.offline else _images(args.images)  # no server, nobody to ask
    gate = Gate(system, args.model_repository, images, reference, margin)
    if args.offline:
        yield Place(system, args.model_repository, None, gate, _LOG.info, args.wait)
        return
    headers = admin_headers(args.admin_key)
    with ModelControl(args.url, headers=headers, load_timeout_s=args.load_timeout_s) as control:
        yield Place(system, args.model_repository, control, gate, _LOG.info, args.wait)


def _images(path: Path | None) -> list[bytes]:
    if path is None:
        from peopleseg.pixels.examples import example_images

        return [image.read_bytes() for image in example_images()]
    try:
        found = find_images(path, leave_out=path / "out")[:IMAGES]
    except FileNotFoundError as error:
        raise WrongRelease(f"--images {path}: {error}") from error
    return [_whole(image) for image in found]


def _whole(image: Path) -> bytes:
    """The file, which a server will be able to read."""
    try:
        prepare_file(image)
        return image.read_bytes()
    except (InvalidInput, OSError) as error:
        raise ReleaseError(f"--images: {error}; name other images") from error
