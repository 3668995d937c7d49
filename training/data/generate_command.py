"""Make up a small data set of people-like metrics, for first tries without photos.

  peopleseg data-generate --out people --images 40

writes people/train with people/person_train.json, and a quarter as many images to people/val with
people/person_val.json.
"""

import argparse

from peopleseg.cli.options import positive
from peopleseg.cli.output import folder_to_write
from training.data.generated import write_training_data


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `peopleseg data-generate`."""
    parser.add_argument(
        "--out", type=folder_to_write, required=True, metavar="DIR", help="folder to write to"
    )
    parser.add_argument(
        "--images", type=positive, default=40, metavar="N", help="training images (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the images (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Write the images and say where they are."""
    for images, annotations in write_training_data(args.out, count=args.images, seed=args.seed):
        print(f"{images}: {len(list(images.iterdir()))} images, annotated in {annotations}")
    return 0
