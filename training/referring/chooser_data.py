"""Texts and the people among whom they choose, to learn from."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from peopleseg.labels.coco import load_labels
from peopleseg.labels.coco_file import AnnotationError
from peopleseg.labels.referring import load_references
from peopleseg.networks.checkpoint import load_companion
from peopleseg.systems.people.contract import MAX_PEOPLE
from training.data.images import BrokenImage, DataError
from training.data.loading import LoaderSettings, TrainingData, check_weight
from training.referring.images import ReferredImage, images_of
from training.referring.people_told import PeopleReader
from training.referring.words import minilm_reader
from training.referring.words_of_place import flipped_text

MATCH_PX = 1.0  # that the edges of one box may differ by in two files
JITTER = 0.05  # of a box's edges in training, in parts of its sides


@dataclass(frozen=True)
class ChooserSet:
    """References, as `peopleseg generate-expressions` writes them, and the COCO file of everybody
    that they were made of."""

    images: Path
    annotations: Path
    references: Path
    weight: float = 1.0  # how often an epoch draws each text

    def __post_init__(self) -> None:
        check_weight(self.weight, self.annotations)


@dataclass(frozen=True)
class Choice:
    """A text, and the person of an image whom it means."""

    text: str
    people: NDArray[np.float32]  # (N, D)
    target: int
    weight: float


class ChooserBatch(NamedTuple):
    images: Tensor  # the same as `people`: what there is of images
    words: Tensor  # float32 (P, T, C)
    token_mask: Tensor  # int64 (P, T), 1 where there is a word
    people: Tensor  # float32 (P, N, D), N of the image with most people
    targets: Tensor  # int64 (P,)
    skipped: list[str]


class ChooserData(TrainingData):
    """Each text with its image's people, also flipped from left to right.

    pose: checkpoint of the pose network that tells of people. All images are read once, at the
    start. text_encoder: a folder with an all-MiniLM-L6-v2; None takes the package's.
    """

    def __init__(
        self,
        train: Sequence[ChooserSet],
        val: ChooserSet,
        pose: Path,
        text_encoder: Path | None = None,
        views: int = 2,
        loader: LoaderSettings = LoaderSettings(batch_size=64, workers=0),  # noqa: B008  (frozen)
        seed: int = 0,
    ) -> None:
        super().__init__(loader, seed)
        self.train_sets, self.val_set, self.views = train, val, views
        self.reader = PeopleReader(load_companion(Path(pose), "person_pose"))
        self.words = minilm_reader(text_encoder)

    def setup(self, stage: str) -> None:
        if not self.train_images and stage == "fit":
            self.train_images = [
                choice
                for chosen in self.train_sets
                for view in range(self.views)
                for choice in self._choices(
                    chosen, flipped=view % 2 == 1, jitter=JITTER * (view > 0)
                )
            ]
        if not self.val_images:
            self.val_images = list(self._choices(self.val_set))
        self.words.read([one.text for one in (*self.train_images, *self.val_images)])

    def training_sample(self, image: Choice, epoch: int) -> Choice:
        return image

    def validation_sample(self, image: Choice, epoch: int) -> Choice:
        return image

    def _choices(
        self, chosen: ChooserSet, flipped: bool = False, jitter: float = 0.0
    ) -> list[Choice]:
        """Raises DataError."""
        try:
            images = images_of(load_references(Path(chosen.references), Path(chosen.images)))
            everybody = _boxes_by_path(chosen)
        except AnnotationError as error:
            raise DataError(f"{error}; see --data.train and --data.val") from error
        random = np.random.default_rng(self.seed)
        choices: list[Choice] = []
        for image in tqdm(images, unit="image", disable=None, delay=2):
            if any(person.captions for person in image.people):
                choices += self._of_image(image, everybody, chosen.weight, flipped, jitter, random)
        if not choices:
            raise DataError(
                f"{chosen.references} has no text of anybody in {chosen.annotations} whose image "
                "can be read; name the COCO file that it was made of (--data.train, --data.val)"
            )
        return choices

    def _of_image(
        self,
        image: ReferredImage,
        everybody: Mapping[Path, NDArray[np.float32]],
        weight: float,
        flipped: bool,
        jitter: float,
        random: np.random.Generator,
    ) -> list[Choice]:
        boxes = _boxes_of(image, everybody)
        if not 1 <= len(boxes) <= MAX_PEOPLE:
            return []
        try:
            image_rgb = image.read_rgb()
        except BrokenImage as broken:
            print(f"left out: {broken}", file=sys.stderr)
            return []
        sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
        seen = boxes + (jitter * random.uniform(-1, 1, boxes.shape) * sides).astype(np.float32)
        if flipped:
            image_rgb = np.ascontiguousarray(image_rgb[:, ::-1])
            seen = seen[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [image.size_hw[1], 0] * 2
        people = self.reader.told(image_rgb, seen.astype(np.float32))
        return [
            Choice(flipped_text(text) if flipped else text, people, place, weight)
            for person in image.people
            if (place := _place(boxes, person.person.box_xyxy)) is not None
            for text in person.captions
        ]

    def collate(self, samples: list[Any]) -> ChooserBatch:  # type: ignore[override]
        most = max(len(one.people) for one in samples)
        people = np.zeros((len(samples), most, samples[0].people.shape[1]), np.float32)
        for row, one in enumerate(samples):
            people[row, : len(one.people)] = one.people
        words = self.words([one.text for one in samples])
        targets = torch.tensor([one.target for one in samples])
        told = torch.from_numpy(people)
        return ChooserBatch(told, words.tokens, (~words.padding).long(), told, targets, [])

    collate_validation = collate  # type: ignore[assignment]


def _boxes_by_path(chosen: ChooserSet) -> dict[Path, NDArray[np.float32]]:
    """Of everybody but crowds in each image, (N, 4). Raises AnnotationError."""
    images = load_labels(Path(chosen.annotations), Path(chosen.images)).images
    return {
        one.path: np.array([p.box_xyxy for p in one.people], np.float32).reshape(-1, 4)
        for one in images
    }


def _boxes_of(
    image: ReferredImage, everybody: Mapping[Path, NDArray[np.float32]]
) -> NDArray[np.float32]:
    """(N, 4) in pixels of the whole image, which may be several side by side. Raises DataError."""
    boxes, left = [], 0
    for source in image.sources:
        if source.path not in everybody:
            raise DataError(
                f"{source.path} is not among the images of the annotations; name the COCO file "
                "that the references were made of (--data.train, --data.val)"
            )
        boxes.append(everybody[source.path] + np.array([left, 0, left, 0], np.float32))
        left += source.width
    return np.concatenate(boxes)


def _place(boxes: NDArray[np.float32], box_xyxy: Sequence[float]) -> int | None:
    """Which of the boxes that one is."""
    if not len(boxes):
        return None
    apart = np.abs(boxes - np.array(box_xyxy, np.float32)).max(axis=1)
    return int(apart.argmin()) if apart.min() <= MATCH_PX else None
