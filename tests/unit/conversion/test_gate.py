"""The gate measures versions in one process and refuses what is worse by more than the margin."""

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conversion import gate
from conversion.gate import Gate, GateError, Reference, judge, measure, recorded
from conversion.step_version import new_step_version
from peopleseg.labels.coco import load_people, people_split
from peopleseg.releases.errors import Refused
from peopleseg.releases.journal import Journal, Record
from peopleseg.repository.manifest import Manifest
from peopleseg.systems.people.accuracy import METRICS, NEEDED
from peopleseg.systems.people.agreement import MASK_TOLERANCE, agree
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.system import Accuracy
from peopleseg.systems.wiring import serving_versions
from tests.data.small_repository import (
    SCORE,
    write_detector,
    write_feature_head,
    write_head,
    write_images,
    write_small_repository,
)

ROOT = Path(__file__).parents[3]
ENSEMBLES = ("person_segmentation", "person_segmentation_from_boxes", "people_foreground")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1 sees people, head 2 is blind, detector 3 misses them, feature head 1 sees them."""
    made = write_small_repository(tmp_path_factory.mktemp("gate") / "repository")
    write_head(made, 2, bias=-1000)
    write_detector(made, 3, shift_px=90)
    write_feature_head(made, 1)
    return made


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return Reference(PEOPLE, *write_images(tmp_path_factory.mktemp("images"), count=2))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def examined(repository: Path, reference: Reference, cache: Path) -> Gate:
    image = (reference.images / "0.png").read_bytes()
    return Gate(PEOPLE, repository, [image], reference, cache=cache)


def test_networks_that_know_the_image_are_right_in_every_metric(
    repository: Path, reference: Reference, cache: Path
) -> None:
    found = measure(repository, serving_versions(repository, PEOPLE), reference, cache=cache)
    assert [found[name] for name in ("images", "people", "rois")] == [2, 2, 2]
    assert all(found[name] > 0.95 for name in METRICS)
    assert set(found) == {*METRICS, "images", "people", "rois"}


def test_the_head_on_features_has_its_own_metric(
    repository: Path, reference: Reference, cache: Path
) -> None:
    versions = serving_versions(repository, PEOPLE) | {"feature_head": 1, "roi_align_features": 1}
    assert measure(repository, versions, reference, cache=cache)["features_mask_ap50"] == 1.0


@pytest.mark.parametrize(
    ("change", "worse"),
    [
        ({"hierarchical_head": 2}, {"mask_ap50", "roi_miou"}),
        ({"yolov9": 3}, {"box_ap50"}),
    ],
)
def test_a_network_that_got_worse_is_refused_by_the_metrics_that_show_it(
    examined: Gate, change: dict[str, int], worse: set[str]
) -> None:
    serving = serving_versions(examined.repository, PEOPLE)
    judgement = examined.judge(serving, serving | change)
    assert {refusal.split()[0] for refusal in judgement.refusals} == worse
    assert judgement.metrics["measured_on"] == "people.json, 2 images"
    assert judgement.metrics["candidate"] != judgement.metrics["serving"]


def test_what_was_refused_when_it_was_measured_does_not_pass_unmeasured(
    examined: Gate, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    shutil.copytree(examined.repository, repository)
    gate, unmeasured = (
        replace(examined, repository=repository, reference=reference)
        for reference in (examined.reference, None)
    )
    serving = serving_versions(repository, PEOPLE)
    worse = serving | {"yolov9": 3}
    assert unmeasured.judge(serving, worse).refusals == []
    judged = gate.judge(serving, worse)
    record = Record(
        1, "worse", "release", worse, serving, {}, {}, [], metrics=judged.metrics, result="refused"
    )
    Journal(repository).append(record)
    (refusal,) = unmeasured.judge(serving, worse).refusals
    assert refusal.startswith("box_ap50 falls from") and "measured on people.json" in refusal
    assert unmeasured.judge(serving, serving).refusals == []
    passed = gate.judge(serving, serving)
    Journal(repository).append(replace(record, number=2, metrics=passed.metrics, result="serving"))
    assert unmeasured.judge(serving, worse).refusals == []


def test_boxes_alone_show_too_little_to_pass(
    examined: Gate, reference: Reference, tmp_path: Path
) -> None:
    data = json.loads(reference.annotations.read_text())
    for entry in data["annotations"]:
        del entry["segmentation"]
    annotations = tmp_path / "boxes.json"
    annotations.write_text(json.dumps(data))
    boxes_alone = replace(examined, reference=replace(reference, annotations=annotations))
    serving = serving_versions(examined.repository, PEOPLE)
    (refusal,) = boxes_alone.judge(serving, serving).refusals
    assert refusal.startswith(f"mask_ap50 cannot be measured on {annotations}")


def test_the_same_versions_pass(examined: Gate) -> None:
    serving = serving_versions(examined.repository, PEOPLE)
    assert examined.judge(serving, serving).refusals == []


def test_metrics_are_measured_once_for_the_same_versions_and_images(
    repository: Path, reference: Reference, tmp_path: Path
) -> None:
    serving = serving_versions(repository, PEOPLE)
    first = measure(repository, serving, reference, cache=tmp_path)

    def must_not_run(*_: Any) -> Any:
        raise AssertionError("measured again")

    unmeasured = replace(PEOPLE, accuracy=Accuracy(load_people, must_not_run, NEEDED, people_split))
    assert (
        measure(repository, serving, replace(reference, system=unmeasured), cache=tmp_path) == first
    )
    fewer = replace(reference, limit=1)
    for versions, images in ((serving | {"yolov9": 3}, reference), (serving, fewer)):
        with pytest.raises(AssertionError, match="measured again"):
            measure(repository, versions, replace(images, system=unmeasured), cache=tmp_path)


def test_metrics_are_measured_again_when_the_code_changes_that_measures() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in gate._code()}
    assert names >= {
        "conversion/gate.py",
        "peopleseg/systems/people/evaluation/metrics.py",
        "peopleseg/systems/people/results.py",
    }
    assert names >= {
        "peopleseg/pixels/masks.py",
        "peopleseg/systems/people/pipeline.py",
        "peopleseg/systems/people/evaluation/average_precision.py",
    }


def an_engine(repository: Path, version: int) -> dict[str, int]:
    """A mask head that only a server on its GPU can run; its version."""
    folder = write_head(repository, version)
    (folder / "model.onnx").rename(folder / "model.plan")
    hardware = {"gpu": "NVIDIA H200"}
    replace(Manifest.read(folder), artifact="model.plan", hardware=hardware).write(folder)
    return {"hierarchical_head": version}


def test_an_engine_is_refused_where_it_would_have_to_run_and_nowhere_else(
    examined: Gate, reference: Reference
) -> None:
    repository = examined.repository
    versions = serving_versions(repository, PEOPLE) | an_engine(repository, 7)
    asked = (
        examined,
        Gate(PEOPLE, repository, [], reference),
        Gate(PEOPLE, repository, examined.images),
    )
    for examiner in asked:
        (fault,) = examiner.faults(versions)
        assert fault.startswith("hierarchical_head/7 is a TensorRT engine")
        assert "--offline and without --annotations" in fault
    assert Gate(PEOPLE, repository, []).faults(versions) == []
    (refusal,) = examined.judge(versions, serving_versions(repository, PEOPLE)).refusals
    assert "hierarchical_head/7 is a TensorRT engine" in refusal


def test_versions_that_do_not_answer_in_one_process_are_refused(examined: Gate) -> None:
    versions = serving_versions(examined.repository, PEOPLE) | {"yolov9": 99}
    with pytest.raises(Refused, match="person_segmentation does not answer.*yolov9/99"):
        examined.responses(versions, "person_segmentation")


def test_a_version_that_fails_on_an_image_is_refused_with_its_name(
    examined: Gate, repository: Path
) -> None:
    write_head(repository, 4, roi_size_hw=(80, 60))
    graph = (repository / "hierarchical_head" / "4" / "model.onnx").read_bytes()
    (repository / "hierarchical_head" / "4" / "model.onnx").write_bytes(graph[: len(graph) // 2])
    serving = serving_versions(repository, PEOPLE)
    refusals = examined.judge(serving, serving | {"hierarchical_head": 4}).refusals
    assert len(refusals) == 1
    assert "0.png" in refusals[0]


def test_a_version_that_is_not_there_is_refused(examined: Gate) -> None:
    serving = serving_versions(examined.repository, PEOPLE)
    refusals = examined.judge(serving, serving | {"yolov9": 99}).refusals
    assert len(refusals) == 1 and "yolov9/99" in refusals[0]


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "cannot be used"), ('{"images": []}', "COCO"), (None, "No such file")],
)
def test_a_reference_set_that_cannot_be_read_is_named(
    examined: Gate, tmp_path: Path, content: str | None, said: str
) -> None:
    annotations = tmp_path / "people.json"
    if content is not None:
        annotations.write_text(content)
    serving = serving_versions(examined.repository, PEOPLE)
    unreadable = replace(examined, reference=Reference(PEOPLE, tmp_path, annotations))
    refusals = unreadable.judge(serving, serving).refusals
    assert len(refusals) == 1 and said in refusals[0]


def test_a_reference_set_of_nobody_measures_nothing(repository: Path, tmp_path: Path) -> None:
    annotations = tmp_path / "people.json"
    categories = [{"id": 1, "name": "person"}]
    nobody = {"images": [], "annotations": [], "categories": categories}
    annotations.write_text(json.dumps(nobody))
    with pytest.raises(GateError, match="has nobody in its 0 images"):
        measure(repository, {}, Reference(PEOPLE, tmp_path, annotations), cache=tmp_path)


@pytest.mark.parametrize(
    ("before", "after", "margin", "refused"),
    [
        (0.60, 0.60, 0.01, False),
        (0.60, 0.59, 0.011, False),
        (0.60, 0.58, 0.01, True),
        (0.60, 0.58, 0.03, False),
        (0.60, 0.90, 0.0, False),
        (0.60, math.nan, 0.01, True),
        (0.60, None, 0.01, True),
        (None, 0.10, 0.01, False),
        (155, 20, 0.01, False),
    ],
)
def test_a_metric_is_refused_when_it_falls_by_more_than_the_margin(
    before: float | None, after: float | None, margin: float, refused: bool
) -> None:
    assert bool(judge({"roi_miou": before}, {"roi_miou": after}, margin)) == refused


def test_a_metric_that_is_gone_is_refused() -> None:
    assert judge({"roi_miou": 0.6}, {}) == ["roi_miou was 0.6000 and cannot be measured any more"]


def write_accuracy(repository: Path, version: int, value: float, data: str) -> None:
    folder = write_head(repository, version)
    manifest = Manifest.read(folder)
    replace(manifest, accuracy={"roi_miou": value}, accuracy_data=data).write(folder)


@pytest.mark.parametrize(
    ("value", "data", "refused"),
    [(0.7, "val", False), (0.5, "val", True), (0.7, "another set", True)],
)
def test_without_a_reference_set_the_manifests_are_compared_on_the_same_data(
    tmp_path: Path, value: float, data: str, refused: bool
) -> None:
    repository = write_small_repository(tmp_path / "repository")
    write_accuracy(repository, 1, 0.6, "val")
    write_accuracy(repository, 2, value, data)
    serving = serving_versions(repository, PEOPLE)
    candidate = serving | {"hierarchical_head": 2}
    judgement = Gate(PEOPLE, repository, []).judge(serving, candidate)
    assert bool(judgement.refusals) == refused
    assert judgement.metrics["measured_on"].startswith("nothing")
    assert judgement.metrics["candidate"] == {f"hierarchical_head roi_miou ({data})": value}


def test_metrics_of_data_that_nobody_named_are_not_compared(tmp_path: Path) -> None:
    repository = write_small_repository(tmp_path / "repository")
    write_accuracy(repository, 1, 0.6, "")
    write_accuracy(repository, 2, 0.1, "")
    serving = serving_versions(repository, PEOPLE)
    judgement = Gate(PEOPLE, repository, []).judge(serving, serving | {"hierarchical_head": 2})
    assert judgement.refusals == []
    assert judgement.metrics["candidate"] == {}


def test_a_version_without_a_manifest_has_no_metrics(repository: Path) -> None:
    with pytest.raises(GateError, match="manifest.json"):
        recorded(repository, {"yolov9": 99})


@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_the_same_versions_answer_alike_and_others_do_not(examined: Gate, ensemble: str) -> None:
    serving = serving_versions(examined.repository, PEOPLE)
    expected = examined.responses(serving, ensemble)
    assert len(expected) == 1
    again = examined.responses(serving, ensemble)[0]
    assert examined.difference(serving, again, expected[0]) is None
    changed = {"people_foreground": {}}.get(ensemble, {"hierarchical_head": 2})
    other = examined.responses(serving | changed, ensemble)[0]
    difference = examined.difference(serving, other, expected[0])
    assert bool(difference) == bool(changed)


def test_the_features_ensemble_is_answered_as_the_pipeline_does(examined: Gate) -> None:
    versions = {"feature_head": 1, "roi_align_features": 1}
    responses = examined.responses(versions, "person_segmentation_features")
    assert responses[0]["masks"].shape == (1, 56, 56)


def a_response() -> dict[str, Any]:
    masks = np.zeros((2, 8, 6), dtype=np.uint8)
    masks[:, 2:6, 2:4] = 255
    return {
        "boxes": np.array([[0, 0, 60, 80], [100, 100, 400, 500]], dtype=np.float32),
        "scores": np.array([SCORE, 0.5], dtype=np.float32),
        "masks": masks,
        "rles": np.array([b"{}", b"{}"], dtype=np.object_),
    }


def people(response: dict[str, Any], chosen: list[int]) -> dict[str, Any]:
    return {name: values[chosen] for name, values in response.items()}


def test_a_response_agrees_with_itself_in_any_order() -> None:
    assert agree(a_response(), a_response()) is None
    assert agree(people(a_response(), [1, 0]), a_response()) is None


def test_nobody_agrees_with_nobody_alone() -> None:
    nobody = people(a_response(), [])
    assert agree(nobody, nobody) is None
    assert "not found" in str(agree(nobody, a_response()))
    assert "should not be found" in str(agree(a_response(), nobody))


def test_somebody_at_the_smallest_score_may_come_or_go() -> None:
    marginal = a_response()
    marginal["scores"][1] = 0.06
    assert agree(people(marginal, [0]), marginal) is None
    assert agree(marginal, people(marginal, [0])) is None


def test_the_smallest_score_is_that_of_the_versions(tmp_path: Path) -> None:
    repository = write_small_repository(tmp_path / "repository")
    stricter = new_step_version(repository, "select_people", {"min_score": 0.2})
    marginal = a_response()
    marginal["scores"][1] = 0.201
    serving = serving_versions(repository, PEOPLE)
    examiner = Gate(PEOPLE, repository, [])
    found = people(marginal, [0])
    assert "not found" in str(examiner.difference(serving, found, marginal))
    versions = serving | {"select_people": int(stricter.name)}
    assert examiner.difference(versions, found, marginal) is None
    assert examiner.difference({}, found, marginal) is not None, "of people_foreground alone"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda response: response["boxes"][0].__iadd__(3), "is not found"),
        (
            lambda response: response["scores"][1:].__iadd__(0.05),
            "person 1 has score 0.550 instead",
        ),
        (lambda response: response["scores"].fill(np.nan), "has score nan"),
        (lambda response: response["boxes"].fill(np.nan), "is not found"),
        (lambda response: response["masks"][1].fill(0), "the mask of person 1 differs by"),
        (lambda response: response.update(masks=response["masks"][:, 1:]), r"shape \[7, 6\]"),
        (lambda response: response.update(rles=response["rles"][1:]), "differ in length"),
    ],
)
def test_answers_of_other_versions_do_not_agree(
    change: Callable[[dict[str, Any]], Any], said: str
) -> None:
    found = a_response()
    change(found)
    with pytest.raises(AssertionError, match=said):
        assert agree(found, a_response()) is None


def test_rounding_agrees() -> None:
    found = a_response()
    found["boxes"] += 0.5
    found["scores"] -= 0.01
    found["masks"][:, 0, 0] += 1
    assert agree(found, a_response()) is None


def test_foreground_maps_agree_within_the_tolerance_and_of_one_size() -> None:
    dark = {"foreground": np.zeros((4, 5), dtype=np.uint8)}
    for level, agrees in ((int(MASK_TOLERANCE), True), (int(MASK_TOLERANCE) + 1, False)):
        grey = {"foreground": np.full((4, 5), level, dtype=np.uint8)}
        assert (agree(grey, dark) is None) == agrees
    assert "shape" in str(agree({"foreground": np.zeros((5, 4), dtype=np.uint8)}, dark))


def test_what_is_recorded_can_be_written_as_json(examined: Gate) -> None:
    serving = serving_versions(examined.repository, PEOPLE)
    metrics = examined.judge(serving, serving).metrics
    assert json.loads(json.dumps(metrics)) == metrics
