"""Metrics of a data set, and the class weights from them."""

import json
from pathlib import Path

import numpy as np
import pytest

from peopleseg.labels.coco import AnnotatedImage, Annotation, load_images
from tests.data.people_images import write_data_set
from training.data.images import DataError
from training.data.statistics import (
    class_weights,
    read_class_weights,
    separation_aware,
    statistics,
    table,
)


def person(x1: float, y1: float, x2: float, y2: float, crowd: bool = False) -> Annotation:
    """Exactly its box."""
    return Annotation((x1, y1, x2, y2), [[x1, y1, x2, y1, x2, y2, x1, y2]], crowd)


def image(*people: Annotation) -> AnnotatedImage:
    return AnnotatedImage(1, Path("none.jpg"), 320, 160, list(people))


# --- weights


def test_the_published_weights_come_out():
    plain = class_weights((0.4864665, 0.3659776, 0.1475558))
    np.testing.assert_allclose(plain, [0.594192, 0.828981, 1.576826], atol=2e-6)
    np.testing.assert_allclose(separation_aware(plain), [0.537671, 0.750127, 1.712202], atol=2e-6)


@pytest.mark.parametrize("ratios", [(0.2, 0.3, 0.5), (0.9, 0.1, 0.0), (1 / 3, 1 / 3, 1 / 3)])
def test_weights_sum_to_3_and_the_rarer_weighs_more(ratios):
    for weights in (class_weights(ratios), separation_aware(class_weights(ratios))):
        assert sum(weights) == pytest.approx(3)
    weights = class_weights(ratios)
    assert np.argsort(weights).tolist() == np.argsort([-r for r in ratios]).tolist()


@pytest.mark.parametrize("ratios", [(0.5, 0.5), (1.0, 0.0, 0.0), (-0.1, 0.6, 0.5), (0.5,) * 4])
def test_what_are_no_ratios_is_named(ratios):
    with pytest.raises(ValueError, match="expected 3 numbers from 0 to below 0.999"):
        class_weights(ratios)


# --- metrics


def test_metrics_of_images_counted_by_hand():
    alone = image(person(0, 0, 100, 100))
    overlapping = image(person(0, 0, 40, 40), person(20, 0, 60, 40), person(200, 100, 215, 160))
    crowded = image(person(0, 0, 300, 150, crowd=True))
    metrics = statistics([alone, overlapping, crowded, image()], roi_padding=0.1)
    assert metrics["images"] == 4 and metrics["images_with_people"] == 2
    assert metrics["people"] == 4 and metrics["crowds"] == 1
    assert metrics["people_per_image"] == {"mean": 2.0, "max": 3, "histogram": {"1": 1, "3": 1}}
    assert metrics["multi_person_images"] == 1 and metrics["multi_person_share"] == 0.5
    overlaps = metrics["overlaps"]
    assert overlaps["images"] == overlaps["pairs"] == 1 and overlaps["image_share"] == 0.5
    assert overlaps["max_box_iou"] == pytest.approx(1 / 3)
    assert overlaps["mean_box_iou"] == pytest.approx(1 / 9)
    rois = metrics["rois"]
    assert rois["count"] == 3  # the third of `overlapping` is 15 pixels wide
    assert rois["width_px"] == {"mean": 120.0, "median": 80.0}  # twice as large in the network
    assert rois["height_px"] == {"mean": 120.0, "median": 80.0}
    # Padded: 110 x 110 with 100 x 100 of the target; 44 x 44 and 48 x 44 with 40 x 40 of the target
    # and 4 x 40 of the other one.
    pixels = np.array([2100 + 176 + 352, 100 * 100 + 2 * 40 * 40, 2 * 4 * 40])
    ratios = rois["pixel_ratios"]
    assert list(ratios) == ["background", "target", "non_target"]
    np.testing.assert_allclose(list(ratios.values()), pixels / pixels.sum())
    shares = [100 * 100 / 51200, (60 * 40 + 15 * 60) / 51200]
    assert metrics["person_pixel_ratio"] == pytest.approx(np.mean(shares))


