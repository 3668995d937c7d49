"""Count what is in the data sets that the default weights are trained on.

  python -m benchmarks.training_data data/people/person_train.json data/more/*.json \\
      --json benchmarks/results/training_data.json

Each COCO file is a row under its name: its images, those without people, people, those of them with
a mask, and crowds.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from peopleseg.cli.application import run_program
from peopleseg.cli.options import POSITIONAL, FileToWrite, Help
from peopleseg.labels.coco import load_images
from peopleseg.labels.files import write_json


@dataclass(frozen=True, kw_only=True)
class Options:
    annotations: Annotated[list[Path], POSITIONAL, Help("people in COCO format")]
    json: Annotated[FileToWrite, Help("file for the rows")]


def run(args: Options) -> int:
    """Raises AnnotationError."""
    rows = {file.stem: counts(file) for file in args.annotations}
    write_json(args.json, rows)
    for name, row in rows.items():
        print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in row.items()))
    return 0


def counts(annotations: Path) -> dict[str, int]:
    """Of one COCO file. Raises OSError and ValueError."""
    images = load_images(annotations, annotations.parent)
    return {
        "images": len(images),
        "without_people": sum(not image.annotations for image in images),
        "people": sum(len(image.people) for image in images),
        "people_with_mask": sum(len(image.masked_people) for image in images),
        "crowds": sum(len(image.annotations) - len(image.people) for image in images),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run as a program; the exit code."""
    return run_program(sys.modules[__name__], argv)


if __name__ == "__main__":
    sys.exit(main())
