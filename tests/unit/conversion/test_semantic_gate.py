"""Releases of the semantic system are judged on label maps."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conversion import gate
from conversion.gate import Gate, GateError, Reference, judge
from peopleseg.systems.semantic.accuracy import METRICS
from peopleseg.systems.semantic.contract import VOC_CLASSES
from peopleseg.systems.semantic.evaluation.metrics import ENOUGH_IMAGES
from peopleseg.systems.semantic.palette import palette_png
from peopleseg.systems.semantic.system import SYSTEM
from tests.data.small_deeplab import write_deeplab, write_labelled, write_semantic_repository

VERSIONS = {
    "deeplab": 1,
    "preprocess": 2,
    "postprocess_classes": 1,
    "postprocess_confidence": 1,
    "classes_to_png": 1,
}
BLIND = VERSIONS | {"deeplab": 2}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """deeplab/2 sees background alone."""
    made = write_semantic_repository(tmp_path_factory.mktemp("gate") / "repository")
    write_deeplab(made, 2, red_is=0)
    return made


@pytest.fixture
def reference(tmp_path: Path) -> Reference:
    return Reference(SYSTEM, *write_labelled(tmp_path / "data"))


@pytest.fixture
def examined(repository: Path, reference: Reference, tmp_path: Path) -> Gate:
    return Gate(SYSTEM, repository, [], reference, cache=tmp_path / "cache")


def test_the_metrics_are_those_of_the_label_maps(examined: Gate) -> None:
    judgement = examined.judge(VERSIONS, VERSIONS)
    found = judgement.metrics["candidate"]
    assert judgement.refusals == []
    assert found["miou_present"] > 0.9 and found["pixel_accuracy"] > 0.95
    assert found["images"] == 2 and found["iou person"] is None
    assert set(found) == {*METRICS, "images", *(f"iou {name}" for name in VOC_CLASSES)}
    assert judgement.metrics["measured_on"] == "labels, 2 images"
    assert json.loads(json.dumps(judgement.metrics)) == judgement.metrics


def test_a_network_that_got_worse_is_refused(examined: Gate) -> None:
    refusals = examined.judge(VERSIONS, BLIND).refusals
    assert {refusal.split()[0] for refusal in refusals} == set(METRICS)


def test_a_class_that_enough_images_show_is_judged_by_itself(
    repository: Path, tmp_path: Path
) -> None:
    reference = Reference(SYSTEM, *write_labelled(tmp_path / "data", count=ENOUGH_IMAGES))
    examined = Gate(SYSTEM, repository, [], reference, cache=tmp_path / "cache")
    refusals = examined.judge(VERSIONS, BLIND).refusals
    assert any(refusal.startswith("iou person falls from 0.9") for refusal in refusals)


def test_the_first_release_has_nothing_to_be_worse_than(examined: Gate) -> None:
    judgement = examined.judge({}, BLIND)
    assert judgement.refusals == [] and judgement.metrics["serving"] == {}


def test_what_is_none_is_not_compared() -> None:
    assert judge({"iou cat": None}, {"iou cat": 0.1}) == []
    assert judge({"iou cat": None}, {"iou cat": None}) == []


def test_other_labels_of_the_same_images_are_measured_anew(
    repository: Path, reference: Reference, tmp_path: Path
) -> None:
    first = gate.measure(repository, VERSIONS, reference, cache=tmp_path)
    nobody = palette_png(np.zeros((90, 120), np.uint8))
    (reference.annotations / "0.png").write_bytes(nobody)
    again = replace(reference)  # which reads the files once more
    assert gate.measure(repository, VERSIONS, again, cache=tmp_path) != first
    assert gate.measure(repository, VERSIONS, reference, cache=tmp_path) == first


def test_labels_of_unknown_alone_show_too_little_to_pass(
    examined: Gate, reference: Reference
) -> None:
    for path in reference.annotations.iterdir():
        path.write_bytes(palette_png(np.full((90, 120), 255, np.uint8)))
    refusals = examined.judge(VERSIONS, VERSIONS).refusals
    assert [refusal.split()[0] for refusal in refusals] == ["miou_present", "pixel_accuracy"]
    assert all("cannot be measured" in refusal for refusal in refusals)


def test_labels_that_cannot_be_used_are_named(examined: Gate, reference: Reference) -> None:
    path = reference.annotations / "1.png"
    path.write_bytes(palette_png(np.full((90, 120), 21, np.uint8)))
    (refusal,) = examined.judge(VERSIONS, VERSIONS).refusals
    assert "1.png has the class 21; expected 0 to 20" in refusal
    path.with_name("2.png").write_bytes(path.read_bytes())
    again = replace(examined, reference=replace(reference))
    (refusal,) = again.judge(VERSIONS, VERSIONS).refusals
    assert refusal.startswith("the reference set cannot be used:") and "has no image" in refusal


def test_a_system_without_metrics_says_so(repository: Path, reference: Reference) -> None:
    unmeasured = replace(reference, system=replace(SYSTEM, accuracy=None))
    with pytest.raises(GateError, match="semantic is not measured; release it without"):
        gate.measure(repository, VERSIONS, unmeasured)
