"""Which images are measured, and what is asked about them."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.speed import images
from benchmarks.speed.errors import BenchError
from benchmarks.speed.rois import made_up_boxes, roi_groups
from peopleseg.labels.coco import AnnotatedImage, load_images
from peopleseg.pixels.geometry import Letterbox
from peopleseg.systems.people.contract import MAX_PEOPLE
from peopleseg.systems.people.pipeline import PeoplePipeline
from peopleseg.systems.people.selection import boxes_to_rois
from tests.data.people_images import write_image
from tests.data.small_repository import write_images, write_small_repository

FOUND = [0, 3, 12, 5, 1, 10, 1, 1, 40, 5, 2, 11]  # people in each image


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[AnnotatedImage]:
    """Images whose bytes are their number, and in which the detector finds FOUND."""
    made = []
    for number in range(len(FOUND)):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(str(number).encode())
        made.append(AnnotatedImage(number, path, 640, 480))
    monkeypatch.setattr(
        AnnotatedImage, "read", lambda annotated_image: annotated_image.path.read_bytes()
    )
    monkeypatch.setattr(images, "people_found", lambda _, image: FOUND[int(image)])
    return made


def choose(found: list[AnnotatedImage], people: tuple[int, ...] = images.PEOPLE) -> images.Chosen:
    nothing: PeoplePipeline = None  # type: ignore[assignment]
    return images.choose(nothing, found, people=people, each=2)


def test_images_are_sorted_by_the_people_found(counted: list[AnnotatedImage]) -> None:
    chosen = choose(counted)
    files = {
        group.name: [int(request.image) for request in group.requests] for group in chosen.groups
    }
    assert files == {"0": [0], "1": [4, 6], "2": [10], "5": [3, 9], "10+": [5, 11]}
    for group in chosen.groups:
        assert [request.people for request in group.requests] == [
            FOUND[int(request.image)] for request in group.requests
        ]


def test_every_image_s_record_says_what_was_found_and_annotated(
    counted: list[AnnotatedImage],
) -> None:
    records = choose(counted, people=(10,)).records
    assert [record["file"] for record in records] == ["5.jpg", "11.jpg"]
    assert [record["found"] for record in records] == [10, 11]
    assert [record["annotated"] for record in records] == [0, 0]


def test_a_group_that_no_image_fits_is_left_out(counted: list[AnnotatedImage]) -> None:
    assert [group.name for group in choose(counted[:3]).groups] == ["0", "10+"]
    with pytest.raises(BenchError, match="none of 3 images has 1, 2 people"):
        choose(counted[:3], people=(1, 2))


def test_people_are_counted_by_the_served_networks(tmp_path: Path) -> None:
    pipeline = PeoplePipeline(write_small_repository(tmp_path / "repository"), threads=1)
    folder, annotations = write_images(tmp_path / "images")
    (first, *_) = load_images(annotations, folder)
    image = first.path.read_bytes()
    assert images.people_found(pipeline, image) == len(pipeline.segment(image).boxes) == 1


def test_nobody_is_no_one_though_the_networks_see_a_dummy_roi(tmp_path: Path) -> None:
    strict = {"select_people": {"min_score": 0.99, "max_iou": 0.5}}
    repository = write_small_repository(tmp_path / "repository")
    pipeline = PeoplePipeline(repository, threads=1, settings=strict)
    folder, annotations = write_images(tmp_path / "images")
    (first, *_) = load_images(annotations, folder)
    assert images.people_found(pipeline, first.path.read_bytes()) == 0


@pytest.mark.parametrize("size", [(640, 480), (100, 900), (17, 13)])
def test_made_up_boxes_are_ones_that_the_server_takes(size: tuple[int, int]) -> None:
    boxes = made_up_boxes(*size, MAX_PEOPLE)
    rois = boxes_to_rois(boxes, Letterbox.fit(*size))
    assert len(rois.rois) == MAX_PEOPLE
    assert (boxes >= 0).all() and (boxes <= (*size, *size)).all()
    np.testing.assert_array_equal(boxes, made_up_boxes(*size, MAX_PEOPLE))


def test_a_request_with_more_rois_has_those_of_the_smaller_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    write_image(path, np.zeros((480, 640, 3), dtype=np.uint8))
    groups = roi_groups(AnnotatedImage(1, path, 640, 480), [5, 0, 2, 5])
    assert [group.name for group in groups] == ["0", "2", "5"]
    nobody, two, five = (group.requests[0].boxes_xyxy for group in groups)
    assert nobody is not None and two is not None and five is not None
    assert [len(nobody), len(two), len(five)] == [0, 2, 5]
    np.testing.assert_array_equal(two, five[:2])
