"""Train networks in several ways for the same time each, and measure what each is worth.

  python -m benchmarks.training_table --data data/people --people-unet unet.ckpt \\
      --detector detector.ckpt --minutes 20 --json benchmarks/results/training_table.json
  python -m benchmarks.training_table --data data/people --sets sets.yaml --teacher nanodet.onnx \\
      --start detector.ckpt --minutes 60 --json benchmarks/results/training_table.json \\
      --only detector_labels detector_all_labels detector_distilled detector_longer

Every run starts from random weights, or a detector from those of --start, trains for the same time
of one CPU core at a constant learning rate with averaged weights, and is measured on the
validation images. A head's detector and people UNet were trained before, but for `from_nothing`:
there all three share the run's time. That is the one to compare with `mask_rcnn`, which trains as a
whole in it. --sets is a YAML of more data sets, as training/README.md shows. Detectors are also
measured on smaller canvases. Runs that the JSON holds already, for the same time and images, are
not repeated; a run that was interrupted begins anew. With OMP_NUM_THREADS=1 two tables can be made
beside each other, into one JSON.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from benchmarks.peers.mask_rcnn import evaluate as mask_rcnn
from benchmarks.peers.mask_rcnn.network import load_mask_rcnn
from benchmarks.peers.mask_rcnn.segmenter import MaskRCNNSegmenter
from peopleseg.cli.application import run_program
from peopleseg.cli.options import POSITIONAL, FileToWrite, FolderToWrite, Help, Positive, one_of
from peopleseg.errors import WrongUsage
from peopleseg.labels.coco import AnnotatedImage
from peopleseg.labels.files import write_json
from peopleseg.networks.checkpoint import Loaded, load_companion, load_network, read_checkpoint
from peopleseg.networks.people.yolov9 import YOLOv9
from peopleseg.systems.people.evaluation.page import as_table
from training.data.images import usable_images
from training.validation.people.evaluation import evaluate
from training.validation.people.metrics import PEOPLE_SEG_MIOU

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "training" / "configs"
HEAD = CONFIGS / "hierarchical_lite.yaml"
MASK_RCNN = ROOT / "benchmarks" / "peers" / "mask_rcnn" / "mask_rcnn_r50_fpn.yaml"
NEEDS_UNET, NEEDS_DETECTOR = "people_unet", "detector"
BOTH = (NEEDS_UNET, NEEDS_DETECTOR)
NEEDS_SETS, NEEDS_TEACHER, NEEDS_START = "sets", "teacher", "start"
TAUGHT = (NEEDS_SETS, NEEDS_TEACHER)
OPTIONS = {  # by what a run needs, how its training is told
    NEEDS_UNET: "--model.people_unet={}",
    NEEDS_DETECTOR: "--model.detector={}",
    NEEDS_SETS: "--config={}",
    NEEDS_TEACHER: "--model.teacher={}",
    NEEDS_START: "--model.start_from={}",
}
CANVASES = (416, 512)  # of detectors, beside 640


class Part(NamedTuple):
    """A frozen network that a run trains itself, before its own."""

    share: float  # of the run's time
    config: Path
    overrides: Sequence[str] = ()
    needs: Sequence[str] = ()


class Run(NamedTuple):
    """One way to train."""

    what: str
    overrides: Sequence[str] = ()  # of the config
    needs: Sequence[str] = BOTH  # the frozen networks that it reads, and other files
    config: Path = HEAD
    times: float = 1.0  # of the minutes that it may take
    parts: Mapping[str, Part] = {}  # of those, the ones that it trains itself, in this order


DETECTOR_PART = Part(
    0.6,
    CONFIGS / "yolov9_t.yaml",
    # views of people as large as whole images of 640 pixels show them
    (
        *("--model.auxiliary=false", "--data.size=320", "--data.mixing.mosaic=0.3"),
        *("--data.augmentation.smallest_scale=1.0", "--data.augmentation.largest_scale=2.4"),
    ),
)
UNET_PART = Part(0.15, CONFIGS / "people_unet_lite.yaml", needs=(NEEDS_DETECTOR,))

WITHOUT_FEATURES = ("--model.reads_features=false",)

RUNS = {
    "fused": Run("RGB, UNet logit and YOLOv9 features"),
    "rgb_and_unet": Run(
        "without the YOLOv9 features, as published",
        WITHOUT_FEATURES,
        (NEEDS_UNET,),
    ),
    "without_unet": Run(
        "without the UNet logit", ("--model.reads_person_logit=false",), (NEEDS_DETECTOR,)
    ),
    "rgb": Run("RGB alone", (*WITHOUT_FEATURES, "--model.reads_person_logit=false"), ()),
    "heavy": Run("heavy augmentation", ("--data.augmentation.strength=heavy",)),
    "distance_aware": Run(
        "distance-aware cross-entropy",
        (
            "--model.loss=training.losses.hierarchical.HierarchicalLoss",
            "--model.loss.distance_aware=true",
        ),
    ),
    "from_nothing": Run(
        "as `fused`; the detector and the UNet too are trained in this time",
        parts={NEEDS_DETECTOR: DETECTOR_PART, NEEDS_UNET: UNET_PART},
    ),
    "mask_rcnn": Run(
        "torchvision's Mask R-CNN R50-FPN, squares of 320 pixels",
        (
            *("--model.image_size=320", "--data.size=320"),
            *("--model.rois_per_image=64", "--data.loader.batch_size=2"),
        ),
        (),
        MASK_RCNN,
    ),
}
STUDENT, UNET = CONFIGS / "yolov9_t_distilled.yaml", CONFIGS / "people_unet_lite0.yaml"
RUNS |= {
    "detector_labels": Run("labels of one set", (), (NEEDS_START,), STUDENT),
    "detector_all_labels": Run("labels of all sets", (), (NEEDS_SETS, NEEDS_START), STUDENT),
    "detector_distilled": Run("taught, on all sets", (), (*TAUGHT, NEEDS_START), STUDENT),
    "detector_longer": Run(
        "taught, for three times as long", (), (*TAUGHT, NEEDS_START), STUDENT, times=3.0
    ),
    "detector_t": Run("taught, from random weights", (), TAUGHT, STUDENT),
    "detector_s": Run("the same, YOLOv9-s", ("--model.variant=s",), TAUGHT, STUDENT),
    "unet_random": Run("people UNet, random encoder", ("--model.encoder_weights=null",), (), UNET),
    "unet_imagenet": Run("people UNet, encoder of ImageNet", (), (), UNET),
}
TIMED = (
    "--model.schedule.name=constant",
    "--model.schedule.warmup_epochs=0.2",
    "--trainer.max_epochs=1000",
    "--trainer.check_val_every_n_epoch=1000",
    "--trainer.num_sanity_val_steps=0",
    "--trainer.callbacks+=training.callbacks.save_at_end.SaveAtEnd",
    "--trainer.callbacks+=training.callbacks.processor_time.StopAfterProcessorTime",
)
SHOWN = (
    *("minutes", "roi_miou", "mask_ap50", "mask_ap", "box_ap50", "box_ap"),
    *(f"box_ap50_{canvas}" for canvas in CANVASES),
    *("foreground_miou", "steps"),
)


@dataclass(frozen=True, kw_only=True)
class Options:
    arguments: Annotated[tuple[str, ...], POSITIONAL, Help("after --, for every training")] = ()
    data: Annotated[Path, Help("folder as `--data.root` takes it")]
    people_unet: Annotated[Path | None, Help("its checkpoint, for mask heads")] = None
    detector: Annotated[Path | None, Help("its checkpoint, for mask heads")] = None
    sets: Annotated[Path | None, Help("YAML of more data sets, for detectors")] = None
    teacher: Annotated[Path | None, Help("a NanoDet in ONNX, for detectors")] = None
    start: Annotated[Path | None, Help("checkpoint from which detectors start")] = None
    minutes: Annotated[Positive, Help("of one CPU core to train each run")] = 20.0
    only: Annotated[tuple[str, ...], one_of(RUNS), Help("some of the runs")] = ()
    out: Annotated[FolderToWrite, Help("folder of the runs")] = Path("runs/training_table")
    json: Annotated[FileToWrite, Help("results, added to if it is there")]


def run(args: Options) -> int:
    if fault := _missing(args):
        raise WrongUsage(fault)
    for name in args.only or RUNS:
        minutes = args.minutes * RUNS[name].times
        asked = {"minutes": minutes, "arguments": list(args.arguments)}
        done = _results(args.json)["runs"].get(name)
        if done and all(done[key] == value for key, value in asked.items()):
            continue
        row = {"what": RUNS[name].what, **asked, **train(name, args)}
        results = _results(args.json)  # again: another table may have added to it meanwhile
        results["runs"][name] = row
        write_json(args.json, results)
    print(table(_results(args.json)))
    return 0


def _missing(args: Options) -> str | None:
    for name in args.only or RUNS:
        run = RUNS[name]
        own = [need for need in run.needs if need not in run.parts]
        for need in (*own, NEEDS_DETECTOR) if run.config == HEAD else own:
            if need not in run.parts and getattr(args, need) is None:
                return f"{name} needs --{need.replace('_', '-')}; give it, or choose with --only"
    return None


def _results(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.is_file() else {"runs": {}}


def train(name: str, args: Options) -> dict[str, Any]:
    """Train one way, and measure. Raises CalledProcessError if it fails."""
    run, out = RUNS[name], args.out / name
    shutil.rmtree(out, ignore_errors=True)
    frozen = {need: getattr(args, need) for need in OPTIONS}
    for need, part in run.parts.items():
        frozen[need] = _fit(part, part.share, out / need, frozen, args)
    share = run.times - sum(part.share for part in run.parts.values())
    end = _fit(run, share, out, frozen, args)
    images, _ = usable_images(args.data / "person_val.json", args.data / "val")
    own = [frozen[need] for need in run.parts]
    return {**measure(run, end, frozen[NEEDS_DETECTOR], own, images), "images": len(images)}


def _fit(
    trained: Run | Part,
    share: float,
    out: Path,
    frozen: Mapping[str, Path],
    args: Options,
) -> Path:
    """Train one network in a process of its own. Returns its checkpoint."""
    companions = [OPTIONS[need].format(frozen[need]) for need in trained.needs]
    command = [sys.executable, "-m", "peopleseg.cli.main", "train", "fit"]
    command += [f"--config={trained.config}"]
    command += [f"--data.root={args.data}", f"--out={out}", *companions, *trained.overrides, *TIMED]
    command += [f"--trainer.callbacks.minutes={share * args.minutes}", *args.arguments]
    subprocess.run(command, check=True)
    return out / "end.ckpt"


def measure(
    run: Run,
    checkpoint: Path,
    detector: Path,
    parts: Sequence[Path],
    images: Sequence[AnnotatedImage],
) -> dict[str, Any]:
    """The metrics; masks' AP in the boxes of `detector`, also for a head that does not read it.

    parts: checkpoints of the networks that the run trained itself; their metrics count too.
    """
    steps = read_checkpoint(checkpoint)["global_step"]
    if run.config == MASK_RCNN:
        metrics = mask_rcnn.evaluate(MaskRCNNSegmenter(load_mask_rcnn(checkpoint)), images)
        # Its best limit: it was not taught a foreground.
        return {**metrics, "foreground_miou": metrics["foreground_miou_best"], "steps": steps}
    loaded = load_network(checkpoint)
    if run.config == HEAD:
        loaded.companions["detector"] = load_companion(detector, "yolov9")
    metrics = evaluate(loaded, images)
    if loaded.family == "yolov9":
        metrics |= _on_smaller_canvases(loaded, images)
    for part in parts:
        metrics |= evaluate(load_network(part), images)
    if PEOPLE_SEG_MIOU in metrics:
        metrics["foreground_miou"] = metrics[PEOPLE_SEG_MIOU]  # on the canvas, else the same
    return {**metrics, "steps": steps}


def _on_smaller_canvases(loaded: Loaded, images: Sequence[AnnotatedImage]) -> dict[str, float]:
    metrics = {}
    for canvas in CANVASES:
        network = YOLOv9(**loaded.dims | {"canvas": canvas}).eval()
        network.load_state_dict(loaded.network.state_dict())
        smaller = replace(loaded, network=network, dims=network.dims)
        metrics[f"box_ap50_{canvas}"] = evaluate(smaller, images)["box_ap50"]
    return metrics


def table(results: dict[str, Any]) -> str:
    """The runs as a Markdown table."""
    rows = [
        (f"`{name}`", row["what"], *(_shown(key, row.get(key)) for key in SHOWN))
        for name, row in results["runs"].items()
    ]
    return as_table(("run", "differs", *SHOWN), rows)


def _shown(key: str, value: float | None) -> str:
    """A metric that the run has not got is left blank."""
    if value is None:
        return ""
    return f"{value:g}" if key in ("minutes", "steps") else f"{value:.3f}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run as a program; the exit code."""
    return run_program(sys.modules[__name__], argv)


if __name__ == "__main__":
    sys.exit(main())
