"""Several data sets in one training: each with its weight, and with what it knows."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.data.people_images import write_data_set
from tests.training.runs import CONFIGS, Data, differing, train, unet_arguments
from tests.training.test_resume import SendSignal
from training.data.detection import DetectionData, MixingSettings
from training.data.foreground import ForegroundData
from training.data.images import DataError
from training.data.loading import LoaderSettings
from training.data.module import AnnotatedFolder, AugmentationSettings, PeopleData
from training.data.rois import RoiData
from training.data.samples import IGNORED

AS_THEY_ARE = {
    "loader": LoaderSettings(batch_size=3, workers=0),
    "augmentation": AugmentationSettings(strength="none"),
}


def data_set(folder: Path, edit: Callable[[dict[str, Any]], Any], seed: int = 0) -> AnnotatedFolder:
    """Six images, the first without people, whose annotations are edited one by one."""
    images, annotations = write_data_set(folder, count=6, seed=seed)
    coco = json.loads(annotations.read_text())
    for entry in coco["annotations"]:
        edit(entry)
    annotations.write_text(json.dumps(coco))
    return AnnotatedFolder(images, annotations)


@pytest.fixture
def masks(data: Data) -> AnnotatedFolder:
    return AnnotatedFolder(data.images, data.annotations)


@pytest.fixture
def boxes(tmp_path: Path) -> AnnotatedFolder:
    return data_set(tmp_path / "boxes", lambda entry: entry.update(segmentation=[]), seed=50)


def weighted(folder: AnnotatedFolder, weight: float) -> AnnotatedFolder:
    return AnnotatedFolder(folder.images, folder.annotations, weight)


def set_up(kind: type[PeopleData], *sets: AnnotatedFolder, **settings: Any) -> PeopleData:
    made = kind(train=sets[0], val=sets[0], extra=sets[1:], **{**AS_THEY_ARE, **settings})
    made.setup("fit")
    return made


def test_an_epoch_has_the_images_of_each_set_as_often_as_its_weight_says(
    masks: AnnotatedFolder, boxes: AnnotatedFolder
) -> None:
    mixed = set_up(ForegroundData, masks, weighted(boxes, 0.5), size=64)
    loader = mixed.train_dataloader()
    folders: Counter[Path] = Counter()
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        drawn = [mixed.train_images[draw.index].path for draw in loader.sampler]
        assert len(drawn) == 6 + 3
        folders.update(drawn)
        assert sum(len(batch.images) for batch in loader) == 9
    assert sorted(folders.values()) == [1] * 6 + [2] * 6


def test_the_other_images_of_a_mosaic_come_as_often_as_their_weight_says(
    masks: AnnotatedFolder, boxes: AnnotatedFolder
) -> None:
    mixed = set_up(DetectionData, masks, weighted(boxes, 0.1))
    assert isinstance(mixed, DetectionData)
    torch.manual_seed(0)
    others = [image.path.parent for image in mixed._others(3000)]
    assert others.count(boxes.images) / 3000 == pytest.approx(0.1 / 1.1, abs=0.02)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_weight_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match=r"the weight of a\.json is .*; give a number above 0"):
        AnnotatedFolder(Path(), Path("a.json"), weight)


def test_boxes_alone_are_all_that_a_detector_needs(boxes: AnnotatedFolder) -> None:
    mixing = MixingSettings(mosaic=0.5, copy_paste=1.0)  # nobody can be pasted
    detection = set_up(DetectionData, boxes, size=64, mixing=mixing)
    batches = list(detection.train_dataloader())
    assert sum(len(own) for batch in batches for own in batch.boxes_xyxy) > 5


def test_boxes_alone_are_ignored_by_what_learns_masks(
    masks: AnnotatedFolder, boxes: AnnotatedFolder
) -> None:
    foreground = set_up(ForegroundData, boxes, size=64)
    labels = torch.cat([batch.labels for batch in foreground.train_dataloader()])
    assert set(labels.unique().tolist()) == {0, IGNORED}
    with pytest.raises(DataError, match=r"people\.json has no image to train on"):
        set_up(RoiData, boxes)
    both = set_up(RoiData, masks, boxes)
    assert {image.path.parent for image in both.train_images} == {masks.images}


def test_where_not_everybody_is_annotated_the_rest_of_the_image_is_unknown(
    masks: AnnotatedFolder,
) -> None:
    partly = AnnotatedFolder(masks.images, masks.annotations, everybody=False)
    detection = set_up(DetectionData, masks, partly, size=64, mixing=MixingSettings(mosaic=0))
    for image in detection.train_images:
        sample = detection.training_sample(image, 0)
        shown = sample.ignored_xyxy[:, 2:] - sample.ignored_xyxy[:, :2]
        whole = (shown.prod(dim=1) == 64 * 48).any()  # of 320 x 240 pixels
        assert whole != image.everybody
    foreground = set_up(ForegroundData, partly, size=64)
    nobody, *others = (foreground.training_sample(p, 0) for p in foreground.train_images)
    assert (nobody.labels == IGNORED).all()
    assert all({0, 1, IGNORED} <= set(sample.labels.unique().tolist()) for sample in others)


def test_a_detector_is_not_validated_where_not_everybody_is_annotated(
    masks: AnnotatedFolder,
) -> None:
    partly = AnnotatedFolder(masks.images, masks.annotations, everybody=False)
    with pytest.raises(DataError, match="has not everybody"):
        set_up(DetectionData, partly, masks)


def extra(*sets: AnnotatedFolder) -> str:
    """As in a YAML."""
    listed = [
        {"images": str(s.images), "annotations": str(s.annotations)}
        | {"weight": s.weight, "everybody": s.everybody}
        for s in sets
    ]
    return f"--data.extra={json.dumps(listed)}"


def test_a_training_on_several_sets_goes_on_exactly_within_an_epoch(
    data: Data, boxes: AnnotatedFolder, tmp_path: Path
) -> None:
    partly = AnnotatedFolder(data.images, data.annotations, 0.25, everybody=False)
    more = extra(weighted(boxes, 1.5), partly)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert train(*unet_arguments(data, whole, 2), more) == 0
    interrupt = f"--trainer.callbacks+={SendSignal.__module__}.{SendSignal.__name__}"
    assert train(*unet_arguments(data, stopped, 2), more, interrupt) == 130
    assert train(*unet_arguments(data, stopped, 2), more, "--ckpt_path=last") == 0
    assert differing(whole / "last.ckpt", stopped / "last.ckpt") == []


def test_a_detector_trains_on_boxes_on_parts_and_on_images_of_nobody(
    data: Data, boxes: AnnotatedFolder, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    partly = AnnotatedFolder(data.images, data.annotations, everybody=False)
    images, annotations = write_data_set(tmp_path / "nobody", count=1)  # the first has nobody
    sets = extra(boxes, partly, AnnotatedFolder(images, annotations))
    arguments = ["fit", f"--config={CONFIGS / 'yolov9_t.yaml'}", *data.arguments(), sets]
    arguments += ["--data.size=64", "--trainer.max_epochs=1", f"--out={tmp_path / 'run'}"]
    assert train(*arguments) == 0, capfd.readouterr().err
