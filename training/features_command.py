"""Compute what a detector sees of everybody once, for trainings of the mask head on features alone.

  peopleseg precompute-features --detector runs/yolov9_e/best.ckpt \\
      --images train --annotations person_train.json --out features/train

Of each picture's first ten people with a mask it writes the roi-aligned features in FP16 and the
label maps to one file, called by the picture's id. A command that was interrupted goes on where it
was: files that are there are kept. features.json says what the features were computed with; a
folder with other settings is refused.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader
from tqdm import tqdm

from peopleseg.cli.options import fraction
from peopleseg.cli.output import folder_to_write
from peopleseg.labels.coco import Picture, require_people
from peopleseg.labels.coco_file import AnnotationError
from peopleseg.networks.checkpoint import CheckpointError, detector_file, load_detector
from peopleseg.networks.feature_head import MASK_SIZE, ROI_FEATURE_SIZE
from peopleseg.networks.yolov9 import YOLOv9
from peopleseg.pixels.geometry import INPUT_SIZE
from peopleseg.repository.manifest import sha256
from training.data.dataset import PeopleDataset
from training.data.features import FeatureDescription, FeatureFolder, FeaturesError, roi_features
from training.data.pictures import (
    SMALLEST_SIDE_PX,
    BrokenPicture,
    report_skipped,
    usable_pictures,
)
from training.data.samples import RoiSample, roi_sample
from training.data.scene import read_scene
from training.data.transforms import whole_view

MOST_PEOPLE = 10  # of a picture; as published, like the padding and the resize
PADDING = 0.1
BYTES_OF_FP16 = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `peopleseg precompute-features`."""
    parser.add_argument(
        "--detector",
        type=Path,
        required=True,
        metavar="CKPT",
        help="a YOLOv9's, or a version folder",
    )
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="the pictures")
    parser.add_argument(
        "--annotations", type=Path, required=True, metavar="FILE", help="people in COCO format"
    )
    parser.add_argument(
        "--out", type=folder_to_write, required=True, metavar="DIR", help="folder to write to"
    )
    parser.add_argument(
        "--padding",
        type=fraction,
        default=PADDING,
        metavar="PART",
        help="around boxes, at each edge, in parts of the side (%(default)s)",
    )
    parser.add_argument(
        "--resize",
        choices=("stretch", "letterbox"),
        default="stretch",
        help="how a picture becomes a square (%(default)s)",
    )
    parser.add_argument(
        "--workers", type=int, default=2, metavar="N", help="processes that load (%(default)s)"
    )
    parser.add_argument(
        "--device",
        choices=("cpu", "cuda"),
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="(%(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Compute what is missing. Returns 1 when a file cannot be used, or the disk is too small."""
    folder = FeatureFolder(args.out)
    try:
        detector = load_detector(args.detector)
        _claim(folder, detector, args)
        pictures, skipped = usable_pictures(args.annotations, args.images)
        report_skipped(skipped)
        require_people(pictures, args.annotations)
        missing = [p for p in pictures if p.masked_people and not folder.has(p)]
        _require_room(folder.path, missing, detector.feature_channels)
    except (AnnotationError, CheckpointError, FeaturesError) as error:
        return _failed(str(error))
    broken = _compute(detector, missing, folder, args)
    if broken:
        print(f"left out {broken} broken picture{'s' * (broken > 1)}", file=sys.stderr)
    print(f"{folder.path}: features of {sum(map(folder.has, pictures))} pictures")
    return 0


def needed_bytes(pictures: Sequence[Picture], channels: int) -> tuple[int, int]:
    """People whose features are kept, and the bytes of these."""
    people = sum(
        min(MOST_PEOPLE, sum(_short_side_px(person.box_xyxy) >= SMALLEST_SIDE_PX for person in own))
        for own in (picture.masked_people for picture in pictures)
    )
    return people, people * channels * ROI_FEATURE_SIZE**2 * BYTES_OF_FP16


def _claim(folder: FeatureFolder, detector: YOLOv9, args: argparse.Namespace) -> None:
    """Say what the folder will hold. Raises FeaturesError when it holds something else."""
    description = FeatureDescription(
        sha256(detector_file(args.detector)), detector.feature_channels, args.padding, args.resize
    )
    if folder.is_described():
        folder.require(**vars(description))
    else:
        folder.describe(description)


def _require_room(path: Path, pictures: Sequence[Picture], channels: int) -> None:
    people, needed = needed_bytes(pictures, channels)
    free = shutil.disk_usage(path).free
    print(
        f"{people} people of {len(pictures)} pictures to do: {needed / 2**30:.2f} GiB "
        f"({needed} bytes), {free / 2**30:.2f} GiB free"
    )
    if needed > free:
        raise FeaturesError(
            f"{path} has room for {free} of {needed} bytes; name another --out, or take fewer "
            "pictures with `peopleseg data-subset`"
        )


def _compute(
    detector: YOLOv9, pictures: Sequence[Picture], folder: FeatureFolder, args: argparse.Namespace
) -> int:
    """Write every picture's file; returns how many pictures were broken, each named on stderr."""
    view = whole_view(INPUT_SIZE, args.resize)
    mask_size_hw = (MASK_SIZE, MASK_SIZE)

    def sample_of(picture: Picture, _: int) -> RoiSample:
        scene = view(read_scene(picture))
        return roi_sample(scene, mask_size_hw, MOST_PEOPLE, padding=args.padding)

    dataset = PeopleDataset(pictures, sample_of)
    loader = DataLoader(dataset, batch_size=None, num_workers=args.workers)
    detector.to(args.device)
    broken = 0
    progress = tqdm(loader, unit="picture", disable=None)  # None: no bar in a log
    for picture, sample in zip(pictures, progress, strict=True):
        if isinstance(sample, BrokenPicture):
            tqdm.write(f"left out: {sample}", file=sys.stderr)
            broken += 1
            continue
        rois = F.pad(sample.boxes_xyxy, (1, 0)).to(args.device)  # all of image 0
        images = sample.image[None].to(args.device).float() / 255
        features = roi_features(detector, images, rois)
        folder.write(picture, features, sample.labels)
    return broken


def _short_side_px(box_xyxy: tuple[float, float, float, float]) -> float:
    x1, y1, x2, y2 = box_xyxy
    return min(x2 - x1, y2 - y1)


def _failed(message: str) -> int:
    print(f"peopleseg: {message}", file=sys.stderr)
    return 1
