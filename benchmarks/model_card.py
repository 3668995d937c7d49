"""Write docs/models: a card of each network that the repository's ensembles serve.

  python -m benchmarks.model_card

What a card says comes from the version's manifest, from the metrics and the report of
`make evaluate` in benchmarks/results, and, for what no file knows, from CARDS
below; its other words are in model_card.md.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.accuracy_page import METRICS_FILE, REPORT_FOLDER, ROOT, SCRIPT, read, shell
from benchmarks.speed.errors import BenchError
from peopleseg.cli.application import run_program
from peopleseg.labels.files import write_atomically
from peopleseg.pixels.geometry import INPUT_SIZE
from peopleseg.repository.manifest import Manifest, read_manifest
from peopleseg.systems.people.evaluation.page import as_table, shown
from peopleseg.systems.people.evaluation.writing import NUMBERS
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.wiring import serving_versions

FOLDER = Path("docs") / "models"
CONFIGS = Path("training") / "configs"
TEMPLATE = Path(__file__).with_suffix(".md")  # a card without its network

Json = dict[str, Any]


class Card(NamedTuple):
    """What stands in no file."""

    what: str
    use: str
    limits: str  # {side}: what the network sees, in pixels
    metrics: tuple[str, ...]  # of accuracy.json: those that the network decides
    config: str  # the YAML's name, before its variant
    companions: tuple[str, ...] = ()  # networks that it is trained beside


ROLES = {"yolov9": "detector", "people_unet": "people_unet"}  # of companions, as options
_LOOKALIKES = "Statues, posters and reflections may pass for people."
CARDS = {
    "yolov9": Card(
        "A detector: the box and score of every person, and features for the mask head.",
        "Finding people in photos, as the first step of `person_segmentation`.",
        f"{_LOOKALIKES} It sees the image at {{side}} pixels a side: people of few pixels there "
        "are missed.",
        ("box_ap", "box_ap50"),
        "yolov9",
    ),
    "people_unet": Card(
        "A segmentation network: for every pixel, whether it shows a person.",
        "The foreground of photos (`people_foreground`), and a hint for the mask head.",
        f"{_LOOKALIKES} It does not tell people apart.",
        ("foreground_miou",),
        "people_unet",
    ),
    "hierarchical_head": Card(
        "A mask head: within a box, which pixels are the box's person, another's or nobody's.",
        "Masks of people in boxes: those found, or those that a caller brings.",
        "It masks whoever fills the box most: a box that is off gives a mask that is off. Fine "
        "outlines, as of fingers and hair, are coarser than its grid over the box.",
        ("roi_miou", "mask_ap", "mask_ap50"),
        "hierarchical",
        ("yolov9", "people_unet"),
    ),
    "feature_head": Card(
        "A mask head that reads the detector's features alone.",
        "Masks of people where a second network costs too much.",
        "Coarser outlines than those of a head that reads the image.",
        (),
        "feature_head",
        ("yolov9",),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """None."""


def run(args: Options) -> int:
    """Raises ArtifactError, OSError and BenchError for what is missing or cannot be read."""
    try:
        for name, text in cards(ROOT).items():
            write_atomically(ROOT / FOLDER / f"{name}.md", text.encode())
            print(f"written: {ROOT / FOLDER / name}.md")
    except ValueError as error:
        raise BenchError(str(error)) from error
    return 0


def cards(root: Path) -> dict[str, str]:
    """The card of each network that serves, by its model's name.

    Raises ArtifactError, OSError, and ValueError.
    """
    accuracy = read(root, METRICS_FILE)
    numbers = read(root, f"{REPORT_FOLDER}/{NUMBERS}")
    served = _networks(root / "model_repository")
    return {name: _card(name, served, accuracy, numbers) for name in served}


class Served(NamedTuple):
    """A network's version."""

    version: int
    manifest: Manifest

    @property
    def imported(self) -> bool:
        """Whether it is somebody else's file, with another graph around it."""
        return "decoder" in self.manifest.variant

    @property
    def side(self) -> int:
        """Of the squares that a detector sees the image in, pixels."""
        return int(self.manifest.variant.get("input_size", INPUT_SIZE))

    @property
    def licence(self) -> str:
        """Of the weights."""
        return asdict(self.manifest).get("weights_licence") or "Apache-2.0, as the project's"

    @property
    def config(self) -> str:
        """Name of the YAML that trains this variant. Raises ValueError if there is none."""
        model, variant = self.manifest.model, self.manifest.variant["variant"]
        name = f"{CARDS[model].config}_{variant}"
        if not (ROOT / CONFIGS / f"{name}.yaml").is_file():
            raise ValueError(f"{model}: no {CONFIGS / name}.yaml trains its variant {variant}")
        return name

    @property
    def trained(self) -> str:
        """What a head is given that is trained beside it."""
        if self.imported:
            return f"model_repository/{self.manifest.model}/{self.version}"
        return f"runs/{self.config}/best.ckpt"


