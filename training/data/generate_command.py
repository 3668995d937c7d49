"""Make up a small data set of people-like figures, for first tries without photos.

  peopleseg data-generate --out people --images 40

Written are train/ with person_train.json, and a quarter as many images in val/ with
person_val.json.
"""

from dataclasses import dataclass
from typing import Annotated

from peopleseg.cli.options import Count, FolderToWrite, Help, Whole
from training.data.generated import write_training_data


@dataclass(frozen=True, kw_only=True)
class Options:
    out: Annotated[FolderToWrite, Help("folder to write to")]
    images: Annotated[Count, Help("training images")] = 40
    seed: Annotated[Whole, Help("of the images")] = 0


def run(args: Options) -> int:
    """Write the images and say where they are."""
    for images, annotations in write_training_data(args.out, count=args.images, seed=args.seed):
        print(f"{images}: {len(list(images.iterdir()))} images, annotated in {annotations}")
    return 0
