"""Texts with everybody among whom they choose."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from peopleseg.labels.coco import load_images
from peopleseg.networks.checkpoint import CheckpointError, save_network
from peopleseg.networks.referring.chooser import PersonChooser
from peopleseg.systems.referring.describing import SCORE, length_of
from tests.data.reference_files import write_references
from tests.data.small_referring import SCORES, TEXTS, write_prompted, write_referring_repository
from training.data.images import DataError
from training.data.loading import LoaderSettings
from training.referring.chooser_data import Choice, ChooserBatch, ChooserData, ChooserSet

CAPTIONS = ("person on the left", "in red")
LEFT, RIGHT = 8, 9  # columns of a person: how many are there
ALONE = LoaderSettings(batch_size=3, workers=0, validation_batch_size=2)


def written(folder: Path, count: int = 4, seed: int = 1) -> ChooserSet:
    folder.mkdir(exist_ok=True)
    images, references = write_references(folder, count=count, seed=seed, captions=CAPTIONS)
    return ChooserSet(images, folder / "people.json", references)


def data_of(chosen: ChooserSet, pose: Path, minilm: Path, **settings: Any) -> ChooserData:
    made = ChooserData([chosen], chosen, pose, text_encoder=minilm, loader=ALONE, **settings)
    made.setup("fit")
    return made


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> ChooserSet:
    return written(tmp_path_factory.mktemp("references") / "four")


@pytest.fixture(scope="module")
def data(chosen: ChooserSet, pose: Path, minilm: Path) -> ChooserData:
    return data_of(chosen, pose, minilm)


def test_every_text_is_there_once_a_view(chosen: ChooserSet, data: ChooserData) -> None:
    entries = json.loads(chosen.references.read_text())["images"]
    captions = [entry["caption"] for entry in entries if "caption" in entry]
    assert len(data.val_images) == len(captions) > 2
    assert sorted(one.text for one in data.val_images) == sorted(captions)
    assert len(data.train_images) == 2 * len(captions)


def test_a_target_is_the_person_of_the_reference(chosen: ChooserSet, data: ChooserData) -> None:
    """By the box of whom the text means, in parts of the image."""
    references = json.loads(chosen.references.read_text())
    people = {one.path.name: one for one in load_images(chosen.annotations, chosen.images)}
    expected = []
    for entry, said in zip(references["images"], references["annotations"], strict=True):
        if "caption" in entry:
            x, y, width, height = said["bbox"]
            image = people[entry["file_name"]]
            middle = (x + width / 2) / image.width, (y + height / 2) / image.height
            expected.append((entry["caption"], len(image.people), *middle))
    found = [
        (one.text, len(one.people), *one.people[one.target, 1:3].tolist())
        for one in data.val_images
    ]
    by_place = sorted(expected), sorted(found)
    for known, told in zip(*by_place, strict=True):
        assert known[:2] == told[:2] and known[2:] == pytest.approx(told[2:], abs=1e-4)


def test_every_second_view_is_mirrored_text_and_all(data: ChooserData) -> None:
    half = len(data.train_images) // 2
    plain, mirrored = data.train_images[:half], data.train_images[half:]
    for one, other in zip(plain, mirrored, strict=True):
        assert one.target == other.target and len(one.people) == len(other.people)
        expected = one.text.replace("left", "right")
        assert other.text == expected
        np.testing.assert_allclose(other.people[:, 1], 1 - one.people[:, 1], atol=0.1)
    assert {one.text for one in mirrored} == {"person on the right", "in red"}


def test_without_jitter_who_was_left_is_right(
    chosen: ChooserSet, pose: Path, minilm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.referring.chooser_data.JITTER", 0.0)
    images = data_of(chosen, pose, minilm).train_images
    half = len(images) // 2
    for one, other in zip(images[:half], images[half:], strict=True):
        np.testing.assert_array_equal(one.people[:, [LEFT, RIGHT]], other.people[:, [RIGHT, LEFT]])
        np.testing.assert_allclose(one.people[:, 1], 1 - other.people[:, 1], atol=1e-5)
        np.testing.assert_allclose(one.people[:, 2:8], other.people[:, 2:8], atol=1e-5)


def same(one: Choice, other: Choice) -> bool:
    alike = one.people.shape == other.people.shape and bool((one.people == other.people).all())
    return alike and (one.text, one.target) == (other.text, other.target)


def test_the_same_seed_gives_the_same_choices(
    chosen: ChooserSet, pose: Path, minilm: Path, data: ChooserData
) -> None:
    again = data_of(chosen, pose, minilm).train_images
    assert all(same(*pair) for pair in zip(data.train_images, again, strict=True))
    other = data_of(chosen, pose, minilm, seed=1).train_images
    assert not all(same(*pair) for pair in zip(data.train_images, other, strict=True))


@pytest.fixture(scope="module")
def found_by(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_referring_repository(tmp_path_factory.mktemp("found") / "models", texts=False)


def prompted(folder: Path, change: Callable[[dict[str, Any]], None] | None = None) -> ChooserSet:
    """Two images of two people, with a text of each."""
    images, annotations, references = write_prompted(folder)
    if change is not None:
        data = json.loads(references.read_text())
        change(data)
        references.write_text(json.dumps(data))
    return ChooserSet(images, annotations, references)


def test_texts_choose_among_those_whom_the_server_would_find(
    tmp_path: Path, pose: Path, minilm: Path, found_by: Path
) -> None:
    chosen = prompted(tmp_path)
    data = data_of(chosen, pose, minilm, found_by=found_by)
    assert len(data.val_images) == 4 and len(data.train_images) == 8
    for one in (*data.val_images, *data.train_images):
        assert sorted(one.people[:, SCORE].tolist()) == pytest.approx(sorted(SCORES), abs=1e-3)
        is_left = one.people[one.target, 1] < 0.5
        assert is_left == ("left" in one.text)
    annotated = data_of(chosen, pose, minilm)
    assert all((one.people[:, SCORE] == 1).all() for one in annotated.val_images)


def test_who_is_not_found_is_left_out(
    tmp_path: Path, pose: Path, minilm: Path, found_by: Path
) -> None:
    chosen = prompted(tmp_path)
    for path in chosen.images.iterdir():
        image = cv2.imread(str(path))
        image[:, image.shape[1] // 2 :] = 0  # nobody is red there
        cv2.imwrite(str(path), image)
    found = data_of(chosen, pose, minilm, found_by=found_by).val_images
    assert [(one.text, len(one.people), one.target) for one in found] == [(TEXTS[0], 1, 0)] * 2


def test_where_others_may_fit_the_text_it_chooses_among_the_annotated(
    tmp_path: Path, pose: Path, minilm: Path, found_by: Path
) -> None:
    def change(data: dict[str, Any]) -> None:
        data["images"][0]["everybody"] = False

    found = data_of(prompted(tmp_path, change), pose, minilm, found_by=found_by).val_images
    known = [bool((one.people[:, SCORE] == 1).all()) for one in found]
    assert known == [True, True, False, False]


def test_a_batch_holds_each_of_its_choices(data: ChooserData) -> None:
    batch = next(iter(data.train_dataloader()))
    assert isinstance(batch, ChooserBatch) and batch.people.dtype == torch.float32
    assert batch.people.shape[::2] == (3, length_of(data.reader.pose.looks_length))
    assert batch.words.shape[:2] == batch.token_mask.shape
    chosen = data.val_images[:3]
    batch = data.collate(chosen)
    assert batch.people.shape[1] == max(len(one.people) for one in chosen)
    for row, one in enumerate(chosen):
        count = len(one.people)
        assert torch.equal(batch.people[row, :count], torch.from_numpy(one.people))
        assert not batch.people[row, count:].any() and (batch.people[row, :count, 0] == 1).all()
        words = data.words([one.text]).tokens[0]
        assert torch.equal(batch.words[row, : len(words)], words)
        assert not batch.words[row, len(words) :].any()
        assert batch.token_mask[row].tolist() == [
            int(column < len(words)) for column in range(batch.words.shape[1])
        ]
    assert batch.targets.tolist() == [one.target for one in chosen]


def test_a_broken_image_is_named_and_left_out(
    tmp_path: Path, pose: Path, minilm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = written(tmp_path)
    whole = len(data_of(made, pose, minilm, views=1).val_images)
    names = {one["file_name"] for one in json.loads(made.references.read_text())["images"]
             if "caption" in one}  # fmt: skip
    broken = made.images / sorted(names)[0]
    broken.write_bytes(broken.read_bytes()[:500])
    found = data_of(made, pose, minilm, views=1)
    assert 0 < len(found.val_images) < whole
    assert f"left out: {broken}" in capsys.readouterr().err
    for path in made.images.iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"refs.json has no text of anybody in .*people.json"):
        data_of(made, pose, minilm)


def test_files_that_do_not_belong_together_are_refused(
    tmp_path: Path, chosen: ChooserSet, pose: Path, minilm: Path
) -> None:
    no_captions = ChooserSet(chosen.images, chosen.annotations, chosen.annotations)
    with pytest.raises(DataError, match=r"has no caption in any.*see --data.train and --data.val"):
        data_of(no_captions, pose, minilm)
    people = json.loads(chosen.annotations.read_text())
    people["images"], people["annotations"] = people["images"][:1], []
    fewer = tmp_path / "fewer.json"
    fewer.write_text(json.dumps(people))
    with pytest.raises(DataError, match=r"\.png is not among the images of the annotations"):
        data_of(ChooserSet(chosen.images, fewer, chosen.references), pose, minilm)
    with pytest.raises(ValueError, match="the weight of .* is 0"):
        ChooserSet(chosen.images, chosen.annotations, chosen.references, weight=0)


def test_another_checkpoint_tells_nothing_of_people(
    tmp_path: Path, chosen: ChooserSet, minilm: Path
) -> None:
    network = PersonChooser(12, 16, width=16, layers=1)
    path = tmp_path / "chooser.ckpt"
    save_network(path, "person_chooser", network, dims=network.dims)
    with pytest.raises(CheckpointError, match="holds a person_chooser, not a person_pose"):
        ChooserData([chosen], chosen, path, text_encoder=minilm)
