"""Write docs/accuracy.md, with its plots, from what is in benchmarks/results.

  make evaluate DATA=data/people OUT=out
  python -m benchmarks.accuracy_page --take out
  python -m serving.demo evaluate --images data/more/voc --annotations runs/voc_test.json \\
      --json held_out/accuracy.json --report held_out/report
  python -m benchmarks.accuracy_page --take-held-out held_out

The first measures; the second takes over its metrics and its report, of which the images stay where
they are, and writes the page. The others do the same for images that are new to the detector.
Without options the page is written anew from what is there.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.training_table import table
from peopleseg.labels.files import write_atomically, write_json
from peopleseg.repository.manifest import ArtifactError, StepManifest, read_manifest
from peopleseg.systems.people.evaluation.page import METRICS, as_table, sections, shown
from peopleseg.systems.people.evaluation.plots import draw
from peopleseg.systems.people.evaluation.writing import NUMBERS
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.wiring import serving_versions

ROOT = Path(__file__).parents[1]
COMMAND = "python -m benchmarks.accuracy_page"
RESULTS = Path("benchmarks") / "results"
METRICS_FILE, REPORT_FOLDER = "accuracy.json", "accuracy"
OTHER_RELEASES = "accuracy_*.json"  # metrics of each, by its name
HELD_OUT_FILE, HELD_OUT = "held_out.json", ("box_ap", "box_ap50")  # its metrics
DATA_COLUMNS = ("images", "without_people", "people", "people_with_mask", "crowds")
PAGE = Path("docs") / "accuracy.md"
UP, MODELS = "../", "models"  # from the page to ROOT, and to the cards
DEFINITIONS = "peopleseg/systems/people/evaluation/metrics.py"
SCRIPT = "training/default_weights.sh"
POSTPROCESS, CHOSEN = "postprocess", ("min_score", "mask_shift")  # of its settings
SAME_TIME = ("from_nothing", "mask_rcnn")  # of the training table: ours and Mask R-CNN

Json = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 1 where a result is missing or cannot be read."""
    args = _parser().parse_args(argv)
    try:
        if args.take:
            take(args.take, ROOT)
        if args.take_held_out:
            take_held_out(args.take_held_out, ROOT)
        write(ROOT)
    except (ArtifactError, OSError, ValueError) as error:
        print(f"accuracy_page: {error}; measure first, see --help", file=sys.stderr)
        return 1
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
    numbers = read(root, f"{REPORT_FOLDER}/{NUMBERS}")
    training = read(root, "training_table.json")
    peers = read(root, "peers_accuracy.json")
    parts = [
        f"# Accuracy\n\n{_opening(_chosen(root))}",
        *sections(numbers, f"{UP}{RESULTS.as_posix()}/{REPORT_FOLDER}/"),
        f"## Images that are new to the detector\n\n{_held_out(read(root, HELD_OUT_FILE))}",
        f"## Beside others\n\n{_others(numbers, _other_releases(root), peers, training)}",
        f"## Ways to train\n\n{_training(training)}",
        f"## Train them again\n\n{_again(read(root, 'training_data.json'))}",
        f"## Learning curves\n\n{_curves(root)}",
    ]
    return "\n\n".join(parts) + "\n"


def read(root: Path, name: str) -> Json:
    """A result. Raises OSError and ValueError."""
    return json.loads((root / RESULTS / name).read_text())


def shell(*commands: str) -> str:
    """Commands as Markdown."""
    return "\n".join(("```sh", *commands, "```"))


def _chosen(root: Path) -> str:
    """What the validation images have chosen of the settings that serve."""
    repository = root / "model_repository"
    version = serving_versions(repository, PEOPLE)[POSTPROCESS]
    manifest = read_manifest(repository / POSTPROCESS / str(version))
    assert isinstance(manifest, StepManifest)
    settings = manifest.settings
    named = (f"`{name}` ({settings[name]})" for name in CHOSEN)
    return f"{', '.join(named)} and `score_fit`"


def _opening(chosen: str) -> str:
    commands = ("make evaluate DATA=data/people OUT=out", f"{COMMAND} --take out")
    return (
        "The default weights, measured through the server on the validation images. These also "
        f"chose the checkpoints and, of the settings that serve, {chosen}: expect a little less "
        "on others. The manifests, and so the cards, count regions of crowds among the people; "
        f"here they are none. The metrics are defined in [{DEFINITIONS}]({UP}{DEFINITIONS}), and "
        f"[models]({MODELS}) has a card of each model. This page and its plots are written "
        f"by\n\n{shell(*commands)}"
    )


def _held_out(measured: Json) -> str:
    """Of another set, with boxes alone."""
    nobody = measured["nobody"]
    metrics = " and ".join(f"`{name}` {shown(measured[name])}" for name in HELD_OUT)
    commands = (
        "python -m serving.demo evaluate --images data/more/voc --annotations runs/voc_test.json "
        "--json held_out/accuracy.json --report held_out/report",
        f"{COMMAND} --take-held-out held_out",
    )
    return (
        f"{measured['images']} of Pascal VOC's with {measured['people']} people, who have boxes "
        f"alone: {metrics}. The detector and the people UNet have learned from none of them, nor "
        "has the last training of the mask head; the one before had those with people, with masks "
        "that the head had filled in itself. In "
        f"{nobody['with_somebody']} of {nobody['images']} images in which the annotations have "
        "nobody somebody is found from the score of the best F1 on; some of those show people in "
        f"buses, trams and shops whom nobody annotated.\n\n{shell(*commands)}"
    )


