"""Measuring networks: ones that know the truth by its colour score highly, others do not."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from peopleseg.labels.coco import AnnotatedImage
from peopleseg.networks.checkpoint import Loaded
from tests.data.red_people import (
    Blind,
    RedDetector,
    RedFeatureHead,
    RedHead,
    RedUNet,
    red_images,
)
from training.validation.people.evaluation import evaluate

METRICS_ON_TRUE_BOXES = {"instance_miou", "roi_miou", "two_class_miou", "boundary_iou"}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[AnnotatedImage]:
    return red_images(tmp_path_factory.mktemp("red"))


def measure(
    family: str, network: nn.Module, images: list[AnnotatedImage], **companions: nn.Module
) -> dict[str, float]:
    return evaluate(Loaded(family, {}, network, {}, companions), images)


def test_a_unet_that_knows_scores_highly_and_its_negative_next_to_nothing(
    images: list[AnnotatedImage],
) -> None:
    knowing = measure("people_unet", RedUNet(), images)
    assert list(knowing) == ["people_seg_miou"] and knowing["people_seg_miou"] > 0.97
    assert measure("people_unet", RedUNet(sign=-1.0), images)["people_seg_miou"] < 0.05


def test_a_detector_that_knows_scores_one_and_one_that_is_off_does_not(
    images: list[AnnotatedImage],
) -> None:
    knowing = measure("yolov9", RedDetector(), images)
    assert knowing.keys() == {"box_ap", "box_ap50", "box_recall"}
    assert knowing["box_ap50"] == pytest.approx(1.0) and knowing["box_recall"] == 1.0
    assert knowing["box_ap"] > 0.9
    shifted = measure("yolov9", RedDetector(shift_px=30.0), images)
    assert 0 < shifted["box_ap"] < knowing["box_ap"]
    unsure = measure("yolov9", RedDetector(score=0.02), images)
    assert unsure["box_ap50"] == pytest.approx(1.0) and unsure["box_recall"] == 0


def test_a_head_that_knows_scores_highly_end_to_end(images: list[AnnotatedImage]) -> None:
    metrics = measure("hierarchical_head", RedHead(), images, detector=RedDetector())
    assert metrics.keys() == METRICS_ON_TRUE_BOXES | {"mask_ap", "mask_ap50"}
    assert metrics["instance_miou"] > 0.97 and metrics["roi_miou"] > 0.97
    assert metrics["boundary_iou"] > 0.8
    assert metrics["mask_ap50"] == pytest.approx(1.0) and metrics["mask_ap"] > 0.9
    off = measure("hierarchical_head", RedHead(), images, detector=RedDetector(shift_px=50.0))
    assert off["mask_ap"] < metrics["mask_ap"] and off["roi_miou"] == metrics["roi_miou"]


def test_without_a_detector_masks_are_measured_on_true_boxes_alone(
    images: list[AnnotatedImage],
) -> None:
    assert measure("hierarchical_head", RedHead(), images).keys() == METRICS_ON_TRUE_BOXES


def test_a_head_on_features_reads_padded_boxes(images: list[AnnotatedImage]) -> None:
    knowing = measure("feature_head", RedFeatureHead(), images, detector=RedDetector())
    assert knowing["instance_miou"] > 0.9 and knowing["mask_ap50"] == pytest.approx(1.0)
    blind = measure("feature_head", Blind(), images, detector=RedDetector())
    assert blind["instance_miou"] == blind["two_class_miou"] == blind["mask_ap"] == 0
    with pytest.raises(ValueError, match="detector"):
        measure("feature_head", RedFeatureHead(), images)


def test_who_has_a_box_alone_counts_for_the_detector_and_not_for_masks(
    images: list[AnnotatedImage],
) -> None:
    two = images[0]
    first, second = two.annotations
    partly = replace(two, annotations=[replace(first, segmentation=None), second])
    metrics = measure("hierarchical_head", RedHead(), [partly], detector=RedDetector())
    assert metrics["mask_ap50"] == pytest.approx(1.0) and metrics["roi_miou"] > 0.97
    alone = measure("hierarchical_head", RedHead(), [replace(two, annotations=[second])])
    assert alone["roi_miou"] == metrics["roi_miou"]
    assert measure("yolov9", RedDetector(), [partly])["box_recall"] == 1.0
    assert measure("people_unet", RedUNet(), [partly])["people_seg_miou"] > 0.97

    nobody = replace(two, annotations=[replace(a, segmentation=None) for a in two.annotations])
    unknown = measure("hierarchical_head", RedHead(), [nobody], detector=RedDetector())
    assert all(math.isnan(value) for value in unknown.values())


def test_images_of_nobody_leave_nothing_to_measure_of_masks(images: list[AnnotatedImage]) -> None:
    metrics = measure("hierarchical_head", RedHead(), images[1:2], detector=RedDetector())
    assert all(math.isnan(value) for value in metrics.values())


def test_an_image_that_breaks_is_named_and_left_out(
    images: list[AnnotatedImage], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "half.png"
    broken.write_bytes(images[0].path.read_bytes()[:-40])
    with_broken = [*images, replace(images[0], id=99, path=broken)]
    assert measure("yolov9", RedDetector(), with_broken)["box_recall"] == 1.0
    assert "half.png" in capsys.readouterr().err
    with pytest.raises(ValueError, match="none of 1 images"):
        measure("people_unet", RedUNet(), with_broken[-1:])
