"""What the tasks about people train on: annotated images, loaded, augmented and batched."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from peopleseg.labels.coco import AnnotatedImage, people_split, require_people
from peopleseg.labels.coco_file import AnnotationError
from training.data.images import DataError, report_skipped, usable_images
from training.data.loading import LoaderSettings, TrainingData, check_weight
from training.data.transforms import Transform, training_transforms, whole_view


@dataclass(frozen=True)
class AnnotatedFolder:
    """Images and their people in COCO format."""

    images: Path
    annotations: Path
    weight: float = 1.0  # how often an epoch draws each image; 0.5: half of them, by turns
    everybody: bool = True  # is annotated; False: who is found elsewhere is not punished

    def __post_init__(self) -> None:
        check_weight(self.weight, self.annotations)


@dataclass(frozen=True)
class AugmentationSettings:
    strength: Literal["none", "light", "heavy"] = "light"
    smallest_scale: float = 0.7  # of a view, against the whole image in the canvas
    largest_scale: float = 1.5


class PeopleData(TrainingData):
    """Training and validation images of one task.

    root: folder with train/, val/, person_train.json and person_val.json; `train` and `val` name
    other places. extra: more data sets to train on, each with its weight. limit: only the first so
    many training images, of all sets together.
    """

    def __init__(
        self,
        root: Path = Path("data/people"),
        train: AnnotatedFolder | None = None,
        val: AnnotatedFolder | None = None,
        extra: Sequence[AnnotatedFolder] = (),
        limit: int | None = None,
        loader: LoaderSettings = LoaderSettings(),  # noqa: B008  (frozen)
        augmentation: AugmentationSettings = AugmentationSettings(),  # noqa: B008
        resize: Literal["letterbox", "stretch"] = "letterbox",
        seed: int = 0,
    ) -> None:
        super().__init__(loader, seed)
        root = Path(root)
        self.train_folder = train or AnnotatedFolder(*people_split(root, "train"))
        self.val_folder = val or AnnotatedFolder(*people_split(root, "val"))
        self.extra, self.limit = extra, limit
        self.augmentation, self.resize = augmentation, resize
        self.train_images: list[AnnotatedImage] = []
        self.val_images: list[AnnotatedImage] = []

    def usable(self, image: AnnotatedImage) -> bool:
        """Whether an image is of use for training."""
        return True

    def setup(self, stage: str) -> None:
        if not self.train_images and stage == "fit":
            folders = (self.train_folder, *self.extra)
            images = [image for folder in folders for image in self._images(folder)]
            self.train_images = [p for p in images if self.usable(p)][: self.limit]
            if not self.train_images:
                raise DataError(f"{self.train_folder.annotations} has no image to train on")
            require_people(self.train_images, self.train_folder.annotations)
        if not self.val_images:
            self.val_images = self._images(self.val_folder)
            require_people(self.val_images, self.val_folder.annotations)

    def view(self, size: int) -> Transform:
        """The whole image on a square canvas, as in validation and serving."""
        return whole_view(size, self.resize)

    def augmented_view(self, size: int) -> Transform:
        settings = self.augmentation
        scales = (settings.smallest_scale, settings.largest_scale)
        return training_transforms(settings.strength, size, scales, self.resize)

    def _images(self, folder: AnnotatedFolder) -> list[AnnotatedImage]:
        try:
            images, skipped = usable_images(Path(folder.annotations), Path(folder.images))
        except AnnotationError as error:
            raise DataError(f"{error}; see --data.root, --data.train and --data.val") from error
        report_skipped(skipped)
        return [replace(p, everybody=folder.everybody, weight=folder.weight) for p in images]
