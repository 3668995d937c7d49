"""Texts and the people among whom they choose, to learn from."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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
from training.referring.images import ReferredImage, ReferredPerson, images_of
from training.referring.people_found import Everybody, PeopleFinder
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


class _View(NamedTuple):
    """An image as it is shown, with what is told of everybody."""

    people: Sequence[ReferredPerson]
    places: Sequence[int | None]  # of each among those told; None: nobody was found there
    told: NDArray[np.float32]  # (N, D)
    flipped: bool

    def choices(self, weight: float) -> list[Choice]:
        return [
            Choice(flipped_text(text) if self.flipped else text, self.told, place, weight)
            for person, place in zip(self.people, self.places, strict=True)
            if place is not None
            for text in person.captions
        ]


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
    start. found_by: a model repository; a text then chooses among those whom its people system
    finds, the uncertain too, as on a server, and who is not found is left out. None, and where not
    everybody was known to whoever made a text: among the annotated. text_encoder: a folder with an
    all-MiniLM-L6-v2; None takes the package's.
    """

    def __init__(
        self,
        train: Sequence[ChooserSet],
        val: ChooserSet,
        pose: Path,
        found_by: Path | None = None,
        text_encoder: Path | None = None,
        views: int = 2,
        loader: LoaderSettings = LoaderSettings(batch_size=64, workers=0),  # noqa: B008  (frozen)
        seed: int = 0,
    ) -> None:
        super().__init__(loader, seed)
        self.train_sets, self.val_set, self.views = train, val, views
        self.finder = None if found_by is None else PeopleFinder(Path(found_by))
        self.reader = PeopleReader(load_companion(Path(pose), "person_pose"))
        self.words = minilm_reader(text_encoder)

    def setup(self, stage: str) -> None:
        if not self.train_images and stage == "fit":
            self.train_images = [
                choice for chosen in self.train_sets for choice in self._choices(chosen, self.views)
            ]
        if not self.val_images:
            self.val_images = self._choices(self.val_set, 1)
        self.words.read([one.text for one in (*self.train_images, *self.val_images)])

    def training_sample(self, image: Choice, epoch: int) -> Choice:
        return image

    def validation_sample(self, image: Choice, epoch: int) -> Choice:
        return image

    def _choices(self, chosen: ChooserSet, views: int) -> list[Choice]:
        """One view of all texts after the other. Raises DataError."""
        try:
            images = images_of(load_references(Path(chosen.references), Path(chosen.images)))
            boxes = _boxes_by_path(chosen)
        except AnnotationError as error:
            raise DataError(f"{error}; see --data.train and --data.val") from error
        random = np.random.default_rng(self.seed)
        choices: list[list[Choice]] = [[] for _ in range(views)]
        for image in tqdm(images, unit="image", disable=None, delay=2):
            if any(person.captions for person in image.people):
                annotated = _boxes_of(image, boxes)
                for view, seen in enumerate(self._views(image, annotated, views, random)):
                    choices[view] += seen.choices(chosen.weight)
        if not choices[0]:
            raise DataError(
                f"{chosen.references} has no text of anybody in {chosen.annotations} whose image "
                "can be read; name the COCO file that it was made of (--data.train, --data.val)"
            )
        return [choice for of_view in choices for choice in of_view]

    def _views(
        self,
        image: ReferredImage,
        annotated: NDArray[np.float32],
        views: int,
        random: np.random.Generator,
    ) -> Iterator[_View]:
        """Every second one mirrored; all but the first with boxes a little off."""
        try:
            image_rgb = image.read_rgb()
        except BrokenImage as broken:
            print(f"left out: {broken}", file=sys.stderr)
            return
        everybody = Everybody(annotated, np.ones(len(annotated), np.float32))
        place = partial(_place, annotated)
        if self.finder is not None and image.everybody:
            everybody = self.finder.find(image_rgb)
            place = everybody.place
        boxes = everybody.boxes_xyxy
        if not 1 <= len(boxes) <= MAX_PEOPLE:
            return
        places = [place(np.array(one.person.box_xyxy, np.float32)) for one in image.people]
        sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
        for view in range(views):
            off = JITTER * (view > 0) * random.uniform(-1, 1, boxes.shape) * sides
            seen, flipped = boxes + off.astype(np.float32), view % 2 == 1
            shown = image_rgb
            if flipped:
                shown = np.ascontiguousarray(image_rgb[:, ::-1])
                seen = seen[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [image.size_hw[1], 0] * 2
            told = self.reader.told(shown, seen.astype(np.float32), everybody.scores)
            yield _View(image.people, places, told, flipped)

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


def _place(boxes: NDArray[np.float32], box_xyxy: NDArray[np.float32]) -> int | None:
    """Which of the boxes that one is."""
    apart = np.abs(boxes - box_xyxy).max(axis=1)
    return int(apart.argmin()) if apart.min() <= MATCH_PX else None
