"""Measure a Mask R-CNN checkpoint as `peopleseg evaluate` measures our server.

  python -m benchmarks.peers.mask_rcnn.evaluate runs/mask_rcnn/best.ckpt --images val \\
      --annotations person_val.json --json mask_rcnn.json

The metrics have the definitions of `peopleseg.systems.people.evaluation.metrics`; roi_miou is of
masks predicted for the true boxes. foreground_miou takes people with a score above 0.5;
foreground_miou_best is that of the best of ten such limits on these very images,
foreground_score_best.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from benchmarks.peers.mask_rcnn.network import load_mask_rcnn
from benchmarks.peers.mask_rcnn.segmenter import FOREGROUND_SCORE, MaskRCNNSegmenter, union_of
from peopleseg.cli.application import run_program
from peopleseg.cli.options import POSITIONAL, AnnotatedImagesOptions, FileToWrite, Help, LimitOption
from peopleseg.cli.people import evaluate as people
from peopleseg.labels.coco import AnnotatedImage, load_images, require_people
from peopleseg.labels.files import write_json
from peopleseg.systems.people.evaluation.metrics import Measured, Segmenter, foreground_iou
from training.device import DeviceOption, device_of

FOREGROUND_SCORES = (0.05, 0.1, 0.2, 0.3, 0.4, FOREGROUND_SCORE, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, kw_only=True)
class Options(DeviceOption, LimitOption, AnnotatedImagesOptions):
    checkpoint: Annotated[Path, POSITIONAL, Help("of a Mask R-CNN")]
    json: Annotated[FileToWrite | None, Help("write the metrics here as well")] = None


def run(args: Options) -> int:
    """Measure and report. Returns 1 when an image failed. Raises CheckpointError."""
    network = load_mask_rcnn(args.checkpoint).to(device_of(args))
    images = load_images(args.annotations, args.images)[: args.limit]
    require_people(images, args.annotations)
    report = evaluate(MaskRCNNSegmenter(network), images)
    report |= {"annotations": args.annotations.name, "checkpoint": str(args.checkpoint)}
    print(people.table(report))
    for name in ("foreground_miou_best", "foreground_score_best"):
        print(f"{name:21} {report[name]}")
    if args.json:
        write_json(args.json, report)
    return 1 if report["failed"] else 0


def evaluate(segmenter: Segmenter, images: Sequence[AnnotatedImage]) -> dict[str, Any]:
    """The metrics, the seconds, and `failed`: a list of file and reason."""
    evaluation, accuracy = people.evaluate(segmenter, images, concurrency=1)
    return {**accuracy, **best_foreground(evaluation.measured)}


def best_foreground(measured: Sequence[Measured]) -> dict[str, float | None]:
    """The highest foreground_miou over FOREGROUND_SCORES, and the score that gives it."""
    if not measured:
        return {"foreground_miou_best": None, "foreground_score_best": None}
    mious = {
        score: float(np.mean([_foreground_iou(one, score) for one in measured]))
        for score in FOREGROUND_SCORES
    }
    best = max(mious, key=lambda score: mious[score])
    return {"foreground_miou_best": mious[best], "foreground_score_best": best}


def _foreground_iou(measured: Measured, score: float) -> float:
    rles = [one["segmentation"] for one in measured.found if one["score"] > score]
    image = measured.image
    return foreground_iou(union_of(rles, (image.height, image.width)), image)


def main(argv: Sequence[str] | None = None) -> int:
    """Run as a program; the exit code."""
    return run_program(sys.modules[__name__], argv)


if __name__ == "__main__":
    sys.exit(main())