def _others(numbers: Json, others: Json, peers: Json, training: Json) -> str:
    """Ours, published detectors, and what learned for the same time as ours from nothing."""
    rows: list[tuple[str, str, Json]] = [("ours", "the default weights", numbers["accuracy"])]
    rows += [(f"ours, `{name}`", "the other release", one) for name, one in others.items()]
    rows += [(f"`{name}`", _published(one), one) for name, one in peers.items()]
    runs = training["runs"]
    rows += [(f"`{name}`", runs[name]["what"], runs[name]) for name in SAME_TIME if name in runs]
    head = ("", "what", *(f"`{name}`" for name in METRICS))
    cells = [(name, what, *(shown(one.get(key)) for key in METRICS)) for name, what, one in rows]
    commands = [_peer_command(name, one) for name, one in peers.items()]
    return (
        f"{as_table(head, cells)}\n\n"
        "On the same images. They are COCO's, so the published detectors may have learned from "
        "some. NanoDet alone suppresses boxes from another IoU on and keeps its own scores, while "
        "ours are fitted to masks too: so its box metrics differ from ours, of which it is the "
        "detector. `from_nothing` and `mask_rcnn` have learned for the same time, see the next "
        f"table.\n\n{shell(*commands)}"
    )


def _other_releases(root: Path) -> Json:
    """Metrics of the releases that README.md tells how to switch to, by their names."""
    start, end = OTHER_RELEASES.split("*")
    files = sorted((root / RESULTS).glob(OTHER_RELEASES))
    found = {file.name: json.loads(file.read_text()) for file in files}
    return {name.removeprefix(start).removesuffix(end): one for name, one in found.items()}


def _published(peer: Json) -> str:
    return f"published {peer['kind']}, boxes of a score from {peer['least_score']} on"


def _peer_command(name: str, one: Json) -> str:
    return (
        f"python -m benchmarks.peers.accuracy {one['kind']} {name} --images data/people/val "
        f"--annotations data/people/{one['annotations']} "
        f"--json {RESULTS.as_posix()}/peers_accuracy.json"
    )


def _training(training: Json) -> str:
    readme = f"[training/README.md]({UP}training/README.md#what-each-part-is-worth)"
    return (
        f"{table(training)}\n\nMinutes are of one CPU core; {readme} says more, and has the "
        "commands. `box_ap50_416` and `box_ap50_512` are `box_ap50` of a detector that sees the "
        "images at 416 and 512 pixels a side instead of 640."
    )


def _again(data: Json) -> str:
    """From the data to the release."""
    head = ("data set", *(name.replace("_", " ") for name in DATA_COLUMNS))
    rows = [(f"`{name}`", *(row[key] for key in DATA_COLUMNS)) for name, row in data.items()]
    counting = (
        "python -m benchmarks.training_data data/people/person_train.json data/ccp/person_ccp.json "
        "data/more/*.json runs/*_filled.json "
        f"--json {RESULTS.as_posix()}/training_data.json"
    )
    return (
        f"[{SCRIPT}]({UP}{SCRIPT}) has every command, with its data sets and settings; the "
        "YAMLs have the others, and every training the seed 0. It goes on where it was stopped:\n\n"
        f"{shell(f'sh {SCRIPT} data runs')}\n\n{as_table(head, rows)}\n\n"
        "COCO 2017's are `person_train`, `tinycoco`, `coco_negatives` and `coco_val`, of which the "
        "last has one mask an image; `person_ccp` is Clothing Co-Parsing, `pennfudan` Penn-Fudan "
        "pedestrians, `voc` Pascal VOC. None of their images is among the validation images. In "
        "the filled sets a mask head has added masks where it is sure. The detector was trained by "
        f"its publisher, on COCO.\n\n{shell(counting)}"
    )


def _curves(root: Path) -> str:
    found = sorted((root / RESULTS).glob("learning_curve_*.json"))
    curves = {file.stem: json.loads(file.read_text()) for file in found}
    rows = [
        (name, f"[`{curve['metric']}`]({UP}{RESULTS.as_posix()}/{stem}.png)", *_course(run))
        for stem, curve in curves.items()
        for name, run in curve["runs"].items()
    ]
    head = ("run", "metric", "epochs", "hours", "reached", "predicted at twice the epochs")
    commands = [_curve_command(stem, curve) for stem, curve in curves.items()]
    hours = (
        "Hours are of one CPU core, pauses left out. `people_unet` was measured up to the "
        "epoch whose weights are served; the script lets it go on for two more."
    )
    return f"{as_table(head, rows)}\n\n{hours}\n\n{shell(*commands)}"


def _course(run: Json) -> tuple[Any, ...]:
    predicted = shown(run.get("predicted_at_twice_the_epochs"))
    return run["epochs"], shown(run["hours"], 1), shown(run["reached"]), predicted


def _curve_command(stem: str, curve: Json) -> str:
    runs = " ".join(f"runs/{name}" for name in curve["runs"])
    target = "" if curve["target"] is None else f" --target {curve['target']}"
    files = f"--json {RESULTS.as_posix()}/{stem}.json --png {RESULTS.as_posix()}/{stem}.png"
    return f"python -m benchmarks.learning_curve {runs} --metric {curve['metric']}{target} {files}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=COMMAND,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--take", type=Path, metavar="DIR", help="what make evaluate has written")
    parser.add_argument(
        "--take-held-out", type=Path, metavar="DIR", help="the same of images held out"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
