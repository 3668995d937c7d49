"""Write a smaller COCO file: some of the pictures, only those with people, no crowds; or split one.

  peopleseg data-subset --annotations person_train.json --out train_100.json --images-count 100
  peopleseg data-subset --annotations person_train.json --out people.json --only-people --no-crowds
  peopleseg data-subset --annotations all.json --images-count 900 --out person_train.json \\
      --rest person_val.json

The pictures stay where they are. The same seed chooses the same pictures, and those of a smaller
number are among those of a larger one.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from peopleseg.cli.output_option import file_to_write
from peopleseg.labels.coco_file import person_ids, read_coco
from peopleseg.labels.files import write_atomically
from training.data.subset import has_people, rest, subset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `peopleseg data-subset`."""
    parser.add_argument("--annotations", type=Path, required=True, metavar="FILE", help="COCO file")
    parser.add_argument("--out", type=file_to_write, required=True, metavar="FILE", help="written")
    parser.add_argument(
        "--rest", type=file_to_write, metavar="FILE", help="written: the pictures left out"
    )
    parser.add_argument(
        "--images-count", type=int, metavar="N", help="pictures to take, such as 100 or 500 (all)"
    )
    parser.add_argument(
        "--only-people", action="store_true", help="leave out pictures without a person"
    )
    parser.add_argument("--no-crowds", action="store_true", help="leave out crowds' annotations")
    parser.add_argument("--seed", type=int, default=0, help="of the choice (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Write the file and say what is in it. Returns 1 when the annotations cannot be used."""
    try:
        data = read_coco(args.annotations)
        people = person_ids(data, args.annotations)
        part = subset(
            data,
            people,
            images_count=args.images_count,
            only_people=args.only_people,
            no_crowds=args.no_crowds,
            seed=args.seed,
        )
        if not has_people(part, people):
            raise ValueError(f"{args.annotations} has nobody to take; name a file with people")
    except ValueError as error:  # AnnotationError, or too few pictures
        print(f"peopleseg: {error}", file=sys.stderr)
        return 1
    _write(args.out, part)
    if args.rest:
        _write(args.rest, rest(data, part))
    return 0


def _write(file: Path, data: dict[str, Any]) -> None:
    write_atomically(file, json.dumps(data).encode())
    print(f"{file}: {len(data['images'])} images, {len(data['annotations'])} annotations")
