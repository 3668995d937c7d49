"""Write docs/accuracy.md, with its plots, from what is in benchmarks/results.

  make evaluate DATA=data/people OUT=out
  python -m benchmarks.accuracy_page --take out
  python -m serving.demo evaluate --images data/more/voc --annotations runs/voc_test.json \\
      --json held_out/accuracy.json --report held_out/report
  python -m benchmarks.accuracy_page --take-held-out held_out

The first measures; the second takes over its metrics and its report, of which the images stay where
they are, and writes the page. The others do the same for images that are new to the detector.
Without options the page is written anew from what is there. Its words are in accuracy_page.md.
"""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from benchmarks.speed.errors import BenchError
from benchmarks.training_table import table
from peopleseg.cli.application import run_program
from peopleseg.cli.options import Help
from peopleseg.labels.files import write_atomically, write_json
from peopleseg.repository.manifest import ArtifactError, StepManifest, read_manifest
from peopleseg.systems.people.evaluation.page import METRICS, as_table, sections, shown
from peopleseg.systems.people.evaluation.plots import draw
from peopleseg.systems.people.evaluation.writing import NUMBERS
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.wiring import serving_versions

ROOT = Path(__file__).parents[1]
RESULTS = Path("benchmarks") / "results"
METRICS_FILE, REPORT_FOLDER = "accuracy.json", "accuracy"
CURVES = "learning_curve_*.json"
OTHER_RELEASES = "accuracy_*.json"  # metrics of each, by its name
HELD_OUT_FILE, HELD_OUT = "held_out.json", ("box_ap", "box_ap50")  # its metrics
DATA_COLUMNS = ("images", "without_people", "people", "people_with_mask", "crowds")
PAGE = Path("docs") / "accuracy.md"
TEMPLATE = Path(__file__).with_suffix(".md")  # the page without its numbers
SCRIPT = "training/default_weights.sh"
POSTPROCESS, CHOSEN = "postprocess", ("min_score", "mask_shift")  # of its settings
SAME_TIME = ("from_nothing", "mask_rcnn")  # of the training table: ours and Mask R-CNN

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Options:
    take: Annotated[Path | None, Help("folder that make evaluate has written")] = None
    take_held_out: Annotated[Path | None, Help("the same, of images held out")] = None


def run(args: Options) -> int:
    """Raises BenchError where a result is missing or cannot be read."""
    try:
        if args.take:
            take(args.take, ROOT)
        if args.take_held_out:
            take_held_out(args.take_held_out, ROOT)
        write(ROOT)
    except (ArtifactError, OSError, ValueError) as error:
        raise BenchError(f"{error}; measure first, see --help") from error
    print(f"written: {ROOT / PAGE}")
    return 0


def take(measured: Path, root: Path) -> None:
    """The numbers of a `make evaluate OUT=measured`. Raises ValueError if images failed in it."""
    results = root / RESULTS
    metrics, report = _measured(measured)
    (results / REPORT_FOLDER).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(report, results / REPORT_FOLDER / NUMBERS)
    shutil.copyfile(metrics, results / METRICS_FILE)


def take_held_out(measured: Path, root: Path) -> None:
    """The metrics of boxes, and of images without people. Raises ValueError as `take`."""
    metrics, report = (json.loads(file.read_text()) for file in _measured(measured))
    kept = {name: metrics[name] for name in ("annotations", "images", "people", *HELD_OUT)}
    write_json(root / RESULTS / HELD_OUT_FILE, kept | {"nobody": report["nobody"]})


def _measured(folder: Path) -> tuple[Path, Path]:
    """The metrics and the report of `make evaluate OUT=folder`."""
    metrics, report = folder / METRICS_FILE, folder / "report" / NUMBERS
    if failed := json.loads(metrics.read_text())["failed"]:
        raise ValueError(f"{metrics} has {len(failed)} images that failed; all must be measured")
    return metrics, report


def write(root: Path) -> None:
    """The page and its plots, of the results below `root`. Raises OSError and ValueError."""
    folder = root / RESULTS / REPORT_FOLDER
    draw(json.loads((folder / NUMBERS).read_text()), folder)
    write_atomically(root / PAGE, page(root).encode())


