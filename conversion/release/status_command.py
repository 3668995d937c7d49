"""Show what serves, what is loaded, what is on disk, since when, and with which accuracy.

  peopleseg status
  peopleseg status --json
  peopleseg status --offline

Exit code 0 when the server answers with what is on disk, 1 when it does not, or cannot be reached.
"""

import json
import logging
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from conversion.gate import MANIFESTS
from conversion.release.options import ServerOptions
from conversion.release.server import ModelControl, admin_headers
from conversion.release.status import Status, SystemStatus, status
from peopleseg.cli.options import Help, RepositoryOption
from peopleseg.releases import journal
from peopleseg.releases.journal import Record

_LOG = logging.getLogger(__name__)
_SHOWN = 10  # attempts of the history, the last ones
_REASON = 80  # letters of a reason; --json has all


@dataclass(frozen=True, kw_only=True)
class Options(ServerOptions, RepositoryOption):
    offline: Annotated[bool, Help("do not ask a server")] = False
    json: Annotated[bool, Help("print everything as JSON")] = False


def run(args: Options) -> int:
    """Print the status. Returns 1 when something is not as it should be. Raises ReleaseError."""
    if args.offline:
        found = status(args.model_repository, None)
    else:
        with ModelControl(args.url, headers=admin_headers(args.admin_key)) as control:
            found = status(args.model_repository, control)
    print(json.dumps(found.as_dict(), indent=2) if args.json else text(found))
    for problem in found.problems:
        _LOG.error("%s", problem)
    return 1 if found.problems else 0


def text(found: Status) -> str:
    """A few lines for people."""
    parts = []
    for system in found.systems:
        parts += [*_release_lines(system), "", _steps(system), ""]
    if found.releasing:
        parts += [f"now       {found.releasing} is at work", ""]
    if found.history:
        attempts = [_attempt(record) for record in found.history[-_SHOWN:]]
        head = ("number", "when", "who", "system", "what", "result", "why")
        parts += [_table([head, *attempts])]
    return "\n".join(parts).rstrip()


def _steps(found: SystemStatus) -> str:
    rows = [("step", "release", "server", "loaded", "on disk")]
    for step in found.steps:
        rows.append(
            (
                step.step,
                _shown(step.release),
                _shown(step.serving),
                ", ".join(map(str, step.loaded)) or "-",
                ", ".join(map(str, step.on_disk)) or "-",
            )
        )
    return _table(rows)


def _release_lines(found: SystemStatus) -> list[str]:
    lines = [f"system    {found.system}"]
    release = found.release
    if release is None:
        lines.append("release   none yet; the repository as it came")
    else:
        why = f": {release.why}" if release.why else ""
        forced = " (forced)" if release.forced else ""
        lines.append(f"release   {release.number} {release.name}{why}{forced}")
        lines.append(f"since     {found.since or '-'}, by {found.by or 'nobody on record'}")
    return [*lines, *_accuracy_lines(found)]


def _accuracy_lines(found: SystemStatus) -> list[str]:
    metrics = {name: one for name, one in found.accuracy.items() if isinstance(one, float)}
    if not metrics:
        return ["accuracy  not measured"]
    if found.measured_on != MANIFESTS:
        shown = ", ".join(f"{name} {one:.4f}" for name, one in metrics.items())
        return [f"accuracy  {shown}; on {found.measured_on}"]
    return ["accuracy  by the manifests"] + [
        f"          {one:.4f}  {name}" for name, one in metrics.items()
    ]


def _attempt(record: Record) -> tuple[str, ...]:
    reason = record.reason if record.result != journal.SERVING else record.why
    return (
        str(record.number),
        record.when,
        record.who,
        record.system,
        f"{record.action} {record.name}",
        record.result,
        textwrap.shorten(reason, _REASON, placeholder=" ..."),
    )


def _shown(version: int | None) -> str:
    return "-" if version is None else str(version)


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
