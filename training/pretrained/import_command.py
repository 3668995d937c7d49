"""Make a checkpoint of another project's published weights, to validate, export or train on.

  peopleseg import-weights people_unet best_model_b0_0.8741.pth --out people_unet.ckpt
  peopleseg import-weights hierarchical_head best_model_b0_64x48_0.8545.pth --out head.ckpt
  peopleseg import-weights yolov9 gelan-c-weights.pt --keep-class 0 --out detector.ckpt

The variant is found in the file. Every entry has to have its place in the network: what has none,
or is missing, is listed, and nothing is written. Files are read as weights only; the message about
one that pickles whole objects (as the YOLOv9 project's own files do) says how to convert it.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from peopleseg.cli.output import file_to_write
from peopleseg.networks.checkpoint import save_network
from peopleseg.systems.people.contract import ROI_SIZE_HW
from training.pretrained.hierarchical import import_hierarchical
from training.pretrained.people_unet import import_people_unet
from training.pretrained.state_dict import WeightsError
from training.pretrained.yolov9 import import_yolov9, keep_class


class Imported(NamedTuple):
    """A network, and its companions by name."""

    network: Any
    companions: dict[str, Any] = {}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `peopleseg import-weights`."""
    parser.add_argument("kind", choices=_IMPORTERS, help="what the file holds")
    parser.add_argument("file", type=Path, metavar="FILE", help="the published weights")
    parser.add_argument(
        "--out", type=file_to_write, required=True, metavar="CKPT", help="the checkpoint to write"
    )
    parser.add_argument(
        "--keep-class",
        type=int,
        metavar="INDEX",
        help="of a yolov9 with several classes, keep this one: 0 is the person of COCO and the "
        "body of wholebody25",
    )
    parser.add_argument(
        "--roi-size",
        type=_size_hw,
        metavar="HxW",
        help="of a hierarchical_head, the rois it was trained on, as in its published name (64x48)",
    )


def run(args: argparse.Namespace) -> int:
    """Import one file. Returns 1, and writes nothing, when it does not fit."""
    try:
        _refuse_misplaced_options(args)
        network, companions = _IMPORTERS[args.kind](args)
    except WeightsError as error:
        print(f"peopleseg: {error}", file=sys.stderr)
        return 1
    save_network(
        args.out,
        args.kind,
        network,
        dims=network.dims,
        companions={name: (companion, companion.dims) for name, companion in companions.items()},
    )
    described = ", ".join(f"{name} {value}" for name, value in network.dims.items())
    print(f"{args.out}: {args.kind} with {described}")
    return 0


def _refuse_misplaced_options(args: argparse.Namespace) -> None:
    for option, value, kind in (
        ("--keep-class", args.keep_class, "yolov9"),
        ("--roi-size", args.roi_size, "hierarchical_head"),
    ):
        if value is not None and args.kind != kind:
            raise WeightsError(f"{option} is for {kind}, not for {args.kind}; leave it out")


def _people_unet(args: argparse.Namespace) -> Imported:
    return Imported(import_people_unet(args.file))


def _hierarchical_head(args: argparse.Namespace) -> Imported:
    head, people_unet = import_hierarchical(args.file, args.roi_size or ROI_SIZE_HW)
    return Imported(head, {"people_unet": people_unet})


def _yolov9(args: argparse.Namespace) -> Imported:
    network = import_yolov9(args.file)
    if args.keep_class is not None:
        network = keep_class(network, args.keep_class)
    if network.classes > 1:
        print(
            f"peopleseg: the detector has {network.classes} classes, and one is served: "
            "see --keep-class",
            file=sys.stderr,
        )
    return Imported(network)


def _size_hw(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    return int(height), int(width)  # argparse reports a ValueError as wrong usage


# By the family of the network, as checkpoints name it.
_IMPORTERS: dict[str, Callable[[argparse.Namespace], Imported]] = {
    "people_unet": _people_unet,
    "hierarchical_head": _hierarchical_head,
    "yolov9": _yolov9,
}
