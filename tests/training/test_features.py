"""Features computed once train the head as features computed on the fly do."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from peopleseg.cli.main import main
from peopleseg.labels.coco import load_images
from peopleseg.labels.files import write_json
from peopleseg.networks.checkpoint import load_network, save_network
from peopleseg.networks.people.feature_head import RoiFeatureHead
from peopleseg.networks.people.yolov9 import YOLOv9
from tests.training.runs import CONFIGS, Data, train
from training.data.features import DESCRIPTION, FeatureFolder, roi_features
from training.data.generated import coco_annotations, people_image, write_image
from training.precomputing import MOST_PEOPLE, needed_bytes

CHANNELS = 160  # of YOLOv9-t
COUNTS = (1, 2, 1, 0)  # people of the images


@pytest.fixture(scope="module")
def people(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Data:
    """Few people, so that the head's steps are quick, and a detector whose features are not tiny,
    as random weights' are beside norms that have seen no image."""
    folder = tmp_path_factory.mktemp("people")
    images = [people_image(seed, count=count) for seed, count in enumerate(COUNTS)]
    names = [f"{index}.png" for index in range(len(images))]
    for image, name in zip(images, names, strict=True):
        write_image(folder / name, image.image_rgb)
    annotations = folder / "people.json"
    write_json(annotations, coco_annotations(images, names))
    detector = YOLOv9("t")
    for module in detector.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    seen = [people_image(seed, size_hw=(320, 320)).image_rgb for seed in (1, 2)]
    detector(torch.from_numpy(np.stack(seen)).permute(0, 3, 1, 2) / 255)
    save_network(folder / "detector.ckpt", "yolov9", detector, dims=detector.dims)
    return data._replace(images=folder, annotations=annotations, detector=folder / "detector.ckpt")


