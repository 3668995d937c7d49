"""Images, prompts and the people whom they mean, for the referring networks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from peopleseg.labels.coco_file import AnnotationError
from peopleseg.labels.referring import load_references
from training.data.colour import jittered
from training.data.images import DataError, report_skipped
from training.data.loading import LoaderSettings, TrainingData, check_weight
from training.referring.images import (
    ReferredImage,
    ReferredPerson,
    chunks,
    images_of,
    usable,
)
from training.referring.prompting import (
    KINDS,
    Kind,
    PromptSettings,
    Seen,
    evaluated_prompt,
    kinds_of,
    training_prompt,
)
from training.referring.samples import (
    Prompt,
    RefBatch,
    RefSample,
    collate,
    concatenated,
    target_of,
)
from training.referring.views import View, cut_view, shifted_view, whole_view
from training.referring.words_of_place import speaks_of_place


@dataclass(frozen=True)
class ReferredFolder:
    """Images and references to their people, in RefHuman's format."""

    images: Path
    annotations: Path
    weight: float = 1.0  # how often an epoch draws each image; 0.5: half of them, by turns

    def __post_init__(self) -> None:
        check_weight(self.weight, self.annotations)


@dataclass(frozen=True)
class AugmentationSettings:
    """How much a training image is changed. Scales are against the largest that fits the square."""

    cut: float = 0.5  # of the views, those of a part; they ask for no text that speaks of place
    smallest_scale: float = 0.6  # of a view of the whole image
    largest_scale: float = 2.0  # of a view of a part
    flip: float = 0.5  # of all views, those that are mirrored, with their texts
    colour: float = 0.2  # by how much brightness, contrast and saturation change
    hue: float = 0.02  # little: texts name colours


