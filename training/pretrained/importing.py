"""Published weights as a checkpoint."""

import sys
from collections.abc import Callable
from typing import Any

from peopleseg.networks.checkpoint import save_network
from peopleseg.systems.people.contract import ROI_SIZE_HW
from training.pretrained.hierarchical import import_hierarchical
from training.pretrained.import_command import Options, size_hw
from training.pretrained.people_unet import import_people_unet
from training.pretrained.state_dict import WeightsError
from training.pretrained.yolov9 import import_yolov9, keep_class

Imported = tuple[Any, dict[str, Any]]  # a network, and its companions by name


def run(args: Options) -> int:
    """Import one file. Writes nothing when it does not fit: raises WeightsError."""
    _refuse_misplaced_options(args)
    network, companions = _IMPORTERS[args.kind](args)
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


def _refuse_misplaced_options(args: Options) -> None:
    for option, value, kind in (
        ("--keep-class", args.keep_class, "yolov9"),
        ("--roi-size", args.roi_size, "hierarchical_head"),
    ):
        if value is not None and args.kind != kind:
            raise WeightsError(f"{option} is for {kind}, not for {args.kind}; leave it out")


def _hierarchical_head(args: Options) -> Imported:
    head, people_unet = import_hierarchical(
        args.file, size_hw(args.roi_size) if args.roi_size else ROI_SIZE_HW
    )
    return head, {"people_unet": people_unet}


def _yolov9(args: Options) -> Imported:
    network = import_yolov9(args.file)
    if args.keep_class is not None:
        network = keep_class(network, args.keep_class)
    if network.classes > 1:
        print(
            f"peopleseg: the detector has {network.classes} classes, and one is served: "
            "see --keep-class",
            file=sys.stderr,
        )
    return network, {}


# By the family of the network, as checkpoints name it.
_IMPORTERS: dict[str, Callable[[Options], Imported]] = {
    "people_unet": lambda args: (import_people_unet(args.file), {}),
    "hierarchical_head": _hierarchical_head,
    "yolov9": _yolov9,
}