@pytest.fixture(scope="module")
def features(people: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with train/ and val/, of the same images."""
    folder = tmp_path_factory.mktemp("features")
    assert precompute(people, folder / "train") == 0
    shutil.copytree(folder / "train", folder / "val")
    return folder


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the head with random weights."""
    path = tmp_path_factory.mktemp("start") / "head.ckpt"
    head = RoiFeatureHead(CHANNELS)
    save_network(path, "feature_head", head, dims=head.dims)
    return path


def precompute(people: Data, out: Path, *more: str) -> int:
    return main(
        [
            "precompute-features",
            f"--detector={people.detector}",
            f"--images={people.images}",
            f"--annotations={people.annotations}",
            f"--out={out}",
            "--device=cpu",
            "--workers=0",
            *more,
        ]
    )


def fit(config: str, people: Data, out: Path, *more: str) -> int:
    return train(
        "fit",
        f"--config={CONFIGS / config}.yaml",
        *people.arguments(),
        "--data.loader.batch_size=1",
        "--data.loader.validation_batch_size=1",
        "--trainer.max_epochs=1",
        "--trainer.limit_train_batches=2",
        "--trainer.limit_val_batches=0.34",
        f"--out={out}",
        *more,
    )


def test_training_gives_the_weights_of_training_on_images(
    people: Data, features: Path, start: Path, tmp_path: Path
) -> None:
    # SGD: Adam's first steps are the signs of gradients, also of those that are rounding alone.
    same = [
        f"--model.detector={people.detector}",
        f"--model.start_from={start}",
        "--model.optimizer={name: sgd, learning_rate: 1.0e-3, weight_decay: 1.0e-4}",
    ]
    stored = f"--data.features={features}"
    assert fit("feature_head", people, tmp_path / "images", *same) == 0
    assert fit("feature_head_precomputed", people, tmp_path / "features", *same, stored) == 0
    begun = load_network(start).network.state_dict()
    ends = [load_network(tmp_path / name / "last.ckpt") for name in ("images", "features")]
    for name, weight in begun.items():
        changes = [end.network.state_dict()[name] - weight for end in ends]
        assert changes[0].norm() > 0, name
        assert (changes[0] - changes[1]).norm() < 0.02 * changes[0].norm(), name
    assert ends[0].metrics == pytest.approx(ends[1].metrics, abs=0.01)
    assert all("detector" in end.companions for end in ends)


def test_a_file_holds_what_the_detector_sees_of_each_person(people: Data, features: Path) -> None:
    detector = load_network(people.detector).network
    assert isinstance(detector, YOLOv9)
    folder = FeatureFolder(features / "train")
    for image in load_images(people.annotations, people.images):
        assert folder.has(image) == bool(image.people)
        if not image.people:
            continue
        _, stored, labels = folder.read(image)
        assert stored.shape == (len(image.people), CHANNELS, 28, 28)
        assert stored.dtype == torch.float16
        assert labels.shape == (len(image.people), 56, 56)
        assert all((label == 1).any() for label in labels)


def test_each_rois_features_are_those_it_has_alone(people: Data) -> None:
    detector = load_network(people.detector).network
    assert isinstance(detector, YOLOv9)
    images = torch.rand(2, 3, 64, 64)
    rois = torch.tensor([[1.0, 3, 5, 40, 60], [0, 0, 0, 64, 64], [1, 20, 20, 50, 44]])
    together = roi_features(detector, images, rois)
    for roi, of_roi in zip(rois, together, strict=True):
        image = images[int(roi[0])][None]
        alone = roi_features(detector, image, roi[None] * torch.tensor([0.0, 1, 1, 1, 1]))
        torch.testing.assert_close(of_roi, alone[0], rtol=1e-3, atol=1e-2)
    assert roi_features(detector, images, rois[:0]).shape == (0, CHANNELS, 28, 28)


def test_it_says_first_how_many_bytes_it_writes(
    people: Data, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert precompute(people, tmp_path) == 0
    folder, written = FeatureFolder(tmp_path), 0
    for image in load_images(people.annotations, people.images):
        if image.people:
            written += folder.read(image).roi_features.nbytes
    assert f"({written} bytes)" in capsys.readouterr().out.splitlines()[0]


def test_no_more_than_the_first_ten_people_count(people: Data) -> None:
    crowded = load_images(people.annotations, people.images)[0]
    crowded.annotations.extend(crowded.annotations * MOST_PEOPLE)
    assert needed_bytes([crowded], 3) == (10, 10 * 3 * 28 * 28 * 2)


def test_it_goes_on_where_it_was(people: Data, features: Path, tmp_path: Path) -> None:
    out = tmp_path / "features"
    shutil.copytree(features / "train", out)
    files = sorted(out.glob("*.safetensors"))
    lost, *others = files
    first = lost.read_bytes()
    lost.unlink()
    before = [path.stat().st_mtime_ns for path in others]
    assert precompute(people, out) == 0
    assert lost.read_bytes() == first
    assert [path.stat().st_mtime_ns for path in others] == before


def test_a_folder_of_other_settings_is_refused(
    people: Data, features: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    description = (features / "train" / DESCRIPTION).read_bytes()
    assert precompute(people, features / "train", "--padding=0.2", "--resize=letterbox") == 1
    printed = capsys.readouterr().err
    assert "padding 0.1, not 0.2" in printed and "resize stretch, not letterbox" in printed
    assert (features / "train" / DESCRIPTION).read_bytes() == description


def test_a_broken_image_is_named_and_the_others_are_done(
    people: Data, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    shutil.copytree(people.images, images)
    broken = images / "1.png"
    broken.write_bytes(broken.read_bytes()[:2000])
    assert precompute(people._replace(images=images), tmp_path / "features") == 0
    printed = capsys.readouterr()
    assert str(broken) in printed.err and "left out 1 broken image" in printed.err
    assert len(list((tmp_path / "features").glob("*.safetensors"))) == 2
    assert "features of 2 images" in printed.out


def test_without_a_detector_the_head_is_saved_alone(
    people: Data, features: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "feature_head_precomputed",
        people,
        tmp_path / "run",
        f"--data.features={features}",
    ]
    assert fit(*arguments) == 1  # type: ignore[arg-type]
    assert f"channels {CHANNELS}, not 1024" in capfd.readouterr().err
    assert fit(*arguments, f"--model.feature_channels={CHANNELS}") == 0  # type: ignore[arg-type]
    loaded = load_network(tmp_path / "run" / "best.ckpt")
    assert loaded.dims == {"in_channels": CHANNELS}
    assert loaded.companions == {}


def test_images_without_features_and_broken_files_are_named_and_left_out(
    people: Data, features: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(features, tmp_path / "features")
    absent, broken, *_ = sorted((tmp_path / "features" / "train").glob("*.safetensors"))
    absent.unlink()
    broken.write_bytes(broken.read_bytes()[:100])
    arguments = [
        f"--data.features={tmp_path / 'features'}",
        f"--model.feature_channels={CHANNELS}",
        "--data.loader.batch_size=2",
    ]
    assert fit("feature_head_precomputed", people, tmp_path / "run", *arguments) == 0
    printed = capfd.readouterr().err
    assert f"has no features in {tmp_path / 'features' / 'train'}" in printed
    assert printed.count(f"left out: {broken} cannot be read") == 1
    assert "left out 1 broken image" in printed


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("--data.padding=0.2", "padding 0.1, not 0.2"),
        ("--data.resize=letterbox", "resize stretch, not letterbox"),
        ("--data.features=nowhere", "does not describe features"),
    ],
)
def test_other_features_than_the_training_expects_are_refused(
    people: Data,
    features: Path,
    out: Path,
    capfd: pytest.CaptureFixture[str],
    wrong: str,
    words: str,
) -> None:
    stored = f"--data.features={features}"
    detector = f"--model.detector={people.detector}"
    assert fit("feature_head_precomputed", people, out, stored, detector, wrong) == 1
    assert words in capfd.readouterr().err


def test_features_of_another_detector_are_refused(
    people: Data, features: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.ckpt"
    network = YOLOv9("t")
    save_network(other, "yolov9", network, dims=network.dims)
    arguments = [f"--data.features={features}", f"--model.detector={other}"]
    assert fit("feature_head_precomputed", people, tmp_path / "run", *arguments) == 1
    assert "holds features of detector_sha256" in capfd.readouterr().err


def test_training_on_images_needs_a_detector(
    people: Data, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert fit("feature_head", people, out) == 1
    assert "give --model.detector CHECKPOINT" in capfd.readouterr().err
