"""The people system's published weights."""

import sys
from collections.abc import Callable

from peopleseg.systems.people.contract import ROI_SIZE_HW
from training.pretrained.hierarchical import import_hierarchical
from training.pretrained.import_command import Options, size_hw
from training.pretrained.imported import Imported
from training.pretrained.people_unet import import_people_unet
from training.pretrained.yolov9 import import_yolov9, keep_class


def _hierarchical_head(args: Options) -> Imported:
    head, people_unet = import_hierarchical(
        args.file, size_hw(args.roi_size) if args.roi_size else ROI_SIZE_HW
    )
    return Imported(head, {"people_unet": people_unet})


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
    return Imported(network)


# By the family of the network, as checkpoints name it.
IMPORTERS: dict[str, Callable[[Options], Imported]] = {
    "people_unet": lambda args: Imported(import_people_unet(args.file)),
    "hierarchical_head": _hierarchical_head,
    "yolov9": _yolov9,
}
