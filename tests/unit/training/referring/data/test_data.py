"""Batches: square images, prompts, and the one person whom each means."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import peopleseg.networks  # noqa: F401  (before lightning: it declares missing operators)
from peopleseg.labels.keypoints import INDEX
from peopleseg.pixels.geometry import Letterbox
from tests.data.reference_files import write_references
from training.data.images import DataError
from training.data.loading import LoaderSettings
from training.data.sampler import Draw
from training.referring.data import AugmentationSettings, ReferredFolder, ReferringData
from training.referring.images import images_of
from training.referring.prompting import PromptError, PromptSettings
from training.referring.samples import PADDING, UNKNOWN, RefBatch, RefSample, collate

SIZE = 96
CAPTIONS = ("person on the left", "in red")
ALONE = LoaderSettings(batch_size=3, workers=0, validation_batch_size=2)
POINTS_ALONE = PromptSettings(text=0, points=1, scribble=0, negative=1, most=2)


def data_of(folder: Path, **settings: Any) -> ReferringData:
    """Trained on 8 made-up images, validated on 5 others."""
    parts: dict[str, Any] = {}
    for name, count, seed in (("train", 8, 0), ("val", 5, 100)):
        (folder / name).mkdir()
        images, file = write_references(folder / name, count=count, seed=seed, captions=CAPTIONS)
        for path in sorted(images.iterdir()):  # names of their own
            path.rename(path.with_name(f"{name}{path.name}"))
        file.write_text(file.read_text().replace('"file_name": "', f'"file_name": "{name}'))
        parts[name] = ReferredFolder(images, file)
    data = ReferringData(**{"size": SIZE, "loader": ALONE, **parts, **settings})
    data.setup("fit")
    return data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ReferringData:
    return data_of(tmp_path_factory.mktemp("referring"))


def samples(data: ReferringData, turns: int = 3) -> list[RefSample]:
    """What training sees in some turns."""
    dataset = data.train_dataloader().dataset
    return [
        dataset[Draw(0, index, turn)]  # type: ignore[index]
        for turn in range(turns)
        for index in range(len(data.train_images))
    ]


def test_everything_has_its_shape_and_range(data: ReferringData) -> None:
    for batch in (*data.train_dataloader(), *data.val_dataloader()):
        assert isinstance(batch, RefBatch)
        count, images = len(batch.text), len(batch.images)
        assert batch.images.shape == (images, 3, SIZE, SIZE) and batch.images.dtype == torch.uint8
        assert batch.image_of.tolist() == sorted(batch.image_of.tolist())
        assert batch.image_of.dtype == torch.int64 and int(batch.image_of.max()) < images
        assert batch.points.shape[0] == count and batch.points.shape[2] == 3
        assert set(batch.points[..., 2].unique().tolist()) <= {-1, 0, 1}
        boxes, keypoints, visible, masks, known, areas = batch.targets
        assert boxes.shape == (count, 4) and keypoints.shape == (count, 17, 2)
        assert visible.shape == (count, 17) and areas.shape == (count,) == known.shape
        assert masks.shape == (count, SIZE, SIZE) and masks.dtype == torch.uint8
        assert known.dtype == torch.bool and {
            t.dtype for t in (boxes, keypoints, visible, areas)
        } == {torch.float32}
        assert all(0 <= t.min() and t.max() <= 1 for t in (boxes, keypoints, visible, areas))
        assert set(masks[known].unique().tolist()) <= {0, 1}
        assert (masks[~known] == UNKNOWN).all()


def test_a_prompt_is_a_text_or_points_and_they_are_on_the_person(data: ReferringData) -> None:
    kinds: set[str | int] = set()
    for sample in samples(data, 6):
        for index, prompt in enumerate(sample.prompts):
            if prompt.text is not None:
                assert len(prompt.points) == 0
                kinds.add("text")
                continue
            kinds.add(len(prompt.points))
            on = prompt.points[prompt.points[:, 2] == 1]
            off = prompt.points[prompt.points[:, 2] == 0]
            assert len(on) and (on[:, :2] >= 0).all() and (on[:, :2] < SIZE).all()
            if sample.targets.mask_known[index]:
                mask = sample.targets.masks[index].numpy()
                assert all(mask[int(y), int(x)] == 1 for x, y, _ in on)
                assert all(mask[int(y), int(x)] == 0 for x, y, _ in off)
            else:
                cx, cy, w, h = (sample.targets.boxes_cxcywh[index] * SIZE).tolist()
                assert all(abs(x - cx) <= w / 2 + 1 and abs(y - cy) <= h / 2 + 1 for x, y, _ in on)
                assert all(abs(x - cx) > w / 2 or abs(y - cy) > h / 2 for x, y, _ in off)
    assert {"text", 1, 12} <= kinds


def test_boxes_masks_and_keypoints_are_of_one_person_in_every_view(data: ReferringData) -> None:
    seen = 0
    for sample in samples(data, 5):
        for index in range(len(sample.prompts)):
            boxes, keypoints, visible, masks, known, areas = (t[index] for t in sample.targets)
            cx, cy, w, h = (boxes * SIZE).tolist()
            # A skeleton that fills its box: nose and ankles are at its ends.
            if visible.all():
                ankle = keypoints[INDEX["left_ankle"]] * SIZE
                assert float(ankle[1]) == pytest.approx(cy + 0.47 * h, abs=1.0)
            if not known:
                continue
            rows, columns = np.nonzero(masks.numpy() == 1)
            found = np.array((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
            box = np.array((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2))
            # Limbs of a pixel or two are thinner than the steps in which the mask is read.
            assert (found[:2] >= box[:2] - 1).all() and (found[2:] <= box[2:] + 1).all()
            assert (np.abs(found - box) <= 1 + 0.2 * max(w, h)).all()
            assert float(areas) == pytest.approx(len(rows) / SIZE**2, rel=0.35, abs=0.002)
            seen += 1
    assert seen > 20


def test_the_left_shoulder_stays_the_left_one_when_flipped(data: ReferringData) -> None:
    """Made-up people face us, so that it is on the right in every view."""
    for sample in samples(data):
        for keypoints, visible in zip(
            sample.targets.keypoints, sample.targets.visible, strict=True
        ):
            left, right = INDEX["left_shoulder"], INDEX["right_shoulder"]
            if visible[left] and visible[right]:
                assert keypoints[left, 0] >= keypoints[right, 0]


def test_texts_are_flipped_with_the_image_and_no_place_is_told_in_a_cut(tmp_path: Path) -> None:
    texts = PromptSettings(text=1, points=0, scribble=0)
    for cut in (0.0, 1.0):
        (tmp_path / str(cut)).mkdir()
        settings = AugmentationSettings(cut=cut)
        data = data_of(tmp_path / str(cut), prompts=texts, augmentation=settings)
        said = {prompt.text for sample in samples(data, 8) for prompt in sample.prompts}
        if cut:
            assert said == {"in red"}
        else:
            assert said == {"person on the left", "person on the right", "in red"}


@pytest.mark.parametrize("kind", ["text", "points", "scribble"])
def test_only_the_kinds_that_are_asked_for_are_drawn(tmp_path: Path, kind: str) -> None:
    shares: dict[str, Any] = {name: float(name == kind) for name in ("text", "points", "scribble")}
    data = data_of(tmp_path, prompts=PromptSettings(**shares))
    prompts = [prompt for sample in samples(data) for prompt in sample.prompts]
    assert prompts
    for prompt in prompts:
        assert (prompt.text is not None) == (kind == "text")
        assert kind != "scribble" or len(prompt.points) == 12


def test_negative_points_are_on_others(tmp_path: Path) -> None:
    data = data_of(tmp_path, prompts=POINTS_ALONE)
    labels = [p.points[:, 2].tolist() for sample in samples(data, 5) for p in sample.prompts]
    assert any(0 in own for own in labels) and all(1 in own for own in labels)


def test_a_prompt_is_of_another_person_each_and_there_are_no_more_than_asked_for(
    tmp_path: Path,
) -> None:
    data = data_of(tmp_path, prompts=PromptSettings(most=2))
    for sample in samples(data):
        assert 1 <= len(sample.prompts) <= 2
        boxes = {tuple(box.tolist()) for box in sample.targets.boxes_cxcywh}
        assert len(boxes) == len(sample.prompts)


def test_the_same_seed_gives_the_same_samples_and_another_turn_others(data: ReferringData) -> None:
    first, again = samples(data, 1), samples(data, 1)
    for one, same in zip(first, again, strict=True):
        assert (one.image == same.image).all() and one.prompts[0].text == same.prompts[0].text
        assert all((a == b).all() for a, b in zip(one.targets, same.targets, strict=True))
    two = samples(data, 2)[len(first) :]
    assert any((one.image != other.image).any() for one, other in zip(first, two, strict=True))


def test_validation_shows_the_whole_image_and_asks_the_same_each_time(data: ReferringData) -> None:
    dataset = data.val_dataloader().dataset
    for index, image in enumerate(data.val_images):
        one, same = dataset[index], dataset[Draw(3, index, 3)]
        box = Letterbox.fit(image.size_hw[1], image.size_hw[0], SIZE)
        assert (one.image.numpy().transpose(1, 2, 0) == box.apply(image.read_rgb(), SIZE)).all()
        assert [p.text for p in one.prompts] == [p.text for p in same.prompts]
        pairs = zip(one.prompts, same.prompts, strict=True)
        assert all((a.points == b.points).all() for a, b in pairs)
        per_person = [3 if person.captions else 2 for person in image.people]
        assert len(one.prompts) == sum(per_person)
        x1, y1, x2, y2 = box.boxes_to_network(np.array([image.people[0].person.box_xyxy]))[0] / SIZE
        expected = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
        assert one.targets.boxes_cxcywh[0].tolist() == pytest.approx(expected, abs=1e-5)


def test_everybody_of_an_image_is_validated_once(tmp_path: Path) -> None:
    data = data_of(tmp_path, prompts=PromptSettings(most=2))
    assert all(len(image.people) <= 2 for image in data.val_images)
    boxes = [(one.path, p.person.box_xyxy) for one in data.val_images for p in one.people]
    assert len(boxes) == len(set(boxes))
    assert len({path for path, _ in boxes}) < len(data.val_images)


def test_the_kinds_of_validation_can_be_chosen(tmp_path: Path) -> None:
    data = data_of(tmp_path, validation_prompts=("scribble",))
    for batch in data.val_dataloader():
        assert batch.text == [None] * len(batch.text) and (batch.points[..., 2] == 1).all()


def test_a_scribble_of_the_file_is_what_validation_asks(tmp_path: Path) -> None:
    data = data_of(tmp_path)
    image = data.val_images[0]
    person = image.people[0]
    x1, y1, x2, y2 = person.person.box_xyxy
    line = np.linspace((x1, y1), (x2, y2), 12).astype(np.float32)
    person.scribbles = np.stack([line + n for n in range(5)])
    prompts = [p for p in data.validation_sample(image, 0).prompts if p.text is None]
    box = Letterbox.fit(image.size_hw[1], image.size_hw[0], SIZE)
    corners = box.boxes_to_network(np.hstack((line, line)))[:, :2]
    point, scribble = sorted(prompts[:2], key=lambda one: len(one.points))
    assert scribble.points[:, :2] == pytest.approx(corners, abs=1e-3)
    assert point.points[0, :2] == pytest.approx(corners[5], abs=1e-3)


def test_a_batch_is_its_samples_one_by_one(data: ReferringData) -> None:
    some = samples(data, 1)[:4]
    batch = collate(some)
    start = 0
    for index, sample in enumerate(some):
        alone = collate([sample])
        part = slice(start, start + len(sample.prompts))
        assert (batch.images[index] == alone.images[0]).all()
        assert (batch.image_of[part] == index).all() and batch.text[part] == alone.text
        for whole, own in zip(batch.targets, alone.targets, strict=True):
            assert (whole[part] == own).all()
        points = batch.points[part]
        assert (points[:, : alone.points.shape[1]] == alone.points).all()
        assert (points[:, alone.points.shape[1] :, 2] == PADDING).all()
        start = part.stop
    assert start == len(batch.text)


def test_nothing_whole_makes_an_empty_batch() -> None:
    empty = collate([])
    assert len(empty.images) == len(empty.text) == len(empty.image_of) == len(empty.points) == 0
    assert [len(field) for field in empty.targets] == [0] * 6


def test_a_broken_image_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    data = data_of(tmp_path)
    path = data.train_images[1].path
    path.write_bytes(path.read_bytes()[:200])
    batch = collate(samples(data, 1))
    assert len(batch.skipped) == 1 and path.name in batch.skipped[0]
    assert len(batch.images) == len(data.train_images) - 1


def test_a_missing_image_is_left_out_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = data_of(tmp_path)
    whole.train_images[0].path.unlink()
    again = ReferringData(train=whole.train_folder, val=whole.val_folder, size=SIZE, loader=ALONE)
    again.setup("fit")
    assert len(again.train_images) == len(whole.train_images) - 1
    assert "left out 1 image" in capsys.readouterr().err


def test_images_in_both_are_refused(tmp_path: Path) -> None:
    data = data_of(tmp_path)
    both: dict[str, Any] = {"train": data.train_folder, "val": data.train_folder, "loader": ALONE}
    with pytest.raises(DataError, match="images are trained and validated on .train"):
        ReferringData(**both).setup("fit")
    ReferringData(**both, leak_ok=True).setup("fit")


def test_sets_have_weights_and_a_limit_is_of_all(tmp_path: Path) -> None:
    data = data_of(tmp_path)
    (tmp_path / "more").mkdir()
    images, file = write_references(tmp_path / "more", count=4, seed=50)
    extra = ReferredFolder(images, file, weight=0.5)
    parts: dict[str, Any] = {
        "train": data.train_folder,
        "val": data.val_folder,
        "extra": (extra,),
        "loader": ALONE,
    }
    both = ReferringData(**parts)
    both.setup("fit")
    weights = [image.weight for image in both.train_images]
    assert weights == sorted(weights, reverse=True) and set(weights) == {1.0, 0.5}
    some = ReferringData(**parts, limit=2)
    some.setup("fit")
    assert len(some.train_images) == 2
    with pytest.raises(ValueError, match="weight of .*refs.json is 0"):
        ReferredFolder(images, file, weight=0)


def test_a_file_without_captions_is_told_with_the_next_step(tmp_path: Path) -> None:
    images, _ = write_references(tmp_path, count=3)
    folder = ReferredFolder(images, tmp_path / "people.json")
    with pytest.raises(DataError, match="no caption .*generate-expressions.*--data.train"):
        ReferringData(train=folder, val=folder).setup("fit")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"text": -1}, r"\(-1, 0.25, 0.25\); give numbers from 0 on"),
        ({"text": 0, "points": 0, "scribble": 0}, "one of them above it"),
        ({"negative": 2}, "negative is 2, expected 0 to 1"),
        ({"most": 0}, "most is 0, expected 1 or more"),
    ],
)
def test_shares_that_cannot_be_drawn_from_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(PromptError, match=told):
        PromptSettings(**settings)


def test_references_of_one_box_are_of_one_person(tmp_path: Path) -> None:
    from peopleseg.labels.referring import load_references

    images, file = write_references(tmp_path, count=4, captions=CAPTIONS)
    found = images_of(load_references(file, images))
    people = [person for image in found for person in image.people]
    assert {tuple(person.captions) for person in people} == {(), CAPTIONS}
    assert len(found) == 3 and [image.seed for image in found] == [0, 1, 2]