@pytest.mark.parametrize("padding", [0.0, 0.1, 0.5])
def test_pixel_ratios_are_counted_pixel_by_pixel(tmp_path, padding):
    images, annotations = write_data_set(tmp_path, count=5, seed=3)
    annotated_images = load_images(annotations, images)
    counted = np.zeros(3)
    for each in annotated_images:
        masks = [p.mask(each.height, each.width) for p in each.people]
        for index, someone in enumerate(each.people):
            x1, y1, x2, y2 = someone.box_xyxy
            dx, dy = padding * (x2 - x1), padding * (y2 - y1)
            if min(x2 - x1, y2 - y1) < 16:
                continue
            for y in range(max(0, int(np.floor(y1 - dy))), min(each.height, int(np.ceil(y2 + dy)))):
                row = slice(max(0, int(np.floor(x1 - dx))), min(each.width, int(np.ceil(x2 + dx))))
                target = masks[index][y, row] > 0
                others = np.any([m[y, row] for m in masks], axis=0) & ~target
                counted += (~target & ~others).sum(), target.sum(), others.sum()
    metrics = statistics(annotated_images, padding)
    ratios = list(metrics["rois"]["pixel_ratios"].values())
    np.testing.assert_allclose(ratios, counted / counted.sum())
    assert counted.min() > 0
    np.testing.assert_allclose(metrics["class_weights"]["plain"], class_weights(ratios))


def test_pixels_are_those_of_masks_and_boxes_of_everybody():
    box_alone = Annotation((20, 0, 60, 40), None, crowd=False)
    metrics = statistics([image(person(0, 0, 40, 40), box_alone)], roi_padding=0.5)
    assert metrics["people"] == 2 and metrics["people_without_mask"] == 1
    assert metrics["rois"]["count"] == 2 and metrics["overlaps"]["pairs"] == 1
    # 60 x 60 with 40 x 40 of the target; of the other's box 20 x 40 is under no mask.
    background, target = 3600 - 1600 - 800, 1600
    ratios = metrics["rois"]["pixel_ratios"]
    assert list(ratios.values()) == [background / 2800, target / 2800, 0.0]
    assert metrics["person_pixel_ratio"] == pytest.approx(1600 / (320 * 160 - 800))


def test_boxes_alone_have_no_pixels_and_no_class_weights(tmp_path):
    box_alone = Annotation((20, 0, 60, 40), None, crowd=False)
    metrics = statistics([image(box_alone)])
    assert metrics["rois"]["count"] == metrics["people_without_mask"] == 1
    assert metrics["rois"]["pixel_ratios"] is None and metrics["person_pixel_ratio"] is None
    assert "class_weights                    -\n" in table(metrics) + "\n"
    path = tmp_path / "stats.json"
    path.write_text(json.dumps(metrics))
    with pytest.raises(DataError, match="has no 3 class weights"):
        read_class_weights(path)


def test_a_data_set_without_anybody_is_named():
    with pytest.raises(DataError, match="none of the 2 images has a person of 16 pixels"):
        statistics([image(), image(person(0, 0, 300, 15))])


def test_the_table_has_every_metric():
    printed = table(statistics([image(person(0, 0, 100, 100), person(50, 10, 150, 140))]))
    assert "images_with_people               1\n" in printed
    assert "people_per_image.histogram       2:1\n" in printed
    assert "class_weights.separation_aware" in printed


# --- the file that training reads


def test_weights_are_read_back(tmp_path):
    metrics = statistics([image(person(0, 0, 100, 100), person(50, 10, 150, 140))])
    path = tmp_path / "stats.json"
    path.write_text(json.dumps(metrics))
    assert read_class_weights(path) == tuple(metrics["class_weights"]["separation_aware"])


@pytest.mark.parametrize(
    "text", ["{}", "[]", "no json", '{"class_weights": {"separation_aware": [1, 2]}}']
)
def test_another_file_has_no_weights_and_says_so(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"other\.json has no 3 class weights .* data-stats"):
        read_class_weights(path)
    with pytest.raises(DataError, match="No such file .*none.json"):
        read_class_weights(tmp_path / "none.json")
