"""Serve other versions of some models, all of them from one moment on.

  peopleseg release better-head hierarchical_head=2 --why "trained on night images"
  peopleseg release all-new yolov9=3 hierarchical_head=4 --images val --annotations val.json
  peopleseg release for-the-image hierarchical_head=2 --offline

A release covers every ensemble of a system whose steps change; steps that are not named stay as
they are, and so do other systems. It is
checked without the server, measured (on --images and --annotations, else by what the manifests
say), loaded beside what serves, tried, and compared with the same versions in one process. Then all
ensembles change in one call. No request fails meanwhile, and none is answered by two releases.

What fails on the way is refused, and the old release serves on. Interrupted anywhere, even by
kill -9, the same command finishes the job. `peopleseg rollback` takes a release back at once;
`peopleseg status` shows what serves.

Exit code 0 when the release serves, 1 when it is refused or the server cannot be reached, 2 for
wrong usage.
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from conversion.release.operations import release
from conversion.release.options import (
    add_gate_options,
    add_release_options,
    add_system_option,
    place_of,
)
from peopleseg.cli.options import positive
from peopleseg.releases.errors import WrongRelease
from peopleseg.systems.known import STEPS, SYSTEMS, system_named
from peopleseg.systems.system import System


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `peopleseg release`."""
    parser.add_argument("name", metavar="NAME", help="of the release, for example better-head")
    parser.add_argument(
        "changes",
        nargs="+",
        type=change,
        metavar="MODEL=VERSION",
        help=f"what changes; models are {', '.join(STEPS)}",
    )
    add_release_options(parser)
    add_system_option(parser, "where several have all of these models")
    parser.add_argument(
        "--annotations",
        type=Path,
        metavar="FILE",
        help="people of --images in COCO format: the release is measured on them",
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="measure on the first N images")
    add_gate_options(parser)


def run(args: argparse.Namespace) -> int:
    """Release, and print what serves then. Raises ReleaseError."""
    changes = _changes(args.changes)
    with place_of(args, system_for(changes, args.system)) as place:
        record = release(place, args.name, changes, why=args.why, force=args.force)
    swap = f", after {record.swap_ms:g} ms" if record.swap_ms is not None else ""
    where = f"{args.model_repository}, from the next start on" if args.offline else args.url
    print(f"release {record.number} {record.name} serves at {where}{swap}")
    if record.reason:
        print(f"  {record.reason}")
    return 0


def _changes(pairs: Sequence[tuple[str, int]]) -> dict[str, int]:
    changes = dict(pairs)
    if len(changes) < len(pairs):
        named = " ".join(f"{model}={version}" for model, version in pairs)
        raise WrongRelease(f"{named} names a model twice; a release serves one version of each")
    return changes


def system_for(changes: Iterable[str], named: str | None) -> System:
    """The system that has all of these models. Raises WrongRelease where that is not one."""
    if named:
        return system_named(named)
    fitting = [system for system in SYSTEMS if system.steps.keys() >= set(changes)]
    if len(fitting) == 1:
        return fitting[0]
    models = ", ".join(changes)
    if not fitting:
        raise WrongRelease(f"no system has all of {models}; release each system by itself")
    names = " and ".join(system.name for system in fitting)
    raise WrongRelease(f"{names} have {models}; say with --system which is to be released")


def change(text: str) -> tuple[str, int]:
    """argparse type: a model and its version."""
    model, _, version = text.partition("=")
    if model not in STEPS or not version.isdecimal():
        raise argparse.ArgumentTypeError(
            f"{text!r} is not MODEL=VERSION, like hierarchical_head=2; models are "
            f"{', '.join(STEPS)}"
        )
    return model, int(version)