class ReferringData(TrainingData):
    """Squares of `size` pixels with prompts; validation is on the whole image, as it is served.

    root: folder with train/, val/, refs_train.json and refs_val.json; `train` and `val` name other
    places. extra: more to train on. limit: only the first so many training images of all.
    validation_prompts: the kinds of prompts that everybody gets who can, fixed by the seed.
    leak_ok: images may be in both, and the metrics then say nothing.
    """

    def __init__(
        self,
        root: Path = Path("data/referring"),
        train: ReferredFolder | None = None,
        val: ReferredFolder | None = None,
        extra: Sequence[ReferredFolder] = (),
        limit: int | None = None,
        leak_ok: bool = False,
        size: int = 512,
        prompts: PromptSettings = PromptSettings(),  # noqa: B008  (frozen)
        validation_prompts: Sequence[Kind] = KINDS,
        loader: LoaderSettings = LoaderSettings(),  # noqa: B008
        augmentation: AugmentationSettings = AugmentationSettings(),  # noqa: B008
        seed: int = 0,
    ) -> None:
        super().__init__(loader, seed)
        root = Path(root)
        self.train_folder = train or ReferredFolder(root / "train", root / "refs_train.json")
        self.val_folder = val or ReferredFolder(root / "val", root / "refs_val.json")
        self.extra, self.limit, self.leak_ok = extra, limit, leak_ok
        self.size, self.prompts, self.augmentation = size, prompts, augmentation
        self.validation_prompts = tuple(validation_prompts)

    def setup(self, stage: str) -> None:
        if not self.train_images and stage == "fit":
            folders = (self.train_folder, *self.extra)
            found = [image for folder in folders for image in _images(folder)]
            self.train_images = [image for image in found if self._prompted(image)][: self.limit]
            if not self.train_images:
                raise DataError(
                    f"{self.train_folder.annotations} has nobody whom a prompt of the shares "
                    f"{self.prompts} can mean; take people with captions, masks or keypoints"
                )
        if not self.val_images:
            self.val_images = [
                part for one in _images(self.val_folder) for part in chunks(one, self.prompts.most)
            ]
        if not self.leak_ok:
            self._refuse_leak()

    def training_sample(self, image: ReferredImage, epoch: int) -> RefSample:
        """Some of the people, each with one prompt."""
        image_rgb = image.read_rgb()
        random = np.random.default_rng(int(torch.randint(2**62, ())))
        is_cut = random.random() < self.augmentation.cut
        wanted = self._prompted(image, is_cut) or self._prompted(image)
        is_cut = is_cut and bool(self._prompted(image, True))
        chosen = [wanted[i] for i in random.permutation(len(wanted))[: self.prompts.most]]
        view = self._view(image, chosen, is_cut)
        seen = {id(one): _seen(one, view) for one in image.people}
        pairs = []
        for person in chosen:
            captions = self._captions(person, is_cut)
            others = [seen[id(other)] for other in image.people if other is not person]
            kind = self._kind(person, captions, random)
            own = seen[id(person)]
            prompt = training_prompt(kind, own, others, captions, view, self.prompts, random)
            pairs.append((own, prompt))
        return _sample(view.image(self._coloured(image_rgb)), view, pairs)

    def validation_sample(self, image: ReferredImage, epoch: int) -> RefSample:
        """Everybody, with one prompt of each kind that can be."""
        view = whole_view(image.size_hw, self.size)
        pairs = []
        for person in image.people:
            seen = _seen(person, view)
            for kind in kinds_of(person, person.captions):
                if kind in self.validation_prompts:
                    place = [round(value) for value in person.person.box_xyxy]
                    numbers = (self.seed, image.seed, KINDS.index(kind), *map(abs, place))
                    random = np.random.default_rng(numbers)
                    pairs.append((seen, evaluated_prompt(kind, seen, view, random)))
        return _sample(view.image(image.read_rgb()), view, pairs)

    @staticmethod
    def collate(samples: list[Any]) -> RefBatch:
        """B = 0 when every image is broken."""
        return collate(samples)

    collate_validation = collate

    def _prompted(self, image: ReferredImage, is_cut: bool = False) -> list[ReferredPerson]:
        """Those whom a prompt can mean, of the kinds that are drawn at all."""
        return [one for one in image.people if self._kinds(one, self._captions(one, is_cut))]

    def _kinds(self, person: ReferredPerson, captions: Sequence[str]) -> list[Kind]:
        return [kind for kind in kinds_of(person, captions) if self.prompts.share(kind) > 0]

    def _kind(
        self, person: ReferredPerson, captions: Sequence[str], random: np.random.Generator
    ) -> Kind:
        kinds = self._kinds(person, captions)
        shares = np.array([self.prompts.share(kind) for kind in kinds])
        return kinds[int(random.choice(len(kinds), p=shares / shares.sum()))]

    @staticmethod
    def _captions(person: ReferredPerson, is_cut: bool) -> list[str]:
        """Of which a view that is cut leaves those that it cannot make wrong."""
        return [text for text in person.captions if not (is_cut and speaks_of_place(text))]

    def _view(self, image: ReferredImage, chosen: Sequence[ReferredPerson], is_cut: bool) -> View:
        settings = self.augmentation
        if is_cut:
            kept = [one.person.box_xyxy for one in chosen]
            return cut_view(image.size_hw, self.size, kept, settings.largest_scale, settings.flip)
        return shifted_view(image.size_hw, self.size, settings.smallest_scale, settings.flip)

    def _coloured(self, image_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        by = self.augmentation.colour
        return jittered(image_rgb, by, by, by, self.augmentation.hue)

    def _refuse_leak(self) -> None:
        """Raises DataError where images are in both."""
        learned = {file.name for one in self.train_images for file in one.files}
        both = sorted({file.name for one in self.val_images for file in one.files} & learned)
        if both:
            raise DataError(
                f"{len(both)} images are trained and validated on ({both[0]} is one); name other "
                "images as --data.val, or say --data.leak_ok true, and the metrics say nothing "
                "about images that are new"
            )


def _seen(person: ReferredPerson, view: View) -> Seen:
    mask = None
    if person.person.masked:
        mask = view.mask(person.person.mask(*view.image_hw))
    return Seen(
        person,
        mask if mask is not None and mask.any() else None,
        None if person.keypoints is None else view.keypoints(person.keypoints),
        view.box(person.person.box_xyxy),
    )


def _sample(
    square_rgb: NDArray[np.uint8], view: View, pairs: Sequence[tuple[Seen, Prompt | None]]
) -> RefSample:
    """Of those who can be told; whom no prompt means is left out."""
    told = [(seen, prompt) for seen, prompt in pairs if prompt is not None]
    planes = torch.from_numpy(np.ascontiguousarray(square_rgb.transpose(2, 0, 1)))
    targets = [target_of(seen.person, view, seen.mask) for seen, _ in told]
    return RefSample(planes, [prompt for _, prompt in told], concatenated(targets, view.size))


def _images(folder: ReferredFolder) -> list[ReferredImage]:
    """Raises DataError."""
    try:
        references = load_references(Path(folder.annotations), Path(folder.images))
    except AnnotationError as error:
        raise DataError(f"{error}; see --data.root, --data.train and --data.val") from error
    images, skipped = usable(images_of(references, folder.weight))
    report_skipped(skipped)
    return images
