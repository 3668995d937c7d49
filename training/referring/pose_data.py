"""Crops of people with their keypoints, to learn poses from."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from peopleseg.labels.coco_file import AnnotationError
from peopleseg.labels.keypoints import COUNT, FLIPPED
from peopleseg.labels.poses import Posed, load_poses, load_unposed
from peopleseg.systems.referring.crops import TO_EDGE, crop, crop_matrix, mapped
from training.data.colour import jittered
from training.data.images import DataError, checked, read_rgb, report_skipped
from training.data.loading import LoaderSettings, TrainingData, check_weight
from training.data.samples import split_broken
from training.data.views import uniform
from training.referring.pose_teaching import PoseTeacher, Teaching


@dataclass(frozen=True)
class PoseSet:
    """A COCO file with keypoints."""

    images: Path
    annotations: Path
    weight: float = 1.0  # how often an epoch draws each person; 0.5: half of them, by turns

    def __post_init__(self) -> None:
        check_weight(self.weight, self.annotations)


@dataclass(frozen=True)
class PoseAugmentation:
    """How much a crop differs from that of the person's own box."""

    smallest_scale: float = 0.75
    largest_scale: float = 1.35
    shift: float = 0.08  # at most, in parts of the crop's sides
    turn_degrees: float = 30.0  # at most, of every second crop
    colour: float = 0.3  # at most, of brightness, contrast and saturation
    hue: float = 0.03


@dataclass(frozen=True)
class TrainingPerson:
    posed: Posed
    weight: float


class PoseSample(NamedTuple):
    image: Tensor  # uint8 (3, H, W) RGB
    places: Tensor  # float32 (17, 2): x, y in parts of the crop's width and height
    known: Tensor  # bool (17,): in the crop, and its place is known
    area: Tensor  # float32 (): of the person, in pixels of the crop


class PoseBatch(NamedTuple):
    images: Tensor  # uint8 (B, 3, H, W) RGB
    places: Tensor  # float32 (B, 17, 2)
    known: Tensor  # bool (B, 17)
    areas: Tensor  # float32 (B,)
    skipped: list[str]  # a line for each broken image


