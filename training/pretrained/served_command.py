"""Make a checkpoint of a served model, to go on training it (the default weights, for example).

  peopleseg import-served model_repository/yolov9/1 --images photos --out detector.ckpt
  peopleseg import-served model_repository/people_unet/2 --images photos --out unet.ckpt
  peopleseg import-served model_repository/hierarchical_head/2 --images photos --out head.ckpt \\
      --people-unet unet.ckpt --detector detector.ckpt

The artifact computes the same as before; the norms' statistics, which an export folds away, are
measured on pictures like those to train on: a few dozen with people. No annotations are needed.
Of an INT8 version they are the rounded weights: import the one in float where it is there.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from peopleseg.cli.output_option import file_to_write
from peopleseg.cli.positive import positive
from peopleseg.errors import InvalidInput
from peopleseg.networks.checkpoint import (
    FAMILIES,
    CheckpointError,
    load_companion,
    load_detector,
    save_network,
)
from peopleseg.networks.mask_head import MaskHead
from peopleseg.networks.person_segmenter import PersonSegmenter
from peopleseg.networks.yolov9 import YOLOv9
from peopleseg.pixels.geometry import Letterbox
from peopleseg.pixels.image_files import find_pictures
from peopleseg.pixels.images import prepare_file
from peopleseg.repository.manifest import ArtifactError, Manifest
from peopleseg.systems.people.selection import select_people
from training.pretrained.artifact import ArtifactMismatch, load_artifact

BATCH = 4  # pictures
MOST_ROIS = 4  # of each
# The networks that come with weights; of feature_head there are none but published checkpoints.
IMPORTED = ("yolov9", "people_unet", "hierarchical_head")
Prepared = tuple[NDArray[np.uint8], Letterbox]  # pixels (1, 3, 640, 640), where the picture lies


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `peopleseg import-served`."""
    parser.add_argument(
        "version", type=Path, help=f"a version folder of {', '.join(IMPORTED)} in a repository"
    )
    parser.add_argument("--images", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--most", type=positive, default=64, help="pictures to read (default 64)")
    parser.add_argument("--people-unet", type=Path, help="for a head: its UNet's checkpoint")
    parser.add_argument("--detector", type=Path, help="for a head: its detector's checkpoint")
    parser.add_argument("--out", type=file_to_write, required=True, help="the checkpoint to write")


def run(args: argparse.Namespace) -> int:
    """Import one version. Returns 1, and writes nothing, when it cannot be read."""
    try:
        paths = find_pictures(args.images, leave_out=args.version)[: args.most]
        pictures = [prepare_file(path) for path in paths]
        manifest = Manifest.read(args.version)
        manifest.verify(args.version)
        if manifest.model not in IMPORTED:
            raise CheckpointError(
                f"{args.version} is a version of {manifest.model}; expected one of "
                f"{', '.join(IMPORTED)}"
            )
        if "decoder" in manifest.variant:
            raise CheckpointError(
                f"{args.version} came from a published ONNX file, whose layers are not ours to "
                f"train; a mask head learns on it as it is: --model.detector {args.version}"
            )
        network: Any = FAMILIES[manifest.model](**manifest.variant)
        companions = {
            "people_unet": load_companion(args.people_unet, "people_unet"),
            "detector": load_detector(args.detector),
        }
        companions = {name: module for name, module in companions.items() if module is not None}
        if manifest.model == "hierarchical_head" and len(companions) < 2:
            raise CheckpointError("a head needs --people-unet and --detector, imported before it")
        run_on_pictures = _runner(pictures, companions)
        load_artifact(network, args.version / manifest.artifact, run_on_pictures)
    except FileNotFoundError as error:
        print(f"peopleseg: --images {args.images}: {error}", file=sys.stderr)
        return 1
    except (ArtifactError, ArtifactMismatch, CheckpointError, InvalidInput) as error:
        print(f"peopleseg: {error}", file=sys.stderr)
        return 1
    save_network(
        args.out,
        manifest.model,
        network,
        dims=network.dims,
        metrics=manifest.accuracy,
        companions={name: (module, module.dims) for name, module in companions.items()},
    )
    print(
        f"{args.out}: {manifest.model} with {network.dims}, statistics of {len(pictures)} pictures"
    )
    return 0


def _runner(
    pictures: Sequence[Prepared], companions: Mapping[str, Any]
) -> Callable[[nn.Module], None]:
    """Pass all pictures through a network; through a head, the people found in them."""

    def run_on_pictures(network: nn.Module) -> None:
        if not isinstance(network, MaskHead):
            for images, _ in _batches(pictures):
                network(images)
            return
        segmenter = PersonSegmenter(network, **companions)
        for images, letterboxes in _batches(pictures):
            segmenter(images, _rois(companions["detector"], images, letterboxes))

    return run_on_pictures


def _batches(pictures: Sequence[Prepared]) -> Iterator[tuple[Tensor, list[Letterbox]]]:
    for start in range(0, len(pictures), BATCH):
        pixels, letterboxes = zip(*pictures[start : start + BATCH], strict=True)
        yield torch.from_numpy(np.concatenate(pixels)).float() / 255, list(letterboxes)


def _rois(detector: YOLOv9, images: Tensor, letterboxes: Sequence[Letterbox]) -> Tensor:
    """At most MOST_ROIS people of each image, as [N, 5]; the whole square where there is nobody."""
    predictions = detector(images).predictions.numpy()
    rois = [
        select_people(p, box).rois[:MOST_ROIS]
        for p, box in zip(predictions, letterboxes, strict=True)
    ]
    for index, found in enumerate(rois):
        found[:, 0] = index
    return torch.from_numpy(np.concatenate(rois))
