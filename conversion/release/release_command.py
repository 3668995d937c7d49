"""Serve other versions of some models, all of them from one moment on.

  peopleseg release better-head hierarchical_head=2 --why "more night images"
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

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from conversion.gate import Reference
from conversion.release.operations import release
from conversion.release.options import (
    GateOptions,
    ReleaseOptions,
    place_of,
)
from peopleseg.cli.options import POSITIONAL, Count, Help
from peopleseg.releases.errors import WrongRelease
from peopleseg.systems.known import STEPS, SYSTEMS, system_named
from peopleseg.systems.system import System
from peopleseg.systems.wiring import served


@dataclass(frozen=True, kw_only=True)
class Options(GateOptions, ReleaseOptions):
    name: Annotated[str, POSITIONAL, Help("of the release, for example better-head")]
    changes: Annotated[
        tuple[str, ...],
        POSITIONAL,
        Help(f"MODEL=VERSION, what changes; models are {', '.join(STEPS)}"),
    ]
    annotations: Annotated[
        Path | None,
        Help("of --images, people in COCO format or label maps: the release is measured on them"),
    ] = None
    limit: Annotated[Count | None, Help("measure on the first so many images")] = None


def run(args: Options) -> int:
    """Release, and print what serves then. Raises ReleaseError."""
    changes = changes_of(args.changes)
    system = system_for(changes, args.system, args.model_repository)
    with place_of(args, system, _reference(args, system), args.margin) as place:
        record = release(place, args.name, changes, why=args.why, force=args.force)
    swap = f", after {record.swap_ms:g} ms" if record.swap_ms is not None else ""
    where = f"{args.model_repository}, from the next start on" if args.offline else args.url
    print(f"release {record.number} {record.name} serves at {where}{swap}")
    if record.reason:
        print(f"  {record.reason}")
    return 0


def changes_of(pairs: Sequence[str]) -> dict[str, int]:
    """Versions by model, of MODEL=VERSION. Raises WrongRelease."""
    changes = dict(map(_change, pairs))
    if len(changes) < len(pairs):
        raise WrongRelease(
            f"{' '.join(pairs)} names a model twice; a release serves one version of each"
        )
    return changes


def _change(text: str) -> tuple[str, int]:
    model, _, version = text.partition("=")
    if model not in STEPS or not version.isdecimal():
        raise WrongRelease(
            f"{text!r} is not MODEL=VERSION, like hierarchical_head=2; models are "
            f"{', '.join(STEPS)}"
        )
    return model, int(version)


def _reference(args: Options, system: System) -> Reference | None:
    if args.annotations is None:
        return None
    if args.images is None:
        raise WrongRelease("--annotations needs --images, their folder")
    if not args.annotations.exists():
        raise WrongRelease(f"--annotations {args.annotations}: there is no such file or folder")
    return Reference(system, args.images, args.annotations, args.limit)


def system_for(changes: Iterable[str], named: str | None, repository: Path) -> System:
    """The system that has all of these models; of several, the one that serves already.

    Raises WrongRelease where that is not one.
    """
    if named:
        return system_named(named)
    fitting = [system for system in SYSTEMS if system.steps.keys() >= set(changes)]
    if len(fitting) > 1:
        fitting = [one for one in fitting if served(repository, [one])] or fitting
    if len(fitting) == 1:
        return fitting[0]
    models = ", ".join(changes)
    if not fitting:
        raise WrongRelease(f"no system has all of {models}; release each system by itself")
    names = " and ".join(system.name for system in fitting)
    raise WrongRelease(f"{names} have {models}; say with --system which is to be released")
