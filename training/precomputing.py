"""Compute the features of images once, for trainings of the head that reads them alone."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from torch.nn import functional as F
from torch.utils.data import DataLoader
from tqdm import tqdm

from peopleseg.labels.coco import AnnotatedImage, require_people
from peopleseg.networks.checkpoint import detector_file, load_detector
from peopleseg.networks.people.feature_head import MASK_SIZE, ROI_FEATURE_SIZE
from peopleseg.networks.people.yolov9 import YOLOv9
from peopleseg.pixels.geometry import INPUT_SIZE
from peopleseg.repository.manifest import sha256
from training.data.dataset import SampleDataset
from training.data.features import FeatureDescription, FeatureFolder, FeaturesError, roi_features
from training.data.images import (
    SMALLEST_SIDE_PX,
    BrokenImage,
    report_skipped,
    usable_images,
)
from training.data.samples import RoiSample, roi_sample
from training.data.scene import read_scene
from training.data.transforms import whole_view
from training.device import device_of
from training.features_command import Options

MOST_PEOPLE = 10  # of an image; as published
BYTES_OF_FP16 = 2


def run(args: Options) -> int:
    """Compute what is missing. Raises AnnotationError, CheckpointError, FeaturesError."""
    folder, device = FeatureFolder(args.out), device_of(args)
    detector = load_detector(args.detector)
    _claim(folder, detector, args)
    images, skipped = usable_images(args.annotations, args.images)
    report_skipped(skipped)
    require_people(images, args.annotations)
    missing = [p for p in images if p.masked_people and not folder.has(p)]
    _require_room(folder.path, missing, detector.feature_channels)
    broken = _compute(detector, missing, folder, args, device)
    if broken:
        print(f"left out {broken} broken image{'s' * (broken > 1)}", file=sys.stderr)
    print(f"{folder.path}: features of {sum(map(folder.has, images))} images")
    return 0


def needed_bytes(images: Sequence[AnnotatedImage], channels: int) -> tuple[int, int]:
    """People whose features are kept, and the bytes of these."""
    people = sum(
        min(MOST_PEOPLE, sum(_short_side_px(person.box_xyxy) >= SMALLEST_SIDE_PX for person in own))
        for own in (image.masked_people for image in images)
    )
    return people, people * channels * ROI_FEATURE_SIZE**2 * BYTES_OF_FP16


def _claim(folder: FeatureFolder, detector: YOLOv9, args: Options) -> None:
    """Say what the folder will hold. Raises FeaturesError when it holds something else."""
    description = FeatureDescription(
        sha256(detector_file(args.detector)), detector.feature_channels, args.padding, args.resize
    )
    if folder.is_described():
        folder.require(**vars(description))
    else:
        folder.describe(description)


def _require_room(path: Path, images: Sequence[AnnotatedImage], channels: int) -> None:
    people, needed = needed_bytes(images, channels)
    free = shutil.disk_usage(path).free
    print(
        f"{people} people of {len(images)} images to do: {needed / 2**30:.2f} GiB "
        f"({needed} bytes), {free / 2**30:.2f} GiB free"
    )
    if needed > free:
        raise FeaturesError(
            f"{path} has room for {free} of {needed} bytes; name another --out, or take fewer "
            "images with `peopleseg data-subset`"
        )


def _compute(
    detector: YOLOv9,
    images: Sequence[AnnotatedImage],
    folder: FeatureFolder,
    args: Options,
    device: str,
) -> int:
    """Write every image's file; returns how many images were broken, each named on stderr."""
    view = whole_view(INPUT_SIZE, args.resize)
    mask_size_hw = (MASK_SIZE, MASK_SIZE)

    def sample_of(image: AnnotatedImage, _: int) -> RoiSample:
        scene = view(read_scene(image))
        return roi_sample(scene, mask_size_hw, MOST_PEOPLE, padding=args.padding)

    dataset = SampleDataset(images, sample_of)
    loader = DataLoader(dataset, batch_size=None, num_workers=args.workers)
    detector.to(device)
    broken = 0
    progress = tqdm(loader, unit="image", disable=None)  # None: no bar in a log
    for image, sample in zip(images, progress, strict=True):
        if isinstance(sample, BrokenImage):
            tqdm.write(f"left out: {sample}", file=sys.stderr)
            broken += 1
            continue
        rois = F.pad(sample.boxes_xyxy, (1, 0)).to(device)  # all of image 0
        pixels = sample.image[None].to(device).float() / 255
        features = roi_features(detector, pixels, rois)
        folder.write(image, features, sample.labels)
    return broken


def _short_side_px(box_xyxy: tuple[float, float, float, float]) -> float:
    x1, y1, x2, y2 = box_xyxy
    return min(x2 - x1, y2 - y1)
