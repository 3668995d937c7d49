"""Checkpoints measured on annotated images, and compared."""

import glob
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peopleseg.cli.output import require_separate
from peopleseg.errors import WrongUsage
from peopleseg.labels.files import write_json, write_png
from peopleseg.networks.checkpoint import CheckpointError, Loaded, load_network
from peopleseg.pixels.image_files import result_paths, unique
from training.data.images import Skipped
from training.device import device_of
from training.validation.command import Options
from training.validation.leak import refuse_seen, seen
from training.validation.part import Measured, Part, Row
from training.validation.parts import PARTS, part_reading
from training.validation.table import table

Failed = list[dict[str, str]]  # name and reason of each
TOGETHER = " + "  # between the names of checkpoints that are measured as one


def run(args: Options) -> int:
    """Measure and report. Returns 1 when a checkpoint failed. Raises PeoplesegError."""
    device = device_of(args)
    checkpoints = unique(_named(args.checkpoints))
    if args.json:
        require_separate([("CHECKPOINTS", one) for one in checkpoints], [("--json", args.json)])
    part = part_reading(args.annotations)
    _refuse_options_of_others(part, args)
    complete = part.completing(args)
    images, skipped = part.load(args.annotations, args.images, args.limit)
    work = Measuring(part, images, complete, device, args)
    rows, failed = work.all(checkpoints)
    if rows:
        print(table(rows), *_below(part, rows), sep="\n\n")
    if args.json:
        write_json(args.json, work.report(rows, failed, skipped))
    return 1 if failed else 0


def matching(pattern: str) -> list[Path]:
    """The files of a pattern, sorted; a path without * ? [ stands for itself, there or not."""
    if not glob.has_magic(pattern) or Path(pattern).exists():
        return [Path(pattern)]
    return [Path(path) for path in sorted(glob.glob(pattern, recursive=True))]


@dataclass(frozen=True)
class Measuring:
    """Checkpoints measured by one part on the same images."""

    part: Part
    images: Sequence[Any]
    complete: Callable[[Loaded], Loaded]
    device: str
    args: Options

    def all(self, checkpoints: Sequence[Path]) -> tuple[list[Row], Failed]:
        """The measured checkpoints, and the others."""
        rows: list[Row] = []
        failed: Failed = []
        several: list[Loaded] = []
        sheets = result_paths(checkpoints, self.args.sheets or Path())
        for checkpoint, sheet in zip(checkpoints, sheets, strict=True):
            try:
                loaded = self.load(checkpoint)
                rows.append(self.row(str(checkpoint), loaded, sheet))
                several += [loaded] if self.args.together else []
            except (CheckpointError, OSError, ValueError) as error:
                failed.append(_failure(str(checkpoint), error))
        if self.args.together:
            name = TOGETHER.join(map(str, checkpoints))
            try:
                rows.append(self.row(name, self.part.together(several), sheets[0].parent / _SHEET))
            except ValueError as error:
                failed.append(_failure(name, error))
        return rows, failed

    def load(self, checkpoint: Path) -> Loaded:
        """Raises CheckpointError; Unmeasurable, Leak for what is not to be measured here."""
        loaded = load_network(checkpoint)
        self.part.require(loaded.family, self.args.annotations)
        if not self.args.leak_ok:
            refuse_seen(self._seen(loaded), len(self.images))
        return self.complete(loaded)

    def row(self, name: str, loaded: Loaded, sheet: Path) -> Row:
        """One network's metrics, and its pictures where they are asked for."""
        print(f"{name} ({loaded.family})", file=sys.stderr)
        size = self.args.size
        measured = self.part.evaluate(loaded, self.images, device=self.device, size=size)
        if self.args.sheets:
            self._draw(loaded, measured, sheet)
        count = len(self._seen(loaded))
        return Row(name, loaded.family, loaded.epoch, measured.metrics, measured.behind, count)

    def report(
        self, rows: Sequence[Row], failed: Failed, skipped: Sequence[Skipped]
    ) -> dict[str, Any]:
        return {
            "annotations": self.args.annotations.name,
            **self.part.described(self.images),
            "skipped": [{"file": str(one.path), "reason": one.reason} for one in skipped],
            "checkpoints": [self._reported(row) for row in rows],
            "failed": failed,
        }

    def _seen(self, loaded: Loaded) -> list[str]:
        return seen(loaded, (image.path for image in self.images))

    def _draw(self, loaded: Loaded, measured: Measured, sheet: Path) -> None:
        pictures = self.part.pictures(loaded, self.images, measured, size=self.args.size)
        for ending, picture in pictures.items():
            write_png(sheet.with_stem(sheet.stem + ending), picture)

    def _reported(self, row: Row) -> dict[str, Any]:
        return {
            "checkpoint": row.checkpoint,
            "family": row.family,
            "epoch": row.epoch,
            "metrics": _known(row.metrics),
            **self.part.reported(row.behind),
            **({"trained_on_of_these_images": row.seen} if row.seen else {}),
        }


_SHEET = "together.png"


def _named(patterns: Sequence[str]) -> list[Path]:
    checkpoints: list[Path] = []
    for pattern in patterns:
        found = matching(pattern)
        if not found:
            raise WrongUsage(f"no file matches {pattern}; name a checkpoint")
        checkpoints += found
    return checkpoints


def _refuse_options_of_others(part: Part, args: Options) -> None:
    for other in PARTS:
        for option in other.own_options if other is not part else ():
            if getattr(args, option):
                raise WrongUsage(
                    f"--{option} is for networks that are measured on {other.annotations}; leave "
                    f"it out, as {args.annotations} holds {part.annotations}"
                )


def _below(part: Part, rows: Sequence[Row]) -> list[str]:
    """What stands under the table."""
    told = [
        f"{row.checkpoint} was trained on {row.seen} of these images, so its metrics say nothing "
        "about others"
        for row in rows
        if row.seen
    ]
    details = part.details(rows)
    return ["\n".join(told)] * bool(told) + [details] * bool(details)


def _failure(name: str, error: Exception) -> dict[str, str]:
    print(f"peopleseg: {name}: {error}", file=sys.stderr)
    return {"checkpoint": name, "reason": str(error)}


def _known(metrics: Any) -> dict[str, float | None]:
    """JSON has no NaN."""
    return {name: None if math.isnan(value) else value for name, value in metrics.items()}
