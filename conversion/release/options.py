"""Options that the commands about releases share, and the place that they mean."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conversion.gate import MARGIN, Gate, Reference
from conversion.release.operations import Place
from conversion.release.server import LOAD_TIMEOUT_S, ModelControl, admin_headers
from peopleseg.cli.options import add_repository_option
from peopleseg.cli.server_options import add_url_option
from peopleseg.errors import InvalidInput
from peopleseg.pixels.image_files import find_images
from peopleseg.pixels.images import prepare_file
from peopleseg.releases.admin_key import VARIABLE
from peopleseg.releases.errors import ControlError, ReleaseError, WrongRelease
from peopleseg.systems.known import SYSTEMS
from peopleseg.systems.system import System

IMAGES = 3  # of a folder that candidates are asked about


def add_server_options(parser: argparse.ArgumentParser) -> None:
    add_url_option(parser)
    parser.add_argument(
        "--admin-key",
        metavar="NAME:SECRET",
        type=_headers,
        default={},
        help="of a server whose model control is restricted; "
        f"better in the environment variable {VARIABLE}",
    )


def add_wait_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--wait",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="for another release to end (%(default)g)",
    )


def add_release_options(parser: argparse.ArgumentParser) -> None:
    """What `release` and `rollback` have in common."""
    add_repository_option(parser)
    add_server_options(parser)
    parser.add_argument("--why", default="", metavar="TEXT", help="a reason, for the record")
    parser.add_argument(
        "--images",
        type=Path,
        metavar="PATH",
        help=f"images on which the new ensembles are tried: a file, or the first {IMAGES} of a "
        "folder (three example images)",
    )
    parser.add_argument(
        "--offline",
        action="store_true",
        help="change the model repository alone, for a server that is not running",
    )
    add_wait_option(parser)
    parser.add_argument(
        "--load-timeout-s",
        type=float,
        default=LOAD_TIMEOUT_S,
        metavar="SECONDS",
        help="for each version to load (%(default)g)",
    )


def add_gate_options(parser: argparse.ArgumentParser) -> None:
    """How much less accurate a release may be."""
    parser.add_argument(
        "--margin",
        type=float,
        default=MARGIN,
        metavar="X",
        help="by how much a metric may be worse than that of what serves (%(default)g)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="release it although it is less accurate; the record says so",
    )


def add_system_option(parser: argparse.ArgumentParser, when: str) -> None:
    parser.add_argument(
        "--system",
        choices=[system.name for system in SYSTEMS],
        help=f"whose releases are meant, {when}",
    )


@contextmanager
def place_of(args: argparse.Namespace, system: System) -> Iterator[Place]:
    """The place of a command's options.

    Raises WrongRelease, and ReleaseError for a broken image.
    """
    reference = _reference(args)
    images = [] if args.offline else _images(args.images)  # no server, nobody to ask
    gate = Gate(system, args.model_repository, images, reference, _margin(args))
    if args.offline:
        yield Place(system, args.model_repository, None, gate, _say, args.wait)
        return
    headers = args.admin_key or admin_headers()
    with ModelControl(args.url, headers=headers, load_timeout_s=args.load_timeout_s) as control:
        yield Place(system, args.model_repository, control, gate, _say, args.wait)


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


def _reference(args: argparse.Namespace) -> Reference | None:
    if getattr(args, "annotations", None) is None:
        return None
    if args.images is None:
        raise WrongRelease("--annotations needs --images, their folder")
    if not args.annotations.is_file():
        raise WrongRelease(f"--annotations {args.annotations}: there is no such file")
    return Reference(args.images, args.annotations, args.limit)


def _margin(args: argparse.Namespace) -> float:
    return getattr(args, "margin", MARGIN)


def _headers(text: str) -> dict[str, str]:
    try:
        return admin_headers(text)
    except ControlError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _say(stage: str) -> None:
    print(f"  {stage}", file=sys.stderr, flush=True)
