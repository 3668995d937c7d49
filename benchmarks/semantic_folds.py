"""Cross-validate ways to train the semantic networks: each image is measured by a network that has
not seen it.

  python -m benchmarks.semantic_folds --images people/train people/val \\
      --annotations labels/train labels/val --json benchmarks/results/semantic_folds_measured.json
  python -m benchmarks.semantic_folds ... --only optimised -- --trainer.max_epochs=40

The images that have a label map, of all folders together, are divided into five folds by
benchmarks/results/semantic_folds.json, or anew where that file is not there. For each row of
benchmarks/semantic_folds.yaml and each fold a network is trained on the others, by the common
trainer and without looking at the fold, and its last weights are measured on the fold at the
images' own sizes. Confusions are summed over the folds. What is done is not repeated, and a
training that was stopped goes on, as long as nothing about it has changed.

miou_enough is the mean IoU of the classes, background included, that at least 20 images have; of
the others nothing is told. The range over folds stands in brackets. Times are of one image on one
thread of the CPU by torch, the networks by turns; bytes are those of the weights in half precision.
"""

import hashlib
import json
import shutil
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import yaml
from torch import nn

from benchmarks.folds import balanced_folds
from benchmarks.speed.errors import BenchError
from peopleseg.cli.application import EXIT_INTERRUPTED, run_program
from peopleseg.cli.options import POSITIONAL, Count, FileToWrite, FolderToWrite, Help
from peopleseg.errors import WrongUsage
from peopleseg.labels.files import write_json
from peopleseg.labels.label_maps import UNKNOWN, LabelledImage, load_labelled
from peopleseg.networks.checkpoint import load_network
from peopleseg.systems.people.evaluation.page import as_table
from peopleseg.systems.semantic.contract import VOC_CLASSES
from peopleseg.systems.semantic.evaluation.metrics import ENOUGH_IMAGES, Confusion
from training import cli
from training.validation.leak import refuse_seen, seen
from training.validation.semantic.evaluation import SIZE, confusion_of

ROOT = Path(__file__).parents[1]
ROWS = ROOT / "benchmarks" / "semantic_folds.yaml"
FOLDS = ROOT / "benchmarks" / "results" / "semantic_folds.json"
COUNT = 5  # folds
BACKGROUND = "background"  # the row of what finds nothing
ROUNDS = 9  # of timing
HALF_BYTES = 2  # of a weight
SHOWN = (
    *("person_iou", "miou_enough", "pixel_accuracy", "boundary_iou"),
    *("milliseconds", "parameters", "bytes"),
)


@dataclass(frozen=True)
class Row:
    """One way to train."""

    what: str
    config: str
    keys: tuple[str, ...] = ()
    start: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Folder:
    """One of the folders that the images come from."""

    images: Path
    annotations: Path


@dataclass(frozen=True, kw_only=True)
class Options:
    arguments: Annotated[tuple[str, ...], POSITIONAL, Help("after --, for every training")] = ()
    images: Annotated[tuple[Path, ...], Help("folders of images")]
    annotations: Annotated[tuple[Path, ...], Help("of each folder: a folder of label maps")]
    rows: Annotated[Path, Help("YAML of the ways to train")] = ROWS
    folds: Annotated[Path, Help("JSON of the images' names by fold")] = FOLDS
    only: Annotated[tuple[str, ...], Help("some of the rows")] = ()
    size: Annotated[Count, Help("side of the square that the networks see")] = SIZE
    out: Annotated[FolderToWrite, Help("folder of the runs")] = Path("runs/semantic_folds")
    json: Annotated[FileToWrite, Help("results, added to if it is there")]


class Stopped(BenchError):
    """A training was stopped; the next call goes on."""


def run(args: Options) -> int:
    rows = _chosen(args)
    folders = _folders(args)
    by_folder = {folder: load_labelled(folder.annotations, folder.images) for folder in folders}
    folds = _folds(args.folds, _by_name(by_folder))
    results = json.loads(args.json.read_text()) if args.json.is_file() else {"rows": {}}
    results["rows"][BACKGROUND] = _background(by_folder, folds)
    for name, row in rows.items():
        work = Work(row, args.out / name, by_folder, folds, args)
        try:
            results["rows"][name] = work.done()
        except Stopped as stopped:
            print(stopped, file=sys.stderr)
            return EXIT_INTERRUPTED
        write_json(args.json, results)
    for name, measured in _timed(rows, args).items():
        results["rows"][name] |= measured
    write_json(args.json, results)
    print(table(results))
    return 0


