"""Crops to learn poses from: joints stay on what is shown."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from peopleseg.labels.keypoints import INDEX, NAMES
from tests.data.people_images import write_image
from tests.data.posed_images import (
    annotation,
    entry,
    painted,
    standing,
    write_coco,
    write_posed,
)
from training.data.images import BrokenImage, DataError
from training.data.loading import LoaderSettings
from training.data.sampler import Draw
from training.referring.pose_data import PoseBatch, PoseData, PoseSample, PoseSet

SIZE_HW = (160, 96)
ALONE = LoaderSettings(batch_size=3, workers=0, validation_batch_size=3)
LEFT, RIGHT, OTHER = 0, 2, 1  # the channel that is brightest
SIDES = [{"left": LEFT, "right": RIGHT}.get(name.partition("_")[0], OTHER) for name in NAMES]


def data_of(images: Path, annotations: Path, **settings: Any) -> PoseData:
    both = PoseSet(images, annotations)
    made = PoseData(train=both, val=both, size_hw=SIZE_HW, loader=ALONE, **settings)
    made.setup("fit")
    return made


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PoseData:
    return data_of(*write_posed(tmp_path_factory.mktemp("posed")))


def drawn(data: PoseData, turns: int) -> list[PoseSample]:
    dataset: Any = data.train_dataloader().dataset
    return [dataset[Draw(0, index, turn)] for turn in range(turns) for index in range(len(dataset))]


def sides_shown(sample: PoseSample) -> list[int]:
    """The brightest channel at each known joint; -1 of the others."""
    height, width = sample.image.shape[1:]
    columns, rows = (sample.places * torch.tensor([width, height])).long().T.tolist()
    return [
        int(sample.image[:, row, column].argmax()) if known else -1
        for row, column, known in zip(rows, columns, sample.known.tolist(), strict=True)
    ]


def agree(shown: list[int], expected: list[int]) -> bool:
    return all(one in (-1, other) for one, other in zip(shown, expected, strict=True))


def test_every_joint_is_where_the_image_shows_it(data: PoseData) -> None:
    batch = next(iter(data.val_dataloader()))
    assert batch.images.shape == (3, 3, *SIZE_HW) and batch.images.dtype == torch.uint8
    assert batch.places.shape == (3, len(NAMES), 2) and batch.places.dtype == torch.float32
    assert batch.known.dtype == torch.bool and batch.known.all()
    assert batch.areas.shape == (3,) and batch.skipped == []
    for one in zip(*batch[:4], strict=True):
        assert sides_shown(PoseSample(*one)) == SIDES


def test_a_mirrored_sample_has_left_and_right_swapped(data: PoseData) -> None:
    swapped = [{LEFT: RIGHT, RIGHT: LEFT}.get(side, side) for side in SIDES]
    mirrored = []
    for sample in drawn(data, turns=6):
        shown = sides_shown(sample)
        assert agree(shown, SIDES) != agree(shown, swapped)
        mirrored.append(agree(shown, swapped))
        # Whoever faces us still does: the left shoulder is on the right.
        left, right = INDEX["left_shoulder"], INDEX["right_shoulder"]
        assert sample.places[left, 0] > sample.places[right, 0]
    assert 0.2 < np.mean(mirrored) < 0.8


def test_the_area_is_that_of_the_person_in_the_crop(data: PoseData) -> None:
    for sample in (*drawn(data, turns=2), data.validation_sample(data.val_images[0], 0)):
        first, last = INDEX["nose"], INDEX["left_ankle"]
        if not sample.known[[first, last]].all():
            continue
        size = torch.tensor([SIZE_HW[1], SIZE_HW[0]])
        length = float(((sample.places[first] - sample.places[last]) * size).norm())
        image = standing(100)[[first, last], :2]
        enlarged = length / float(np.linalg.norm(image[0] - image[1]))
        assert float(sample.area) == pytest.approx(9000 * enlarged**2, rel=0.02)


def one_person(folder: Path, **changes: Any) -> PoseSample:
    points = standing(100)
    write_image(folder / "1.png", painted(points))
    path = write_coco(folder / "p.json", [entry(1)], [annotation(1, points, **changes)])
    data = data_of(folder, path)
    return data.validation_sample(data.val_images[0], 0)


def test_a_joint_outside_of_the_crop_is_not_known(tmp_path: Path) -> None:
    upper = one_person(tmp_path, bbox=[60.0, 20.0, 80.0, 100.0])
    known = {name for name, there in zip(NAMES, upper.known.tolist(), strict=True) if there}
    assert {"nose", "left_shoulder", "right_shoulder"} <= known
    assert not known & {"left_knee", "right_knee", "left_ankle", "right_ankle"}
    places = upper.places[upper.known]
    assert ((places >= 0) & (places < 1)).all()
    assert upper.places[INDEX["left_ankle"], 1] > 1


def test_a_joint_that_is_not_labelled_is_not_known(tmp_path: Path) -> None:
    points = standing(100)
    points[INDEX["left_wrist"], 2], points[INDEX["right_wrist"], 2] = 0, 1  # hidden
    sample = one_person(tmp_path, keypoints=points.ravel().tolist())
    assert not sample.known[INDEX["left_wrist"]] and sample.known[INDEX["right_wrist"]]


def same(one: PoseSample, other: PoseSample) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_same_seed_gives_the_same_samples(data: PoseData, tmp_path: Path) -> None:
    folder = write_posed(tmp_path / "again")
    first, again = drawn(data, turns=2), drawn(data_of(*folder), turns=2)
    assert all(same(*pair) for pair in zip(first, again, strict=True))
    other = drawn(data_of(*folder, seed=1), turns=2)
    assert not any(same(*pair) for pair in zip(first, other, strict=True))
    assert not same(first[0], first[4])  # the next turn of the same person


def test_a_batch_is_its_samples(data: PoseData) -> None:
    samples = drawn(data, turns=1)
    batch = PoseData.collate(samples)
    for row, sample in enumerate(samples):
        parts: tuple[Tensor, ...] = batch[:4]
        assert same(PoseSample(*(part[row] for part in parts)), sample)


def test_broken_images_are_named_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, annotations = write_posed(tmp_path)
    cut = images / "2.png"
    cut.write_bytes(cut.read_bytes()[:300])  # the header is whole
    (images / "3.png").unlink()
    data = data_of(images, annotations)
    assert f"{images / '3.png'}: is missing" in capsys.readouterr().err
    assert [one.posed.image.id for one in data.train_images] == [1, 2, 4]
    (batch,) = data.val_dataloader()
    assert len(batch.images) == 2 and len(batch.skipped) == 1
    assert str(cut) in batch.skipped[0]


def test_a_batch_of_broken_images_is_empty() -> None:
    batch = PoseData.collate([BrokenImage("a.png is cut off")] * 2)
    assert isinstance(batch, PoseBatch) and batch.skipped == ["a.png is cut off"] * 2
    assert [len(part) for part in batch[:4]] == [0] * 4
    assert batch.known.dtype == torch.bool and batch.images.dtype == torch.uint8


def test_a_file_without_keypoints_is_refused_in_a_sentence(tmp_path: Path) -> None:
    points = standing(100)
    path = write_coco(tmp_path / "p.json", [entry(1)], [annotation(1, points, keypoints=None)])
    with pytest.raises(DataError, match=r"p.json has nobody with 3 keypoints.*see --data.root"):
        data_of(tmp_path, path)
    with pytest.raises(DataError, match=r"no.json.*see --data.root"):
        data_of(tmp_path, tmp_path / "no.json")


def test_more_sets_are_trained_on_as_often_as_they_weigh(tmp_path: Path) -> None:
    first, second = (PoseSet(*write_posed(tmp_path / name, 2)) for name in ("a", "b"))
    more = PoseSet(second.images, second.annotations, weight=2)
    data = PoseData(train=first, val=first, extra=[more], size_hw=SIZE_HW, loader=ALONE)
    data.setup("fit")
    assert [one.weight for one in data.train_images] == [1, 1, 2, 2]
    assert len(data.train_dataloader().sampler) == 6  # type: ignore[arg-type]
    limited = PoseData(train=first, val=first, extra=[more], limit=3, size_hw=SIZE_HW)
    limited.setup("fit")
    assert (len(limited.train_images), len(limited.val_images)) == (3, 2)
    with pytest.raises(ValueError, match="is 0; give a number above 0"):
        PoseSet(first.images, first.annotations, weight=0)
