"""Count what is in the data sets that the default weights are trained on.

  python -m benchmarks.training_data data/people/person_train.json data/more/*.json \\
      --json benchmarks/results/training_data.json

Each COCO file is a row under its name: its images, those without people, people, those of them with
a mask, and crowds.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from peopleseg.cli.output import file_to_write
from peopleseg.labels.coco import load_images
from peopleseg.labels.files import write_json


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 1 when a file cannot be read or is not COCO's."""
    args = _parser().parse_args(argv)
    try:
        rows = {file.stem: counts(file) for file in args.annotations}
    except (OSError, ValueError) as error:
        print(f"training_data: {error}", file=sys.stderr)
        return 1
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training_data",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "annotations", type=Path, nargs="+", metavar="FILE", help="people in COCO format"
    )
    parser.add_argument("--json", type=file_to_write, required=True, metavar="FILE", help="written")
    return parser


if __name__ == "__main__":
    sys.exit(main())
