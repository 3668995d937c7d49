"""A mask head learns on a detector as it is served, and is served what it learned on."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from conversion.export.families import of_network
from conversion.people.inputs import RoiReader
from peopleseg.networks.checkpoint import CheckpointError, load_detector, load_network
from peopleseg.networks.people.onnx_detector import OnnxDetector
from peopleseg.pixels.images import prepare
from peopleseg.systems.people.pipeline import PeoplePipeline
from tests.data.encoded import astronaut
from tests.data.small_repository import CHANNELS, write_detector, write_small_repository
from tests.training.runs import CONFIGS, Data, differing, train
from training.cli import build
from training.data import mistakes

ROIS = np.array([[0, 100, 60, 420, 600], [0, 300, -20, 660, 300]], dtype=np.float32)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Its detector has a grid of 40 x 40 cells."""
    repository = write_small_repository(tmp_path / "repository")
    write_detector(repository, 2, stride=16)
    return repository


def head_arguments(data: Data, detector: Path, out: Path, epochs: int) -> list[str]:
    return [
        "fit",
        f"--config={CONFIGS / 'hierarchical_lite.yaml'}",
        *data.arguments(),
        f"--model.people_unet={data.people_unet}",
        f"--model.detector={detector}",
        f"--trainer.max_epochs={epochs}",
        f"--out={out}",
    ]


def test_a_batch_equals_singles_and_a_copy_the_first(repository: Path) -> None:
    detector = load_detector(repository / "yolov9" / "2")
    assert detector.feature_channels == CHANNELS
    images = torch.randint(0, 256, (3, 3, 640, 640)) / 255
    together = detector(images)
    assert together.features.shape == (3, CHANNELS, 40, 40)
    torch.testing.assert_close(detector.features(images), together.features, rtol=0, atol=0)
    for index, other in enumerate((detector, copy.deepcopy(detector), detector)):
        one = other(images[index : index + 1])
        assert torch.equal(one.features[0], together.features[index])
        assert torch.equal(one.predictions[0], together.predictions[index])


def test_the_head_of_a_training_is_served_the_features_that_it_learned_on(
    data: Data, repository: Path, tmp_path: Path
) -> None:
    version, out = repository / "yolov9" / "2", tmp_path / "run"
    assert train(*head_arguments(data, version, out, epochs=1)) == 0
    loaded = load_network(out / "best.ckpt")
    detector = loaded.companions["detector"]
    assert isinstance(detector, OnnxDetector)  # its graph averaged over the steps, and still whole
    graph = (version / "model.onnx").read_bytes()
    assert detector.graph.numpy().tobytes() == graph
    pixels, _ = prepare(astronaut())
    trained = RoiReader(loaded, of_network(loaded), repository).read(pixels, ROIS)
    pipeline = PeoplePipeline(repository, versions={"yolov9": 2})
    features = pipeline.call_step("yolov9", {"pixels": pixels})["features"]
    served = pipeline.call_step("roi_align", {"pixels": pixels, "features": features, "rois": ROIS})
    np.testing.assert_allclose(
        trained["roi_features"].astype(np.float32),
        served["roi_features"].astype(np.float32),
        atol=2e-3,
    )


def test_a_training_goes_on_where_it_was(data: Data, repository: Path, tmp_path: Path) -> None:
    version = repository / "yolov9" / "2"
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    assert train(*head_arguments(data, version, whole, epochs=2)) == 0
    first = head_arguments(data, version, halves, epochs=1)
    assert train(*first, "--model.schedule.epochs=2") == 0
    again = head_arguments(data, version, halves, epochs=2)
    assert train(*again, "--ckpt_path=last") == 0
    assert differing(whole / "last.ckpt", halves / "last.ckpt") == []


def test_what_is_no_served_detector_is_told(repository: Path, tmp_path: Path) -> None:
    pointer = tmp_path / "pointer.onnx"
    pointer.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    for path, message in (
        (repository / "people_unet" / "1", "makes person_logit; a served detector makes features"),
        (repository / "select_people" / "1", "a version of a Python step"),
        (repository / "yolov9", "not a manifest"),
        (tmp_path / "none.onnx", "No such file"),
        (pointer, "run `git lfs pull`"),
    ):
        with pytest.raises(CheckpointError, match=message):
            load_detector(path)


