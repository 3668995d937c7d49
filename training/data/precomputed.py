"""Pre-computed features for the mask head that reads nothing else: no image is decoded, no
detector runs."""

from pathlib import Path
from typing import Any, Literal

from peopleseg.labels.coco import AnnotatedImage
from training.data.features import (
    FeatureFolder,
    FeatureSample,
    FeaturesError,
    collate_features,
)
from training.data.images import DataError, Skipped, report_skipped
from training.data.loading import LoaderSettings
from training.data.module import AnnotatedFolder, PeopleData


class PrecomputedFeatureData(PeopleData):
    """The people of images as `peopleseg precompute-features` left them, so not augmented.

    features: folder with train/ and val/, each an --out of that command. The other arguments are
    those of images: which of them, in which order, and the settings that the features are to
    have. Images without a file are named and left out.
    """

    def __init__(
        self,
        root: Path = Path("data/people"),
        train: AnnotatedFolder | None = None,
        val: AnnotatedFolder | None = None,
        features: Path = Path("data/people/features"),
        limit: int | None = None,
        loader: LoaderSettings = LoaderSettings(),  # noqa: B008  (frozen)
        padding: float = 0.1,
        resize: Literal["letterbox", "stretch"] = "stretch",
        seed: int = 0,
    ) -> None:
        super().__init__(root, train, val, limit=limit, loader=loader, resize=resize, seed=seed)
        self.padding = padding
        self.train_features = FeatureFolder(Path(features) / "train")
        self.val_features = FeatureFolder(Path(features) / "val")

    def require(self, **expected: Any) -> None:
        """Compare fields of both folders' descriptions. Raises DataError naming what differs."""
        try:
            for folder in (self.train_features, self.val_features):
                folder.require(**expected)
        except FeaturesError as error:
            raise DataError(str(error)) from error

    def usable(self, image: AnnotatedImage) -> bool:
        return bool(image.masked_people)

    def setup(self, stage: str) -> None:
        if not self.train_folder.everybody:
            raise DataError(
                f"the features of {self.train_folder.annotations} take everybody to be annotated; "
                "train on its images, with training.data.rois.RoiData"
            )
        self.require(padding=self.padding, resize=self.resize)
        super().setup(stage)
        self.train_images = _with_features(self.train_images, self.train_features)
        self.val_images = _with_features(self.val_images, self.val_features)

    def training_sample(self, image: AnnotatedImage, epoch: int) -> FeatureSample:
        return self.train_features.read(image)

    def validation_sample(self, image: AnnotatedImage, epoch: int) -> FeatureSample:
        return self.val_features.read(image)

    collate = staticmethod(collate_features)
    collate_validation = staticmethod(collate_features)


def _with_features(images: list[AnnotatedImage], folder: FeatureFolder) -> list[AnnotatedImage]:
    """Raises DataError when no image has any."""
    images = [image for image in images if image.masked_people]
    there = [image for image in images if folder.has(image)]
    absent = [image for image in images if not folder.has(image)]
    report_skipped([Skipped(p.path, f"has no features in {folder.path}") for p in absent])
    if not there:
        raise DataError(
            f"{folder.path} has features of none of {len(images)} images; `peopleseg "
            "precompute-features` of the same annotations writes them"
        )
    return there