class PoseData(TrainingData):
    """Crops of `size_hw` pixels around each person with keypoints.

    root: a folder with train and val of people in COCO format. extra: more sets to train on.
    limit: only the first so many people of both. teacher: poses of everybody without keypoints, in
    the training's sets and in those of `taught`, which may have boxes alone; how well it sees those
    of `val` is told.
    """

    def __init__(
        self,
        root: Path = Path("data/people"),
        train: PoseSet | None = None,
        val: PoseSet | None = None,
        extra: Sequence[PoseSet] = (),
        limit: int | None = None,
        teacher: PoseTeacher | None = None,
        taught: Sequence[PoseSet] = (),
        size_hw: tuple[int, int] = (224, 160),
        loader: LoaderSettings = LoaderSettings(),  # noqa: B008  (frozen)
        augmentation: PoseAugmentation = PoseAugmentation(),  # noqa: B008
        seed: int = 0,
    ) -> None:
        super().__init__(loader, seed)
        root = Path(root)
        self.train_set = train or PoseSet(root / "train", root / "person_train.json")
        self.val_set = val or PoseSet(root / "val", root / "person_val.json")
        self.extra, self.limit = extra, limit
        if taught and teacher is None:
            raise DataError("--data.taught has people without poses; name a --data.teacher too")
        self.teacher, self.taught = teacher, taught
        self.teacher_measured: dict[str, float] = {}
        self.size_hw, self.augmentation = (size_hw[0], size_hw[1]), augmentation

    def setup(self, stage: str) -> None:
        if not self.train_images and stage == "fit":
            sets = (self.train_set, *self.extra)
            self.train_images = [one for each in sets for one in _people(each)][: self.limit]
        if not self.val_images:
            self.val_images = [one.posed for one in _people(self.val_set)][: self.limit]
        if stage == "fit" and self.teacher is not None and not self.teacher_measured:
            self._teach(Teaching(self.teacher))

    def _teach(self, teaching: Teaching) -> None:
        """Add whom the teacher poses, and measure it."""
        unposed = [
            one
            for each in (self.train_set, *self.extra, *self.taught)
            for one in _people(each, load_unposed)
        ][: self.limit]
        weights = {id(one.posed.person): one.weight for one in unposed}
        taught = teaching.posed(one.posed for one in unposed)
        self.train_images += [TrainingPerson(one, weights[id(one.person)]) for one in taught]
        self.teacher_measured = teaching.measured(self.val_images)
        told = ", ".join(f"{name} {value:.3f}" for name, value in self.teacher_measured.items())
        print(
            f"the teacher poses {len(taught)} of {len(unposed)} people without keypoints; on "
            f"--data.val: {told or 'nobody to measure it by'}",
            file=sys.stderr,
        )

    def training_sample(self, image: TrainingPerson, epoch: int) -> PoseSample:
        change, posed = self.augmentation, image.posed
        mirrored, turned = uniform(0, 1) < 0.5, uniform(0, 1) < 0.5
        matrix = crop_matrix(
            posed.person.box_xyxy,
            self.size_hw,
            scale=1 / uniform(change.smallest_scale, change.largest_scale),
            shift_xy=[uniform(-change.shift, change.shift) for _ in range(2)],
            turn_degrees=turned * uniform(-change.turn_degrees, change.turn_degrees),
            mirrored=mirrored,
        )
        colour = change.colour
        view = crop(read_rgb(posed.image), matrix, self.size_hw)
        view = jittered(view, colour, colour, colour, change.hue)
        keypoints = posed.keypoints[list(FLIPPED)] if mirrored else posed.keypoints
        return self._sample(view, matrix, keypoints, posed.area_px)

    def validation_sample(self, image: Posed, epoch: int) -> PoseSample:
        matrix = crop_matrix(image.person.box_xyxy, self.size_hw)
        view = crop(read_rgb(image.image), matrix, self.size_hw)
        return self._sample(view, matrix, image.keypoints, image.area_px)

    def _sample(
        self,
        view: NDArray[np.uint8],
        matrix: NDArray[np.float64],
        keypoints: NDArray[np.float32],
        area_px: float,
    ) -> PoseSample:
        places = mapped(keypoints[:, :2].astype(np.float64) + TO_EDGE, matrix)
        places = places / self.size_hw[::-1]
        inside = ((places >= 0) & (places < 1)).all(axis=1)
        enlarged = abs(np.linalg.det(matrix[:, :2]))
        return PoseSample(
            torch.from_numpy(np.ascontiguousarray(view.transpose(2, 0, 1))),
            torch.from_numpy(places.astype(np.float32)),
            torch.from_numpy(inside & (keypoints[:, 2] > 0)),
            torch.tensor(area_px * enlarged, dtype=torch.float32),
        )

    @staticmethod
    def collate(samples: list[Any]) -> PoseBatch:
        """B = 0 when every image is broken."""
        whole, skipped = split_broken(samples)
        if not whole:
            none = torch.empty((0, COUNT))
            images = torch.empty((0, 3, 0, 0), dtype=torch.uint8)
            return PoseBatch(images, torch.empty((0, COUNT, 2)), none.bool(), none[:, 0], skipped)
        images, places, known, areas = map(torch.stack, zip(*whole, strict=True))
        return PoseBatch(images, places, known, areas, skipped)

    collate_validation = collate


def _people(
    chosen: PoseSet, load: Callable[[Path, Path], list[Posed]] = load_poses
) -> list[TrainingPerson]:
    """Those of a set whose image can be used. Raises DataError."""
    try:
        people = load(Path(chosen.annotations), Path(chosen.images))
    except AnnotationError as error:
        raise DataError(f"{error}; see --data.root, --data.train and --data.val") from error
    usable, skipped = checked(list({id(one.image): one.image for one in people}.values()))
    report_skipped(skipped)
    there = {image.id for image in usable}
    return [TrainingPerson(one, chosen.weight) for one in people if one.image.id in there]