def test_a_trained_head_moves_to_another_detector(
    data: Data, repository: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """All but what reads the features is kept; that begins anew, and is named."""
    version, first, second = repository / "yolov9" / "2", tmp_path / "first", tmp_path / "second"
    assert train(*head_arguments(data, data.detector, first, epochs=1)) == 0
    moved = [f"--model.start_from={first / 'best.ckpt'}", "--model.optimizer.learning_rate=0"]
    capfd.readouterr()
    assert train(*head_arguments(data, version, second, epochs=1), *moved) == 0
    told = "feature_reducer. is missing or has other shapes and begins anew"
    assert told in capfd.readouterr().err
    before, after = (load_network(run / "best.ckpt").network for run in (first, second))
    kept = {name: weight for name, weight in before.named_parameters()}
    for name, weight in after.named_parameters():
        if not name.startswith("feature_reducer."):
            assert torch.equal(weight, kept[name]), name


JUDGES = ["--model.judges_presence=true", "--data.roi.mistakes=1"]


def test_what_a_detector_mistakes_for_people_teaches_presence_and_no_mask(
    data: Data, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = head_arguments(data, repository / "yolov9" / "2", tmp_path / "run", epochs=1)
    task, images = build([*arguments, *JUDGES])
    images.setup("fit")
    task.eval()
    batch = images.collate([images.training_sample(images.train_images[-1], 0)])
    assert batch.mistakes == 1 and len(batch.rois)
    found = torch.tensor([[270.0, 270, 370, 370]])
    monkeypatch.setattr(mistakes, "mistakes", lambda predictions, people: found)
    with_it, without = task.loss_terms(batch), task.loss_terms(batch._replace(mistakes=0))
    changed = {name for name, term in with_it.items() if not term.isclose(without[name], rtol=1e-4)}
    assert changed == {"presence", "loss"}


def test_a_trained_head_learns_presence_and_keeps_its_masks(
    data: Data, repository: Path, tmp_path: Path
) -> None:
    version, first = repository / "yolov9" / "2", tmp_path / "first"
    assert train(*head_arguments(data, version, first, epochs=1)) == 0
    start = [f"--model.start_from={first / 'best.ckpt'}", "--model.backbone.train=frozen"]
    before = load_network(first / "best.ckpt").network.state_dict()
    for rate in ("0", "0.01"):
        arguments = head_arguments(data, version, tmp_path / rate, epochs=1)
        rated = [*JUDGES, *start, f"--model.optimizer.learning_rate={rate}"]
        assert train(*arguments, *rated) == 0
        after = load_network(tmp_path / rate / "best.ckpt").network.state_dict()
        assert after.keys() - before.keys() == {"presence.weight", "presence.bias"}
        for name, value in before.items():
            assert torch.equal(after[name], value), name
    still, learned = (tmp_path / rate / "last.ckpt" for rate in ("0", "0.01"))
    changed = {name.rpartition("network.")[2] for name in differing(still, learned)}
    assert changed == {"presence.weight", "presence.bias"}


@pytest.mark.parametrize("config", ["hierarchical_lite", "feature_head"])
def test_mistakes_that_a_head_cannot_learn_from_are_a_sentence(
    config: str, data: Data, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_config = {
        "hierarchical_lite": [
            "--model.reads_features=false",
            f"--model.people_unet={data.people_unet}",
        ],
        "feature_head": [f"--model.detector={data.detector}"],
    }
    arguments = ["fit", f"--config={CONFIGS / config}.yaml", *data.arguments(), f"--out={out}"]
    assert train(*arguments, *of_config[config], "--data.roi.mistakes=0.2") == 1
    message = capsys.readouterr().err
    assert "data.roi.mistakes is 0.2" in message and "set it to 0" in message
    assert "Traceback" not in message
