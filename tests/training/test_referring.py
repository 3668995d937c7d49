"""Trainings of the referring networks on planted data, a step or two each, until they serve."""

import json
from pathlib import Path

import numpy as np
import pytest

from conversion.export.exporter import export
from conversion.export.settings import Settings
from conversion.step_version import new_step_version
from peopleseg.labels.keypoints import COUNT
from peopleseg.networks.checkpoint import load_network
from peopleseg.networks.referring.chooser import PersonChooser
from peopleseg.networks.referring.pose import PersonPose
from peopleseg.pixels.masks import decode_rle
from peopleseg.repository.model_folder import versions_in
from peopleseg.repository.tensors import bytes_tensor
from peopleseg.systems.known import STEPS, system_named
from peopleseg.systems.pipeline import Pipeline
from peopleseg.systems.referring.contract import OFF, ON, PADDING
from tests.data.posed_images import annotation, entry, standing, write_coco, write_posed
from tests.data.reference_files import write_references
from tests.data.small_minilm import write_minilm
from tests.data.small_movenet import write_movenet
from tests.data.small_repository import BOX_CXCYWH, write_images, write_small_repository
from tests.training.runs import CONFIGS, train

SIZE_HW = (64, 32)
FROM_POINTS = "referring_person_from_points"
QUICK = (
    *("--data.loader.workers=0", "--data.loader.batch_size=2", "--trainer.max_epochs=1"),
    *("--trainer.num_sanity_val_steps=0", "--trainer.enable_progress_bar=false"),
    *("--trainer.enable_model_summary=false", "--trainer.accelerator=cpu"),
    *("--trainer.log_every_n_steps=1", "--trainer.limit_train_batches=1"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("referring")


def fit_pose(images: Path, annotations: Path, out: Path, *more: str) -> int:
    parts = ("train", "val")
    return train(
        "fit",
        f"--config={CONFIGS / 'person_pose.yaml'}",
        *(f"--data.{part}.images={images}" for part in parts),
        *(f"--data.{part}.annotations={annotations}" for part in parts),
        *(f"--{part}.size_hw={list(SIZE_HW)}" for part in ("model", "data")),
        *("--model.width=8", "--model.encoder_weights=null", *QUICK, f"--out={out}", *more),
    )


@pytest.fixture(scope="module")
def pose(folder: Path) -> Path:
    assert fit_pose(*write_posed(folder / "posed", count=2), folder / "pose") == 0
    return folder / "pose" / "best.ckpt"


def test_a_training_leaves_the_pose_network_and_its_metrics(pose: Path) -> None:
    found = load_network(pose)
    assert isinstance(found.network, PersonPose)
    assert found.dims == {"encoder": "lite0", "size_hw": list(SIZE_HW), "width": 8}
    assert set(found.metrics) == {"oks", "pckh"} and found.epoch == 1
    assert 0 <= found.metrics["oks"] <= 1


def test_a_teachers_own_metrics_are_beside_those_of_who_learns_from_it(tmp_path: Path) -> None:
    images, annotations = write_posed(tmp_path / "posed", count=2)
    teacher = write_movenet(
        tmp_path / "movenet.onnx", keypoint=(0.5, 0.5, 0.9), box_yxyx=(0.1, 0.35, 0.9, 0.65)
    )
    out = tmp_path / "taught"
    assert fit_pose(images, annotations, out, f"--data.teacher.file={teacher}") == 0
    measured = load_network(out / "best.ckpt").metrics
    assert {"oks", "pckh", "teacher_pckh", "teacher_pckh_sure", "teacher_sure"} == set(measured)
    assert measured["teacher_sure"] == 1 and measured["teacher_pckh"] < 0.2


def test_another_training_starts_from_it(folder: Path, pose: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    data = folder / "posed" / "images", folder / "posed" / "people.json"
    assert fit_pose(*data, again, f"--model.start_from={pose}") == 0
    assert load_network(again / "last.ckpt").family == "person_pose"


def test_a_file_without_keypoints_is_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody = annotation(1, standing(100), keypoints=None)
    path = write_coco(tmp_path / "people.json", [entry(1)], [nobody])
    assert fit_pose(tmp_path, path, tmp_path / "run") == 1
    said = capsys.readouterr().err
    assert "people.json has nobody with 3 keypoints or more" in said and "Traceback" not in said


@pytest.fixture(scope="module")
def served(folder: Path, pose: Path) -> Pipeline:
    """The small repository, whose people are red, with the trained pose network."""
    repository = write_small_repository(folder / "repository")
    images, _ = write_images(folder / "red", count=1)
    settings = Settings(check_pinned_runtime=False)
    export(pose, list(images.glob("*.png")), settings, repository=repository)
    height, width = SIZE_HW
    new_step_version(repository, "crop_people", {"height": height, "width": width})
    newest = {step: max(versions_in(repository / step), default=0) for step in STEPS}
    return Pipeline(system_named("referring"), repository, versions=newest)


def test_points_find_the_person_with_pose_mask_and_box(folder: Path, served: Pipeline) -> None:
    x, y, width, height = BOX_CXCYWH
    points = [
        [(x, y, ON), (0, 0, PADDING)],
        [(10, 10, ON), (0, 0, PADDING)],  # where nobody is
        [(x, y, ON), (x, y + 50, OFF)],  # on nobody, therefore
    ]
    given = {
        "image": bytes_tensor((folder / "red" / "0.png").read_bytes()),
        "points": np.array(points, np.float32),
    }
    found = served.call(FROM_POINTS, given)
    box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    np.testing.assert_allclose(found["boxes"], [box] * 3, atol=1)
    assert found["scores"][0] > 0.5 and found["scores"][1:].max() < 0.1
    assert found["keypoints"].shape == (3, COUNT, 3)
    assert np.isfinite(found["keypoints"]).all()
    assert ((found["keypoints"][..., 2] >= 0) & (found["keypoints"][..., 2] <= 1)).all()
    mask = decode_rle(found["rles"][0])
    assert mask.shape == (640, 640) and mask[int(y), int(x)] == 1 and mask[10, 10] == 0
    assert mask.sum() == pytest.approx(np.pi * width * height / 4, rel=0.05)
    alone = served.call(FROM_POINTS, given | {"points": given["points"][:1]})
    assert alone["rles"][0] == found["rles"][0]
    for name in ("boxes", "scores", "keypoints"):
        np.testing.assert_allclose(alone[name][0], found[name][0], rtol=1e-5)
    unlike = served.system.unlike
    assert unlike({}, found, found) is None
    assert "has shape [1, 4] instead of [3, 4]" in str(unlike({}, alone, found))


def fit_chooser(folder: Path, pose: Path, minilm: Path, out: Path, *more: str) -> int:
    (folder / "said").mkdir(exist_ok=True)
    images, references = write_references(folder / "said", count=3, seed=1)
    files = {
        "images": str(images),
        "annotations": str(folder / "said" / "people.json"),
        "references": str(references),
    }
    return train(
        "fit",
        f"--config={CONFIGS / 'person_chooser.yaml'}",
        f"--data.train={json.dumps([files])}",
        *(f"--data.val.{name}={path}" for name, path in files.items()),
        *(f"--data.pose={pose}", f"--data.text_encoder={minilm}", "--model.width=16"),
        *("--model.layers=1", *QUICK, f"--out={out}", *more),
    )


@pytest.fixture(scope="module")
def minilm(folder: Path) -> Path:
    return write_minilm(folder / "minilm")


def test_a_training_leaves_the_chooser_and_its_metrics(
    tmp_path: Path, pose: Path, minilm: Path
) -> None:
    assert fit_chooser(tmp_path, pose, minilm, tmp_path / "run") == 0
    found = load_network(tmp_path / "run" / "best.ckpt")
    assert isinstance(found.network, PersonChooser)
    assert set(found.metrics) == {"right_choice", "chance"}
    assert 0 < found.metrics["chance"] <= 1


def test_what_the_chooser_lacks_is_told_in_a_sentence(
    tmp_path: Path, pose: Path, minilm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit_chooser(tmp_path, pose, tmp_path, tmp_path / "run") != 0
    said = capsys.readouterr().err
    assert "tokenizer.json is not there; name the folder" in said and "Traceback" not in said