def _networks(repository: Path) -> dict[str, Served]:
    """Every model that serves and is no Python step."""
    versions = serving_versions(repository, PEOPLE)
    found = {name: read_manifest(repository / name / str(v)) for name, v in versions.items()}
    return {
        name: Served(versions[name], manifest)
        for name, manifest in found.items()
        if isinstance(manifest, Manifest)
    }


def _card(name: str, networks: Mapping[str, Served], accuracy: Json, numbers: Json) -> str:
    card, served = CARDS[name], networks[name]
    missed = (
        f"{row['missed']} of {row['people']} {size} ones" for size, row in numbers["missed"].items()
    )
    return TEMPLATE.read_text().format(
        name=name,
        served=served,
        manifest=served.manifest,
        card=card,
        facts=as_table(("what", "value"), _facts(served)),
        limits=card.limits.format(side=served.side),
        score=numbers["best_f1"][numbers["judged_by"]]["score"],
        missed=", ".join(missed),
        nobody=numbers["nobody"],
        metrics=as_table(("metric", "value", "of"), _metrics(card, served.manifest, accuracy)),
        accuracy=accuracy,
        made=_made(name, networks),
    )


def _facts(served: Served) -> Iterator[tuple[str, str]]:
    manifest = served.manifest
    yield "licence of the weights", served.licence
    yield "settings", ", ".join(f"{name} {value}" for name, value in manifest.variant.items())
    yield "computes in", manifest.precision
    yield "weights stored as", manifest.weights
    yield "file", f"{manifest.artifact}, {manifest.bytes:,} bytes, ONNX opset {manifest.opset}"
    yield "its sha256", f"`{manifest.sha256}`"
    source = "imported file" if served.imported else "checkpoint"
    yield f"sha256 of the {source}", f"`{manifest.checkpoint_sha256}`"


def _metrics(card: Card, manifest: Manifest, accuracy: Json) -> Iterator[tuple[str, ...]]:
    """Through the server, of the checkpoint, and what the precision cost."""
    for name in card.metrics:
        yield f"`{name}`", shown(accuracy[name]), "through the server"
    for name, value in manifest.accuracy.items():
        yield f"`{name}`", shown(value), "before the export"
    if gate := manifest.accuracy_gate:
        for when in ("before", "after"):
            what = f"the graph {when} it was made {manifest.precision}"
            yield f"`{gate['metric']}`", shown(gate[when]), what


def _made(name: str, networks: Mapping[str, Served]) -> str:
    served = networks[name]
    if served.imported:
        decoder = served.manifest.variant["decoder"]
        command = (
            f'peopleseg import-detector FILE.onnx --decoder {decoder} --licence "{served.licence}"'
        )
        return shell(command + _precision(served))
    beside = "".join(
        f" --model.{ROLES[other]} {networks[other].trained}" for other in CARDS[name].companions
    )
    config = f"{CONFIGS.as_posix()}/{served.config}.yaml"
    commands = (
        f"peopleseg train fit --config {config} --data.root data/people{beside}",
        f"peopleseg export {served.trained} --examples data/people/val{_precision(served)}",
    )
    return (
        f"{shell(*commands)}\n\n"
        "This trains the variant from its YAML; with which data sets and in which steps the "
        f"committed weights were trained, [{SCRIPT}](../../{SCRIPT}) says."
    )


def _precision(served: Served) -> str:
    if served.manifest.precision == "fp32":
        return ""
    data = "--images data/people/val --annotations data/people/person_val.json"
    return f" --precision {served.manifest.precision} {data}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run as a program; the exit code."""
    return run_program(sys.modules[__name__], argv)


if __name__ == "__main__":
    sys.exit(main())