@dataclass(frozen=True)
class Work:
    """One row, trained and measured fold by fold in a folder of its own."""

    row: Row
    out: Path
    by_folder: Mapping[Folder, Sequence[LabelledImage]]
    folds: Sequence[Sequence[str]]
    args: Options

    def done(self) -> dict[str, Any]:
        """The row's entry of the results. Raises Stopped, BenchError, Leak."""
        parts = [self.fold(number) for number in range(len(self.folds))]
        return {"what": self.row.what, "asked": self.asked(), **summed(parts)}

    def fold(self, number: int) -> Confusion:
        """What a network that has not seen the fold finds in it."""
        folder, asked = self.out / f"fold_{number}", self.asked() | {"held": self.folds[number]}
        record = folder / "measured.json"
        if record.is_file() and (told := json.loads(record.read_text()))["asked"] == asked:
            return _confusion(told)
        self.train(number, folder, asked)
        loaded = load_network(folder / cli.LAST)
        images = [image for _, held in self.held(number) for image in held]
        refuse_seen(seen(loaded, (image.path for image in images)), len(images))
        measured = confusion_of(loaded.network, loaded.dims["classes"], images, size=self.args.size)
        write_json(record, {"asked": asked, **_told(measured)})
        return measured

    def train(self, number: int, folder: Path, asked: dict[str, Any]) -> None:
        """Begin, or go on where the same training was stopped."""
        begun = folder / "asked.json"
        if not (begun.is_file() and json.loads(begun.read_text()) == asked):
            shutil.rmtree(folder, ignore_errors=True)
        write_json(begun, asked)
        goes_on = ["--ckpt_path=last"] * (folder / cli.LAST).is_file()
        code = cli.run(["fit", *self.arguments(number, folder), *goes_on])
        if code == EXIT_INTERRUPTED:
            raise Stopped(f"{folder} was stopped; the same command goes on")
        if code:
            raise BenchError(f"{folder} failed; what is wrong stands above")

    def arguments(self, number: int, folder: Path) -> list[str]:
        """Of a training into `folder` that does not look at the fold."""
        learned = _data(folder, "learned", self.learned(number))
        held = _data(folder, "held", self.held(number))
        data = {"train": learned[0], "extra": learned[1:], "val": held[0]}
        return [
            f"--config={ROOT / self.row.config}",
            *self.row.keys,
            *(f"--model.{key}={file}" for key, file in (self.row.start or {}).items()),
            *self.args.arguments,
            *(f"--data.{key}={json.dumps(value)}" for key, value in data.items()),
            f"--data.size={self.args.size}",
            *("--trainer.check_val_every_n_epoch=100000", "--trainer.num_sanity_val_steps=0"),
            f"--out={folder}",
        ]

    def learned(self, number: int) -> list[tuple[Folder, list[LabelledImage]]]:
        return self._of(lambda name: name not in self.folds[number])

    def held(self, number: int) -> list[tuple[Folder, list[LabelledImage]]]:
        return self._of(lambda name: name in self.folds[number])

    def _of(self, takes: Any) -> list[tuple[Folder, list[LabelledImage]]]:
        chosen = [
            (folder, [image for image in images if takes(image.name)])
            for folder, images in self.by_folder.items()
        ]
        return [(folder, images) for folder, images in chosen if images]

    def asked(self) -> dict[str, Any]:
        """What the networks depend on, beside the images."""
        start = self.row.start or {}
        return {
            "config": _sha256(ROOT / self.row.config),
            "keys": [*self.row.keys, *self.args.arguments],
            "start": {key: _sha256(Path(file)) for key, file in start.items()},
            "size": self.args.size,
        }


def summed(parts: Sequence[Confusion]) -> dict[str, Any]:
    """The metrics of all folds together, and the range of some over them."""
    total = sum(parts[1:], parts[0])
    names, metrics = list(total.names), total.metrics()
    enough = total.seen_in >= ENOUGH_IMAGES
    person = names.index("person")
    folds = {
        "person_iou": [float(part.ious()[person]) for part in parts],
        "miou_enough": [_mean(part, enough & (part.seen_in > 0)) for part in parts],
    }
    return {
        "person_iou": float(total.ious()[person]),
        "miou_enough": _mean(total, enough),
        **{name: metrics[name] for name in ("pixel_accuracy", "boundary_iou")},
        "folds": folds,
        "iou": {name: float(total.ious()[n]) for n, name in enumerate(names) if enough[n]},
        "too_few_images": {
            name: int(total.seen_in[n]) for n, name in enumerate(names) if not enough[n]
        },
        "images": total.images,
    }


def table(results: dict[str, Any]) -> str:
    """The rows as a Markdown table."""
    rows = [
        (f"`{name}`", row["what"], *(_shown(key, row) for key in SHOWN))
        for name, row in results["rows"].items()
    ]
    return as_table(("row", "differs", *SHOWN), rows)


def _chosen(args: Options) -> dict[str, Row]:
    """Raises WrongUsage."""
    known = yaml.safe_load(args.rows.read_text())
    if unknown := [name for name in args.only if name not in known]:
        raise WrongUsage(f"--only {unknown[0]}: {args.rows} has {', '.join(known)}")
    return {
        name: Row(**entry | {"keys": tuple(entry.get("keys", ()))})
        for name, entry in known.items()
        if name in (args.only or known)
    }