def page(root: Path) -> str:
    """The whole page, of the results below `root`. Raises OSError and ValueError."""
    numbers, held_out = read(root, f"{REPORT_FOLDER}/{NUMBERS}"), read(root, HELD_OUT_FILE)
    training, peers = read(root, "training_table.json"), read(root, "peers_accuracy.json")
    curves = {file.stem: json.loads(file.read_text()) for file in _results(root, CURVES)}
    return TEMPLATE.read_text().format(
        chosen=", ".join(_chosen(root)),
        sections="\n\n".join(sections(numbers, f"../{RESULTS.as_posix()}/{REPORT_FOLDER}/")),
        held_out=held_out,
        nobody=held_out["nobody"],
        beside=_beside(numbers, _other_releases(root), peers, training["runs"]),
        peer_commands="\n".join(_peer_command(name, one) for name, one in peers.items()),
        ways=table(training),
        data_sets=_data_sets(read(root, "training_data.json")),
        curves=_curves(curves),
        curve_commands="\n".join(_curve_command(stem, one) for stem, one in curves.items()),
    )


def read(root: Path, name: str) -> Json:
    """A result. Raises OSError and ValueError."""
    return json.loads((root / RESULTS / name).read_text())


def shell(*commands: str) -> str:
    """Commands as Markdown."""
    return "\n".join(("```sh", *commands, "```"))


def _results(root: Path, pattern: str) -> list[Path]:
    return sorted((root / RESULTS).glob(pattern))


def _chosen(root: Path) -> list[str]:
    """What the validation images have chosen of the settings that serve."""
    repository = root / "model_repository"
    version = serving_versions(repository, PEOPLE)[POSTPROCESS]
    manifest = read_manifest(repository / POSTPROCESS / str(version))
    assert isinstance(manifest, StepManifest)
    return [f"`{name}` ({manifest.settings[name]})" for name in CHOSEN]


def _beside(numbers: Json, others: Json, peers: Json, runs: Json) -> str:
    """Ours, published detectors, and what learned for the same time as ours from nothing."""
    rows: list[tuple[str, str, Json]] = [("ours", "the default weights", numbers["accuracy"])]
    rows += [(f"ours, `{name}`", "the other release", one) for name, one in others.items()]
    rows += [(f"`{name}`", _published(one), one) for name, one in peers.items()]
    rows += [(f"`{name}`", runs[name]["what"], runs[name]) for name in SAME_TIME if name in runs]
    head = ("", "what", *(f"`{name}`" for name in METRICS))
    cells = [(name, what, *(shown(one.get(key)) for key in METRICS)) for name, what, one in rows]
    return as_table(head, cells)


def _other_releases(root: Path) -> Json:
    """Metrics of the releases that README.md tells how to switch to, by their names."""
    start, end = OTHER_RELEASES.split("*")
    found = {file.name: json.loads(file.read_text()) for file in _results(root, OTHER_RELEASES)}
    return {name.removeprefix(start).removesuffix(end): one for name, one in found.items()}


def _published(peer: Json) -> str:
    return f"published {peer['kind']}, boxes of a score from {peer['least_score']} on"


def _peer_command(name: str, one: Json) -> str:
    return (
        f"python -m benchmarks.peers.accuracy {one['kind']} {name} --images data/people/val "
        f"--annotations data/people/{one['annotations']} "
        f"--json {RESULTS.as_posix()}/peers_accuracy.json"
    )


def _data_sets(data: Json) -> str:
    head = ("data set", *(name.replace("_", " ") for name in DATA_COLUMNS))
    return as_table(
        head, [(f"`{name}`", *(row[key] for key in DATA_COLUMNS)) for name, row in data.items()]
    )


def _curves(curves: Json) -> str:
    rows = [
        (name, f"[`{curve['metric']}`](../{RESULTS.as_posix()}/{stem}.png)", *_course(run))
        for stem, curve in curves.items()
        for name, run in curve["runs"].items()
    ]
    head = ("run", "metric", "epochs", "hours", "reached", "predicted at twice the epochs")
    return as_table(head, rows)


def _course(run: Json) -> tuple[Any, ...]:
    predicted = shown(run.get("predicted_at_twice_the_epochs"))
    return run["epochs"], shown(run["hours"], 1), shown(run["reached"]), predicted


def _curve_command(stem: str, curve: Json) -> str:
    runs = " ".join(f"runs/{name}" for name in curve["runs"])
    target = "" if curve["target"] is None else f" --target {curve['target']}"
    files = f"--json {RESULTS.as_posix()}/{stem}.json --png {RESULTS.as_posix()}/{stem}.png"
    return f"python -m benchmarks.learning_curve {runs} --metric {curve['metric']}{target} {files}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run as a program; the exit code."""
    return run_program(sys.modules[__name__], argv)


if __name__ == "__main__":
    sys.exit(main())
