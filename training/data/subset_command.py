"""Write a smaller COCO file: some of the images, only those with people, no crowds; or split one.

  peopleseg data-subset --annotations person_train.json --out train_100.json --images-count 100
  peopleseg data-subset --annotations person_train.json --out people.json --only-people --no-crowds
  peopleseg data-subset --annotations all.json --images-count 900 --out person_train.json \\
      --rest person_val.json
  peopleseg data-subset --annotations nobody.json --images-count 90 --out nobody_train.json \\
      --rest nobody_val.json --nobody

The images stay where they are. The same seed chooses the same images, and those of a smaller
number are among those of a larger one. Annotations that are broken are named and left out. A set
without people can only be learned from beside others, so that it is an error without --nobody.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from peopleseg.cli.options import Count, FileToWrite, Help, Whole
from peopleseg.errors import WrongUsage
from peopleseg.labels.coco import Labels, load_labels
from peopleseg.labels.files import write_atomically
from training.data.images import DataError
from training.data.subset import rest, subset


@dataclass(frozen=True, kw_only=True)
class Options:
    annotations: Annotated[Path, Help("a COCO file")]
    out: Annotated[FileToWrite, Help("the COCO file to write")]
    rest: Annotated[FileToWrite | None, Help("written: the images left out")] = None
    images_count: Annotated[Count | None, Help("images to take, such as 100 (all)")] = None
    only_people: Annotated[bool, Help("leave out images without a person")] = False
    nobody: Annotated[bool, Help("take a set without people, to use beside others")] = False
    no_crowds: Annotated[bool, Help("leave out crowds' annotations")] = False
    seed: Annotated[Whole, Help("of the choice")] = 0


def run(args: Options) -> int:
    """Write the file and say what is in it. Raises AnnotationError, SameFile, DataError."""
    if args.only_people and args.nobody:
        raise WrongUsage("--only-people and --nobody contradict each other; name one of them")
    labels = load_labels(args.annotations, Path())  # no image is looked at
    part = _part(args, labels)
    _write(args.out, part)
    if args.rest:
        _write(args.rest, rest(labels, part))
    return 0


def _part(args: Options, labels: Labels) -> dict[str, Any]:
    """Raises DataError."""
    part = subset(
        labels,
        images_count=args.images_count,
        only_people=args.only_people,
        no_crowds=args.no_crowds,
        seed=args.seed,
    )
    taken = {image["id"] for image in part["images"]}
    if not args.nobody and not any(one.people for one in labels.images if one.id in taken):
        raise DataError(
            f"{args.annotations} has nobody in the {len(taken)} images to take; name a file with "
            "people, or say --nobody for a set to use beside others"
        )
    return part


def _write(file: Path, data: dict[str, Any]) -> None:
    write_atomically(file, json.dumps(data).encode())
    print(f"{file}: {len(data['images'])} images, {len(data['annotations'])} annotations")