def _folders(args: Options) -> list[Folder]:
    if len(args.images) != len(args.annotations) or not args.images:
        raise WrongUsage(
            f"--images has {len(args.images)} folders, --annotations {len(args.annotations)}; "
            "name as many, in the same order"
        )
    return [Folder(*pair) for pair in zip(args.images, args.annotations, strict=True)]


def _by_name(by_folder: Mapping[Folder, Sequence[LabelledImage]]) -> dict[str, LabelledImage]:
    images = [image for some in by_folder.values() for image in some]
    named = {image.name: image for image in images}
    if len(named) < len(images):
        raise WrongUsage("two folders have an image of the same name; give each its own")
    return named


def _folds(file: Path, images: Mapping[str, LabelledImage]) -> list[list[str]]:
    """The names by fold; divided and written where the file is not there."""
    if not file.is_file():
        classes = {name: _classes(image) for name, image in images.items()}
        write_json(file, {"seed": 0, "folds": balanced_folds(classes, COUNT)})
    folds: list[list[str]] = json.loads(file.read_text())["folds"]
    if sorted(name for fold in folds for name in fold) != sorted(images):
        raise WrongUsage(
            f"{file} has other images than the {len(images)} with a label map; give the folders "
            "that it was made of, or name another file with --folds"
        )
    return folds


def _classes(image: LabelledImage) -> frozenset[int]:
    there = np.unique(image.label_map(len(VOC_CLASSES))).tolist()
    return frozenset(there) - {UNKNOWN}


def _background(
    by_folder: Mapping[Folder, Sequence[LabelledImage]], folds: Sequence[Sequence[str]]
) -> dict[str, Any]:
    images = _by_name(by_folder)
    parts = []
    for fold in folds:
        confusion = Confusion(VOC_CLASSES)
        for name in fold:
            true = images[name].label_map(len(VOC_CLASSES))
            confusion.add(true, np.zeros_like(true))
        parts.append(confusion)
    return {"what": "background everywhere", **summed(parts)}


def _data(
    run: Path, part: str, chosen: Sequence[tuple[Folder, Sequence[LabelledImage]]]
) -> list[dict[str, str]]:
    """Data sets of the trainer's: some of the images of each folder, named in a file."""
    run.mkdir(parents=True, exist_ok=True)
    sets = []
    for number, (folder, images) in enumerate(chosen):
        names = run / f"{part}_{number}.txt"
        names.write_text("".join(f"{image.name}\n" for image in images))
        places = {"images": folder.images, "annotations": folder.annotations, "names": names}
        sets.append({key: str(place) for key, place in places.items()})
    return sets


def _timed(rows: Mapping[str, Row], args: Options) -> dict[str, dict[str, Any]]:
    networks = {name: load_network(args.out / name / "fold_0" / cli.LAST).network for name in rows}
    times = _milliseconds(networks, args.size)
    return {
        name: {
            "milliseconds": times[name],
            "parameters": sum(one.numel() for one in network.parameters()),
            "bytes": HALF_BYTES * sum(one.numel() for one in network.state_dict().values()),
        }
        for name, network in networks.items()
    }


@torch.inference_mode()
def _milliseconds(networks: Mapping[str, nn.Module], size: int) -> dict[str, float]:
    """The median of each, after a first round that warms up."""
    taken: dict[str, list[float]] = {name: [] for name in networks}
    image = torch.rand(1, 3, size, size)
    with _one_thread():
        for _ in range(1 + ROUNDS):
            for name, network in networks.items():
                start = time.perf_counter()
                network(image)
                taken[name].append(1000 * (time.perf_counter() - start))
    return {name: round(statistics.median(times[1:]), 2) for name, times in taken.items()}


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _told(confusion: Confusion) -> dict[str, Any]:
    return {
        "names": list(confusion.names),
        "images": confusion.images,
        "pixels": confusion.pixels.tolist(),
        "boundaries": confusion.boundaries.tolist(),
        "seen_in": confusion.seen_in.tolist(),
    }


def _confusion(told: Mapping[str, Any]) -> Confusion:
    confusion = Confusion(told["names"], told["images"])
    for name in ("pixels", "boundaries", "seen_in"):
        setattr(confusion, name, np.array(told[name], np.int64))
    return confusion


def _mean(confusion: Confusion, chosen: Any) -> float | None:
    return float(confusion.ious()[chosen].mean()) if chosen.any() else None


def _shown(key: str, row: Mapping[str, Any]) -> str:
    value = row.get(key)
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    folds = [one for one in row["folds"].get(key, ()) if one is not None]
    spread = f" ({min(folds):.3f}-{max(folds):.3f})" if folds else ""
    return f"{value:.1f}" if key == "milliseconds" else f"{value:.3f}{spread}"


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def main(argv: Sequence[str] | None = None) -> int:
    """Run as a program; the exit code."""
    return run_program(sys.modules[__name__], argv)


if __name__ == "__main__":
    sys.exit(main())
