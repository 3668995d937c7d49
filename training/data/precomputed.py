"""Pre-computed features for the mask head that reads nothing else: no image is decoded, no
detector runs."""

from pathlib import Path
from typing import Any, Literal

from peopleseg.labels.coco import Picture
from training.data.features import (
    FeatureFolder,
    FeatureSample,
    FeaturesError,
    collate_features,
)
from training.data.module import AnnotatedFolder, LoaderSettings, PeopleData
from training.data.pictures import DataError, Skipped, report_skipped


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

    def usable(self, picture: Picture) -> bool:
        return bool(picture.masked_people)

    def setup(self, stage: str) -> None:
        if not self.train_folder.everybody:
            raise DataError(
                f"the features of {self.train_folder.annotations} take everybody to be annotated; "
                "train on its images, with training.data.rois.RoiData"
            )
        self.require(padding=self.padding, resize=self.resize)
        super().setup(stage)
        self.train_pictures = _with_features(self.train_pictures, self.train_features)
        self.val_pictures = _with_features(self.val_pictures, self.val_features)

    def training_sample(self, picture: Picture, epoch: int) -> FeatureSample:
        return self.train_features.read(picture)

    def validation_sample(self, picture: Picture, epoch: int) -> FeatureSample:
        return self.val_features.read(picture)

    collate = staticmethod(collate_features)
    collate_validation = staticmethod(collate_features)


def _with_features(pictures: list[Picture], folder: FeatureFolder) -> list[Picture]:
    """Raises DataError when no image has any."""
    pictures = [picture for picture in pictures if picture.masked_people]
    there = [picture for picture in pictures if folder.has(picture)]
    absent = [picture for picture in pictures if not folder.has(picture)]
    report_skipped([Skipped(p.path, f"has no features in {folder.path}") for p in absent])
    if not there:
        raise DataError(
            f"{folder.path} has features of none of {len(pictures)} images; `peopleseg "
            "precompute-features` of the same annotations writes them"
        )
    return there
