"""The report of an evaluation: numbers that are known, files that are there and honest."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peopleseg.cli import output
from peopleseg.cli.main import main
from peopleseg.labels.coco import AnnotatedImage, Annotation, load_images
from peopleseg.pixels.images import decode_image
from peopleseg.pixels.masks import decode_rle, encode_rle
from peopleseg.systems.people.evaluation.contact_sheet import (
    CELL_PX,
    MARGIN_PX,
    TITLE_PX,
    contact_sheet,
)
from peopleseg.systems.people.evaluation.matches import matched
from peopleseg.systems.people.evaluation.metrics import Measured, metrics_of
from peopleseg.systems.people.evaluation.numbers import report_of
from peopleseg.systems.people.evaluation.page import sections
from peopleseg.systems.people.evaluation.plots import PLOTS
from peopleseg.systems.people.evaluation.writing import write_report
from tests.data.fake_triton import FakeTriton, one_person
from tests.data.people_images import write_data_set

SHEET_WIDTH = 4 * CELL_PX + 3 * MARGIN_PX


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_data_set(tmp_path_factory.mktemp("data"), count=6)


@pytest.fixture
def images(data: tuple[Path, Path]) -> list[AnnotatedImage]:
    return load_images(data[1], data[0])


def truth(image: AnnotatedImage, person: Annotation, score: float = 0.9) -> dict[str, Any]:
    x1, y1, x2, y2 = person.box_xyxy
    return {
        "image_id": image.id,
        "category_id": 1,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "score": score,
        "segmentation": encode_rle(person.mask(image.height, image.width)),
    }


def aside(entry: dict[str, Any], score: float) -> dict[str, Any]:
    """Somebody at the top of the image, where nobody stands."""
    mask = np.zeros_like(decode_rle(entry["segmentation"]))
    mask[:5, :5] = 1
    return {**entry, "bbox": [0, 0, 5, 5], "score": score, "segmentation": encode_rle(mask)}


def answered(image: AnnotatedImage, found: list[dict[str, Any]] | None = None) -> Measured:
    """With the truth, unless it is told otherwise."""
    true = [truth(image, person) for person in image.people if person.masked]
    return Measured(image, true if found is None else found, [], 1.0)


def numbers_of(measured: list[Measured]) -> dict[str, Any]:
    return report_of(measured, metrics_of(measured)).numbers


def test_a_perfect_answer_has_no_mistakes(images: list[AnnotatedImage]) -> None:
    people = sum(len(image.people) for image in images)
    report = report_of([answered(image) for image in images], {})
    numbers = report.numbers
    assert report.worst == [] and numbers["worst"] == []
    assert set(numbers["false_positives"].values()) == {0}
    assert {row["missed"] for row in numbers["missed"].values()} == {0}
    assert sum(row["people"] for row in numbers["missed"].values()) == people
    for kind in ("masks", "boxes"):
        best = numbers["best_f1"][kind]
        assert (best["precision"], best["recall"], best["f1"]) == (1.0, 1.0, 1.0)
        for groups in (numbers["by_size"][kind], numbers["by_people"][kind]):
            known = [row["ap"] for row in groups.values() if row["ap"] is not None]
            assert known and known == pytest.approx([1.0] * len(known))
    assert numbers["reliability"]["calibration_error"] == pytest.approx(0.1)  # right at 0.9
    assert numbers["nobody"] == {"images": 1, "with_somebody": 0, "highest_scores": [0.0]}


def test_planted_mistakes_are_counted_where_they_were_planted(images: list[AnnotatedImage]) -> None:
    empty, first, *others = images
    (seen, *unseen) = [truth(first, person) for person in first.people]
    measured = [
        answered(empty, [{**aside(seen, 0.97), "image_id": empty.id}]),
        answered(first, [seen, {**seen, "score": 0.95}, aside(seen, 0.92), aside(seen, 0.02)]),
        *(answered(image) for image in others),
    ]
    numbers = numbers_of(measured)
    assert numbers["false_positives"] == {
        "duplicate": 1,
        "poorly_placed": 0,
        "part_or_crowd": 0,
        "background": 2,
    }
    assert sum(row["missed"] for row in numbers["missed"].values()) == len(unseen)
    assert numbers["nobody"] == {"images": 1, "with_somebody": 1, "highest_scores": [0.97]}
    assert [one["image_id"] for one in numbers["worst"]] == [first.id, empty.id]
    assert numbers["worst"][0]["mistakes"] == 2 + len(unseen)


@pytest.fixture
def planted(images: list[AnnotatedImage]) -> list[Measured]:
    """One image of nobody with somebody, and one in which nobody is found."""
    empty, first, *others = images
    wrong = {**aside(truth(first, first.people[0]), 0.95), "image_id": empty.id}
    return [answered(empty, [wrong]), answered(first, []), *(answered(one) for one in others)]


def test_the_numbers_name_images_by_their_ids_alone(planted: list[Measured]) -> None:
    text = json.dumps(numbers_of(planted))
    assert numbers_of(planted)["worst"]
    for one in planted:
        assert one.image.path.name not in text and str(one.image.path.parent) not in text


def test_where_masks_are_unknown_boxes_are_judged(images: list[AnnotatedImage]) -> None:
    found = [answered(image).found for image in images]
    unknown = [
        replace(one, annotations=[replace(a, segmentation=None) for a in one.annotations])
        for one in images
    ]
    pairs = list(zip(unknown, found, strict=True))
    boxes_only = numbers_of([answered(one, entries) for one, entries in pairs])
    people = sum(len(image.people) for image in images)
    assert (
        boxes_only["judged_by"] == "boxes"
        and boxes_only["accuracy"]["people_without_mask"] == people
    )
    assert boxes_only["curves"].keys() == boxes_only["by_size"].keys() == {"boxes"}
    assert boxes_only["best_f1"]["boxes"]["f1"] == 1.0
    assert f"Of {people} of them the mask is not known" in "".join(sections(boxes_only))

    partly = numbers_of(
        [answered(one, entries) for one, entries in [*pairs[:2], *pairs_of(images[2:])]]
    )
    assert partly["judged_by"] == "masks"
    assert partly["accuracy"]["people_without_mask"] == len(images[1].people)
    assert partly["best_f1"]["masks"]["f1"] == partly["best_f1"]["boxes"]["f1"] == 1.0


def pairs_of(images: list[AnnotatedImage]) -> list[tuple[AnnotatedImage, list[dict[str, Any]]]]:
    return [(image, answered(image).found) for image in images]


def test_the_folder_has_every_file_and_the_page_names_only_what_is_there(
    planted: list[Measured], tmp_path: Path
) -> None:
    write_report(planted, metrics_of(planted), tmp_path)
    plots = {f"{name}.png" for name in PLOTS}
    assert {file.name for file in tmp_path.iterdir()} == {
        *("report.json", "report.md", "worst.png"),
        *plots,
    }
    page = (tmp_path / "report.md").read_text()
    assert all(f"({name})" in page for name in (*plots, "worst.png"))
    numbers = json.loads((tmp_path / "report.json").read_text())
    assert sections(numbers) == sections(numbers_of(planted))
    sheet = decode_image((tmp_path / "worst.png").read_bytes())
    assert sheet.shape == (TITLE_PX + CELL_PX, SHEET_WIDTH, 3)

    perfect = [answered(one.image) for one in planted]
    write_report(perfect, metrics_of(perfect), tmp_path)
    assert not (tmp_path / "worst.png").exists()  # of an earlier report
    assert "worst.png" not in (tmp_path / "report.md").read_text()


def test_the_sheet_shows_truth_left_and_answer_right(planted: list[Measured]) -> None:
    first = planted[1].image
    (missed,) = matched([first], [], "segm")
    (right,) = matched([first], answered(first).found, "segm")
    sheet = contact_sheet([missed, right, missed])
    assert sheet.shape == (2 * (TITLE_PX + CELL_PX), SHEET_WIDTH, 3)
    row = sheet[TITLE_PX : TITLE_PX + CELL_PX]
    true, nobody, true_again, found = (
        row[:, left : left + CELL_PX] for left in range(0, SHEET_WIDTH, CELL_PX + MARGIN_PX)
    )
    assert (true == true_again).all() and (true != nobody).any() and (found != nobody).any()
    assert (
        sheet[TITLE_PX + CELL_PX :, 2 * (CELL_PX + MARGIN_PX) :] == 255
    ).all()  # no fourth image


def run(arguments: list[Any], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main(["evaluate", *(str(argument) for argument in arguments)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_the_command_writes_the_report_beside_the_same_metrics(
    data: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeTriton(one_person) as fake:
        options = ["--images", data[0], "--annotations", data[1], "--url", fake.grpc_url]
        run([*options, "--json", tmp_path / "plain.json"], capsys)
        folder = tmp_path / "new" / "report"
        code, out, _ = run([*options, "--json", tmp_path / "with.json", "--report", folder], capsys)
        assert code == 0 and f"the report is {folder / 'report.md'}" in out
        lost = [*options[:1], tmp_path, *options[2:], "--report", tmp_path / "lost"]
        code, _, err = run(lost, capsys)
        assert code == 1 and "no report" in err and not (tmp_path / "lost").exists()
    plain, beside = (json.loads((tmp_path / f"{n}.json").read_text()) for n in ("plain", "with"))
    del plain["seconds"], beside["seconds"]
    assert plain == beside
    accuracy = json.loads((folder / "report.json").read_text())["accuracy"]
    assert accuracy.pop("seconds") > 0 and "failed" not in accuracy
    assert accuracy == {name: value for name, value in plain.items() if name != "failed"}


def test_without_matplotlib_the_option_is_wrong_usage_that_says_what_to_install(
    data: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr(output, "find_spec", lambda name: None)
    options = ["--images", data[0], "--annotations", data[1], "--report", tmp_path / "r"]
    code, out, err = run(options, capsys)
    assert code == 2 and out == ""
    assert "--report" in err and "pip install matplotlib" in err


def test_no_plots_are_loaded_where_no_report_is_asked_for(root: Path) -> None:
    code = (
        "import sys, peopleseg.systems.people.evaluation.writing;"
        "assert not {'matplotlib', 'peopleseg.systems.people.evaluation.plots'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)
