"""Scores fitted to how often they are right, and the versions that a fit becomes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from conversion.score_fitting import Found, best_min_score, fit, fit_masks, log_loss
from peopleseg.checks.check import planned_faults
from peopleseg.cli.main import main
from peopleseg.labels.coco import load_images
from peopleseg.repository.manifest import StepManifest
from peopleseg.systems.people.person import Person
from peopleseg.systems.people.pipeline import PeoplePipeline
from peopleseg.systems.people.scores import ScoreFit
from peopleseg.systems.people.system import PEOPLE
from tests.data.small_repository import (
    write_head,
    write_images,
    write_people_unet,
    write_small_repository,
)

TRUE_FIT = ScoreFit(detection=1.6, mask=3.0, shift=0.5, presence=0.8)


def found_by(true: ScoreFit, count: int, random: np.random.Generator) -> Found:
    scores, confidences = random.uniform(0.01, 0.95, count), random.uniform(0.5, 1, count)
    presence_logits = random.normal(1, 3, count)
    right = random.uniform(0, 1, count) < true(scores, confidences, presence_logits)
    return Found(scores, confidences, presence_logits, right, int(right.sum()) + 10)


def sure_of(scores: list[float], right: list[bool], people: int) -> Found:
    """Everybody with the same clear mask, and certainly there."""
    same, certain = np.full(len(scores), 0.9), np.full(len(scores), 20.0)
    return Found(np.array(scores), same, certain, np.array(right), people)


def test_a_fit_finds_what_made_the_people_right(random: np.random.Generator) -> None:
    found = found_by(TRUE_FIT, 20_000, random)
    fitted = fit(found)
    assert fitted.detection == pytest.approx(TRUE_FIT.detection, rel=0.1)
    assert fitted.mask == pytest.approx(TRUE_FIT.mask, rel=0.2)
    assert fitted.shift == pytest.approx(TRUE_FIT.shift, abs=0.15)
    assert fitted.presence == pytest.approx(TRUE_FIT.presence, rel=0.15)


def test_a_fit_is_never_worse_than_the_detectors_scores(random: np.random.Generator) -> None:
    for shift in (-2.0, 0.0, 1.5):
        found = found_by(ScoreFit(0.7, 1.0, shift), 500, random)
        fitted = found.fitted(fit(found))
        assert log_loss(fitted, found.right) <= log_loss(found.scores, found.right)
        low, middle = np.quantile(fitted, [0, 0.5])
        lower = (fitted >= low) & (fitted < middle)
        assert fitted[lower].mean() == pytest.approx(found.right[lower].mean(), abs=0.1)


def test_few_people_pull_the_fit_little() -> None:
    fitted = fit(sure_of([0.6, 0.4], [True, False], 1))
    assert all(np.isfinite([fitted.detection, fitted.mask, fitted.shift]))
    assert fitted.detection <= 5


def test_a_head_that_is_certain_of_everybody_tells_nothing(random: np.random.Generator) -> None:
    found = found_by(TRUE_FIT, 500, random)
    assert fit(found._replace(presence_logits=np.full(500, 20.0))).presence == 0


@pytest.mark.parametrize("right", [[True, True], [False, False]])
def test_where_nothing_is_to_be_told_apart_there_is_no_fit(right: list[bool]) -> None:
    found = sure_of([0.6, 0.4], right, 2)
    with pytest.raises(ValueError, match=r"of 2 people found [02] are right; a fit needs"):
        fit(found)


def test_answers_begin_where_f1_is_best() -> None:
    found = sure_of([0.9, 0.8, 0.7, 0.3, 0.2], [True, True, True, False, False], 3)
    point = best_min_score(found, ScoreFit(1, 0, 0))
    assert 0.3 < point.score <= 0.7 and point.precision == point.recall == 1


class OffBy:
    """Answers with masks of the upper quarter, and of the second one with a logit of -`gap`."""

    def __init__(self, gap: float) -> None:
        self.gap = gap

    def segment_from_boxes(self, image: bytes, boxes_xyxy: ArrayLike, /) -> list[Person]:
        logits = np.full((32, 24), -4.0)
        logits[:8], logits[8:16] = 4.0, -self.gap
        mask = np.rint(255 / (1 + np.exp(-logits))).astype(np.uint8)
        return [Person(tuple(box), 1.0, mask, {}) for box in np.asarray(boxes_xyxy).tolist()]


@pytest.mark.parametrize(("gap", "truly_person"), [(0.6, 1 / 2), (-0.6, 1 / 4)])
def test_masks_end_where_their_iou_is_best(gap: float, truly_person: float, tmp_path: Path) -> None:
    images, annotations = write_images(tmp_path)
    data = json.loads(annotations.read_text())
    for entry in data["annotations"]:
        x, y, width, height = entry["bbox"]
        end = y + truly_person * height
        entry["segmentation"] = [[x, y, x + width, y, x + width, end, x, end]]
    annotations.write_text(json.dumps(data))
    segmenter: Any = OffBy(gap)
    found = fit_masks(segmenter, load_images(annotations, images))
    assert found.miou_before == pytest.approx(0.5, abs=0.05)
    assert found.miou > 0.95
    assert found.shift == pytest.approx(1.1 * gap, abs=0.07)  # the next one beyond


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """Images of which half show the person where the detector says that one is."""
    repository = write_small_repository(tmp_path / "repository")
    images, annotations = write_images(tmp_path / "images", count=6)
    data = json.loads(annotations.read_text())
    for entry in data["annotations"]:
        if entry["image_id"] % 2:
            entry.update(bbox=[0, 0, 20, 20], segmentation=[[0, 0, 20, 0, 20, 20, 0, 20]])
    annotations.write_text(json.dumps(data))
    return [
        f"--images={images}",
        f"--annotations={annotations}",
        f"--model-repository={repository}",
    ]


def run(*arguments: str) -> int:
    return main(["fit-scores", *arguments])


def test_the_command_writes_two_versions_that_belong_together(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments, "--max-mask-iou=0.6") == 0
    said = capsys.readouterr().out
    assert "best F1" in said and "select_people=2 postprocess=2" in said
    repository = tmp_path / "repository"
    changes = {"select_people": 2, "postprocess": 2}
    assert planned_faults(repository, PEOPLE, changes) == []
    selects, responses = (StepManifest.read(repository / s / "2").settings for s in changes)
    assert selects["score_fit"] == responses["score_fit"] and len(selects["score_fit"]) == 4
    assert selects["min_score"] == responses["min_score"] and responses["max_mask_iou"] == 0.6
    assert f"mask shift {responses['mask_shift']:g}: mean IoU in true boxes" in said
    image = next((tmp_path / "images").rglob("*.png")).read_bytes()
    (score,) = PeoplePipeline(repository, versions=changes).segment(image, min_score=0.01).scores
    assert score == pytest.approx(0.5, abs=0.15)  # half of those found are right


def test_the_models_that_were_fitted_to_are_in_the_line_that_serves_them(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_people_unet(tmp_path / "repository", 2)
    assert run(*arguments, "--with", "people_unet=2") == 0
    said = capsys.readouterr().out
    assert "release NAME people_unet=2 select_people=2 postprocess=2" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--with", "people_unet=9"], "version 9 of people_unet, which is not there"),
        (["--with", "hierarchical_head=2"], "hierarchical_head/2 reads roi_features [5, 32, 24]"),
    ],
)
def test_what_cannot_be_fitted_is_said_before_anything_is_measured(
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    said: str,
) -> None:
    write_head(tmp_path / "repository", 2, channels=5)
    before = sorted((tmp_path / "repository").rglob("*"))
    assert run(*arguments, *options) == 1
    assert said in capsys.readouterr().err
    assert sorted((tmp_path / "repository").rglob("*")) == before


def test_where_f1_is_0_there_is_no_score_to_begin_at() -> None:
    with pytest.raises(ValueError, match="F1 is 0 from every score on"):
        best_min_score(sure_of([0.6, 0.4], [False, False], 2), ScoreFit(1, 0, 0))


def test_a_dry_run_writes_nothing(arguments: list[str], tmp_path: Path) -> None:
    before = sorted((tmp_path / "repository").rglob("*"))
    assert run(*arguments, "--dry-run") == 0
    assert sorted((tmp_path / "repository").rglob("*")) == before


def test_images_that_cannot_be_measured_end_in_a_sentence(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, annotations, repository = arguments
    (tmp_path / "none.json").write_text("{}")
    assert run(images, f"--annotations={tmp_path / 'none.json'}", repository) == 1
    assert "is not a COCO annotation file" in capsys.readouterr().err
