"""Accuracy metrics, with responses whose metrics are known."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from peopleseg import Person
from peopleseg.cli.evaluation import NAME_WIDTH
from peopleseg.cli.main import main
from peopleseg.cli.people import evaluate as people
from peopleseg.cli.people.evaluate import table
from peopleseg.labels.coco import AnnotatedImage, Annotation, load_images
from peopleseg.pixels.masks import encode_rle, grid_mask
from peopleseg.systems.people.contract import MASK_SIZE_HW, MAX_PEOPLE
from peopleseg.systems.people.evaluation.metrics import foreground_iou
from tests.data.fake_triton import FakeTriton, one_person
from tests.data.people_images import write_data_set

SURE = np.uint8(255)  # probability x 255
KEYS = {
    *("mask_ap", "mask_ap50", "box_ap", "box_ap50", "roi_miou", "foreground_miou"),
    *("images", "people", "rois", "seconds", "failed"),
}


def evaluate(segmenter: Any, images: list[AnnotatedImage], **options: Any) -> dict[str, Any]:
    return people.evaluate(segmenter, images, **options)[1]


class Perfect:
    """Knows the truth of every image by its bytes, and is sure of it."""

    def __init__(self, images: list[AnnotatedImage]) -> None:
        self.images = {p.path.read_bytes(): p for p in images if p.path.is_file()}
        self.largest_request = 0
        self.min_scores: set[float | None] = set()

    def segment(self, image: bytes, *, min_score: float | None) -> list[Person]:
        self.min_scores.add(min_score)
        annotated_image = self.images[image]
        return [self.person(annotated_image, person, 0.9) for person in annotated_image.people]

    def segment_from_boxes(self, image: bytes, boxes_xyxy: ArrayLike) -> list[Person]:
        annotated_image = self.images[image]
        boxes = np.asarray(boxes_xyxy)
        self.largest_request = max(self.largest_request, len(boxes))
        by_box = {
            tuple(np.array(p.box_xyxy, np.float32).tolist()): p for p in annotated_image.people
        }
        return [self.person(annotated_image, by_box[tuple(box)], 1.0) for box in boxes.tolist()]

    def foreground(self, image: bytes) -> NDArray[np.uint8]:
        annotated_image = self.images[image]
        union = np.zeros((annotated_image.height, annotated_image.width), dtype=np.uint8)
        for person in annotated_image.people:
            union |= person.mask(annotated_image.height, annotated_image.width)
        return union * SURE

    def person(self, image: AnnotatedImage, person: Annotation, score: float) -> Person:
        mask = person.mask(image.height, image.width)
        grid = grid_mask(mask, np.array(person.box_xyxy), MASK_SIZE_HW)
        return Person(person.box_xyxy, score, grid.astype(np.uint8) * SURE, encode_rle(mask))


class Blind(Perfect):
    """Never sees anybody."""

    def segment(self, image: bytes, *, min_score: float | None) -> list[Person]:
        return []

    def segment_from_boxes(self, image: bytes, boxes_xyxy: ArrayLike) -> list[Person]:
        found = super().segment_from_boxes(image, boxes_xyxy)
        return [replace(person, mask=np.zeros_like(person.mask)) for person in found]

    def foreground(self, image: bytes) -> NDArray[np.uint8]:
        return np.zeros_like(super().foreground(image))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_data_set(tmp_path_factory.mktemp("data"), count=5)


@pytest.fixture
def images(data: tuple[Path, Path]) -> list[AnnotatedImage]:
    return load_images(data[1], data[0])


def test_perfect_answers_score_one(images: list[AnnotatedImage]) -> None:
    report = evaluate(Perfect(images), images, concurrency=2)
    assert report.keys() >= KEYS
    for name in ("mask_ap", "mask_ap50", "box_ap", "box_ap50", "roi_miou", "foreground_miou"):
        assert report[name] == pytest.approx(1.0), name
    assert report["images"] == 5
    assert report["people"] == sum(len(image.people) for image in images) > 5
    assert report["failed"] == [] and report["people_without_mask"] == 0


def test_seeing_nobody_scores_nothing(images: list[AnnotatedImage]) -> None:
    report = evaluate(Blind(images), images, concurrency=2)
    for name in ("mask_ap", "mask_ap50", "box_ap", "box_ap50", "roi_miou"):
        assert report[name] == 0.0, name
    assert 0.2 < report["foreground_miou"] < 0.7  # the background is right all the same


def test_a_metric_without_anything_to_measure_is_none(images: list[AnnotatedImage]) -> None:
    report = evaluate(Perfect(images), images[:1], concurrency=1)  # nobody is in the first
    assert report["mask_ap"] is None and report["roi_miou"] is None
    assert report["foreground_miou"] == 1.0
    assert evaluate(Perfect(images), [], concurrency=1)["foreground_miou"] is None
    assert f"{'mask_ap':{NAME_WIDTH}} -" in table(report)


def test_failed_images_are_left_out_and_counted(
    images: list[AnnotatedImage], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    missing = replace(images[1], path=tmp_path / "gone.png")
    other_size = replace(images[2], width=images[2].width + 1)
    report = evaluate(Perfect(images), [*images, missing, other_size], concurrency=2)
    assert report["images"] == 5 and report["mask_ap"] == pytest.approx(1.0)
    assert [Path(failure["file"]).name for failure in report["failed"]] == ["gone.png", "002.png"]
    assert "No such file" in report["failed"][0]["reason"]
    assert "its annotations are for" in report["failed"][1]["reason"]
    assert "gone.png" in caplog.text
    assert "2 of 7 images" in table(report)


def crowded(image: AnnotatedImage, crowd: NDArray[np.uint8]) -> AnnotatedImage:
    """The same image with one more annotation, a crowd."""
    rows, columns = np.flatnonzero(crowd.any(axis=1)), np.flatnonzero(crowd.any(axis=0))
    box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    annotation = Annotation(tuple(float(side) for side in box), encode_rle(crowd), True)  # type: ignore[arg-type]
    return replace(image, annotations=[*image.annotations, annotation])


def test_a_crowd_counts_neither_for_nor_against(images: list[AnnotatedImage]) -> None:
    image = next(p for p in images if p.people)
    crowd = np.zeros((image.height, image.width), dtype=np.uint8)
    crowd[:40] = 1
    response = Perfect([image]).foreground(image.path.read_bytes())
    crowd[response > 0] = 0
    with_crowd = crowded(image, crowd)
    assert foreground_iou(response | crowd * SURE, image) < 1
    assert foreground_iou(response | crowd * SURE, with_crowd) == 1
    report = evaluate(Perfect([with_crowd]), [with_crowd], concurrency=1)
    assert report["people"] == report["rois"] == len(image.people)
    assert report["mask_ap"] == pytest.approx(1.0)


def test_who_has_a_box_alone_counts_neither_for_nor_against_masks(
    images: list[AnnotatedImage],
) -> None:
    whole = next(p for p in images if len(p.people) > 1)
    first, *others = whole.annotations
    partly = replace(whole, annotations=[replace(first, segmentation=None), *others])
    unseeing = replace(whole, annotations=others)
    for known, box_ap in ((whole, 1.0), (unseeing, len(others) / len(whole.people))):
        report = evaluate(Perfect([known]), [partly], concurrency=1)
        assert report["people"] == report["rois"] + 1 == len(whole.people)
        assert report["box_ap"] == pytest.approx(box_ap, abs=0.01)
        for name in ("mask_ap", "roi_miou", "foreground_miou"):
            assert report[name] == pytest.approx(1.0), name


def test_where_nobody_has_a_mask_only_boxes_are_measured(images: list[AnnotatedImage]) -> None:
    boxes_alone = [
        replace(one, annotations=[replace(a, segmentation=None) for a in one.annotations])
        for one in images
    ]
    report = evaluate(Perfect(images), boxes_alone, concurrency=1)  # the first has nobody
    assert report["box_ap"] == pytest.approx(1.0)
    assert report["people_without_mask"] == report["people"]
    assert f"{'without mask':{NAME_WIDTH}} {report['people']} people, left out" in table(report)
    for name in ("mask_ap", "mask_ap50", "roi_miou", "foreground_miou"):
        assert report[name] is None, name
        assert f"{name:{NAME_WIDTH}} -" in table(report)


def test_small_boxes_are_no_rois_and_many_are_split(images: list[AnnotatedImage]) -> None:
    image = images[0]
    square = np.zeros((image.height, image.width), dtype=np.uint8)
    square[20:60, 20:60] = 1
    rle = encode_rle(square)
    boxes = [(x * 1.0, 10.0, x + 30.0, 70.0) for x in range(MAX_PEOPLE + 6)]
    small = (20.0, 20.0, 35.9, 90.0)
    annotations = [Annotation(box, rle, False) for box in (*boxes, small)]
    many = replace(image, annotations=annotations)
    perfect = Perfect([many])
    report = evaluate(perfect, [many], concurrency=1)
    assert report["people"] == MAX_PEOPLE + 7 and report["rois"] == MAX_PEOPLE + 6
    assert report["roi_miou"] == 1.0
    assert perfect.largest_request == MAX_PEOPLE


def test_roi_miou_is_the_iou_on_the_grid(images: list[AnnotatedImage]) -> None:
    class WholeBox(Perfect):
        def person(self, image: AnnotatedImage, person: Annotation, score: float) -> Person:
            full = np.full(MASK_SIZE_HW, 255, dtype=np.uint8)
            return replace(super().person(image, person, score), mask=full)

    expected = [
        grid_mask(p.mask(image.height, image.width), np.array(p.box_xyxy), MASK_SIZE_HW).mean()
        for image in images
        for p in image.people
        if min(np.subtract(p.box_xyxy[2:], p.box_xyxy[:2])) >= 16
    ]
    report = evaluate(WholeBox(images), images, concurrency=2)
    assert report["roi_miou"] == pytest.approx(np.mean(expected))


def test_uncertain_people_are_asked_for_and_the_report_says_so(
    images: list[AnnotatedImage],
) -> None:
    perfect = Perfect(images)
    assert evaluate(perfect, images, concurrency=1)["min_score"] == 0.01
    assert evaluate(perfect, images, concurrency=1, min_score=0.3)["min_score"] == 0.3
    assert perfect.min_scores == {0.01, 0.3}


def test_a_lower_score_for_a_wrong_person_costs_little(images: list[AnnotatedImage]) -> None:
    class Eager(Perfect):
        def segment(self, image: bytes, *, min_score: float | None) -> list[Person]:
            found = super().segment(image, min_score=min_score)
            return [*found, *(replace(p, box_xyxy=(0, 0, 9, 9), score=0.1) for p in found)]

    assert evaluate(Eager(images), images, concurrency=2)["box_ap50"] == pytest.approx(1.0)


def run(arguments: list[Any], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main(["evaluate", *(str(argument) for argument in arguments)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_the_command_prints_and_writes_the_metrics(
    data: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new" / "accuracy.json"
    with FakeTriton(one_person) as fake:
        options = ["--images", data[0], "--annotations", data[1], "--url", fake.grpc_url]
        code, out, _ = run([*options, "--json", file, "--limit", 3], capsys)
        assert code == 0
        report = json.loads(file.read_text())
        assert report.keys() >= KEYS and report["images"] == 3 and report["failed"] == []
        assert 0 < report["roi_miou"] < 1
        assert f"{report['roi_miou']:.4f}" in out and "foreground_miou" in out

        code, out, err = run([*options[:1], tmp_path, *options[2:]], capsys)
    assert code == 1
    assert "000.png" in err and "No such file" in err
    assert "5 of 5 images" in out


@pytest.mark.parametrize("content", ["no json", "{}", "[]"])
def test_annotations_that_are_none_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    file = tmp_path / "people.json"
    file.write_text(content)
    code, _, err = run(["--images", tmp_path, "--annotations", file], capsys)
    assert code == 1 and str(file) in err


def test_missing_annotations_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(["--images", tmp_path, "--annotations", tmp_path / "none.json"], capsys)
    assert code == 1 and "none.json" in err


def test_a_file_in_which_nobody_is_to_be_found_is_an_error_before_any_server_is_asked(
    data: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    coco = json.loads(data[1].read_text())
    crowds = [{**entry, "iscrowd": 1} for entry in coco["annotations"]]
    for annotations in ([], crowds):
        file = tmp_path / "nobody.json"
        file.write_text(json.dumps({**coco, "annotations": annotations}))
        code, out, err = run(["--images", data[0], "--annotations", file], capsys)
        assert code == 1 and out == ""
        only = f", only {len(annotations)} crowds" if annotations else ""
        assert err == (
            f"peopleseg: {file} has nobody in its 5 images{only}; take annotated people\n"
        )
    code, _, err = run(["--images", data[0], "--annotations", data[1], "--limit", 1], capsys)
    assert code == 1 and "nobody in its 1 images" in err


@pytest.mark.parametrize("limit", ["0", "-1", "x"])
def test_a_limit_is_a_positive_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], limit: str
) -> None:
    code, _, err = run(["--images", tmp_path, "--annotations", "x", "--limit", limit], capsys)
    assert code == 2 and "--limit" in err
