"""Measure the boxes of published detectors, to have their metrics beside ours.

  python -m benchmarks.peers.accuracy nanodet nanodet_g_416.onnx --images val \\
      --annotations person_val.json --json benchmarks/results/peers_accuracy.json

box_ap and box_ap50 are those of `peopleseg evaluate`. Each image is resized to the detector's own
size, at the top left of a black square, and only people count whom the detector itself would
show (least_score). A network that was trained on COCO has seen some of COCO's images. The JSON has
a row for each file name; other rows in it stay as they are.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from peopleseg.cli.application import run_program
from peopleseg.cli.options import POSITIONAL, AnnotatedImagesOptions, FileToWrite, Help
from peopleseg.labels.coco import AnnotatedImage, load_images, require_people
from peopleseg.labels.files import write_json
from peopleseg.pixels.images import decode_image
from peopleseg.repository.manifest import sha256
from peopleseg.systems.people.evaluation.page import shown
from training.teachers import movenet, nanodet
from training.teachers.teacher import Kind, Teacher, open_teacher
from training.validation.people.metrics import BoxAveragePrecision

LEAST_SCORES: dict[Kind, float] = {"nanodet": nanodet.LEAST_SCORE, "movenet": movenet.LEAST_SCORE}


@dataclass(frozen=True, kw_only=True)
class Options(AnnotatedImagesOptions):
    kind: Annotated[Kind, POSITIONAL, Help("of detector")]
    file: Annotated[Path, POSITIONAL, Help("an ONNX file")]
    json: Annotated[FileToWrite, Help("rows, added to if it is there")]


def run(args: Options) -> int:
    """Raises TeacherError, AnnotationError, OSError."""
    detector = open_teacher(args.file, args.kind)
    images = load_images(args.annotations, args.images)
    require_people(images, args.annotations)
    metrics = measure(detector, images)
    row = {
        "kind": args.kind,
        "sha256": sha256(args.file),
        "least_score": LEAST_SCORES[args.kind],
        "annotations": args.annotations.name,
        **metrics,
    }
    print(", ".join(f"{name} {shown(metrics[name], 4)}" for name in ("box_ap", "box_ap50")))
    rows = json.loads(args.json.read_text()) if args.json.is_file() else {}
    write_json(args.json, {**rows, args.file.name: row})
    return 0


def measure(detector: Teacher, images: Sequence[AnnotatedImage]) -> dict[str, Any]:
    """box_ap and box_ap50, and over how many images and people. Raises OSError, InvalidInput."""
    metric = BoxAveragePrecision(images)
    # disable=None: no bar where nobody watches, in a log or a pipe
    for image in tqdm(images, unit="image", disable=None):
        (found,) = detector.people(square(image)[None])
        metric.update(image.id, found.boxes_xyxy, found.scores)
    metrics = metric.compute()
    return {
        "box_ap": float(metrics["box_ap"]),
        "box_ap50": float(metrics["box_ap50"]),
        "images": len(images),
        "people": sum(len(image.people) for image in images),
    }


def square(image: AnnotatedImage) -> Tensor:
    """float32 [3, S, S] RGB in [0, 1]: the image at the top left of black, S its longer side."""
    image_rgb = np.ascontiguousarray(decode_image(image.read()))
    pixels = torch.from_numpy(image_rgb).permute(2, 0, 1).float() / 255
    height, width = pixels.shape[1:]
    side = max(height, width)
    return F.pad(pixels, (0, side - width, 0, side - height))


def main(argv: Sequence[str] | None = None) -> int:
    """Run as a program; the exit code."""
    return run_program(sys.modules[__name__], argv)


if __name__ == "__main__":
    sys.exit(main())
