"""A mask head taught by another: what the teacher adds to a training, and what it leaves alone."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from peopleseg.networks.checkpoint import load_network, read_checkpoint, save_network
from peopleseg.networks.people.lite_head import LiteMaskHead
from peopleseg.networks.people.people_unet import PeopleUNet
from peopleseg.networks.people.person_segmenter import PersonSegmenter
from tests.training.runs import CONFIGS, Data, differing, train
from training.callbacks.save_at_end import END, SaveAtEnd
from training.cli import build
from training.data.samples import RoiBatch
from training.losses.mask_distillation import mask_divergence

CONFIG = f"--config={CONFIGS / 'hierarchical_lite_distilled.yaml'}"
SMALL = ["--model.roi_size_hw=[16, 12]", "--data.roi.mask_size_hw=[32, 24]"]
# It reads nothing but images, which is quick.
RGB_ALONE = [
    *SMALL,
    *("--model.reads_person_logit=false", "--model.reads_features=false"),
]


@pytest.fixture(scope="module")
def teacher(data: Data) -> Path:
    """A checkpoint of a head on another grid that reads no features; its UNet is in the file."""
    path, unet = data.people_unet.with_name("teacher.ckpt"), PeopleUNet("b0", shrink=4)
    beside = {"people_unet": (unet, unet.dims)}
    return written(path, LiteMaskHead(roi_size_hw=(24, 16)), companions=beside)


@pytest.fixture(scope="module")
def rgb_head(data: Data) -> Path:
    """A checkpoint of the student that reads nothing but images."""
    path = data.people_unet.with_name("rgb_head.ckpt")
    return written(path, LiteMaskHead(reads_person_logit=False, roi_size_hw=(16, 12)))


def written(path: Path, head: LiteMaskHead, **more: Any) -> Path:
    save_network(path, "hierarchical_head", head, dims=head.dims, **more)
    return path


def of_a_student(data: Data, out: Path, *more: str) -> list[str]:
    return ["fit", CONFIG, *data.arguments(), *RGB_ALONE, f"--out={out}", *more]


def task_and_batch(arguments: list[str]) -> tuple[Any, RoiBatch]:
    """What is trained, and the people of two images."""
    task, images = build(arguments)
    images.setup("fit")
    samples = [images.training_sample(image, 0) for image in images.train_images[-2:]]
    return task, images.collate(samples)


def test_a_teacher_that_reads_other_inputs_teaches_by_the_command(
    teacher: Path, data: Data, out: Path
) -> None:
    student = [f"--model.people_unet={data.people_unet}", f"--model.detector={data.detector}"]
    taught = ["fit", CONFIG, *data.arguments(), *SMALL, *student, f"--out={out}"]
    assert train(*taught, f"--model.teacher={teacher}", "--trainer.max_epochs=1") == 0
    events = EventAccumulator(str(out))
    events.Reload()
    assert all(event.value > 0 for event in events.Scalars("train/distillation"))

    without, _ = build(taught)
    saved = read_checkpoint(out / "last.ckpt")
    assert saved["state_dict"].keys() == without.state_dict().keys()
    assert saved["current_model_state"].keys() == without.state_dict().keys()
    assert set(load_network(out / "last.ckpt").companions) == {"people_unet", "detector"}


def test_the_teacher_adds_its_weighted_divergence_and_stays_as_it_was(
    teacher: Path, data: Data, out: Path
) -> None:
    settings = ["--model.distillation.weight=3", "--model.distillation.temperature=4"]
    taught = of_a_student(data, out, f"--model.teacher={teacher}", *settings)
    task, batch = task_and_batch(taught)
    task.train()
    terms = task.loss_terms(batch)
    terms["loss"].backward()
    total = terms.pop("loss").item()
    assert total == pytest.approx(sum(term.item() for term in terms.values()))

    loaded = load_network(teacher)
    head: Any = loaded.network
    unet: Any = loaded.companions["people_unet"]
    (teaching,) = task._teacher
    for part, before in ((teaching.head, head), (teaching.people_unet, unet)):
        assert not any(module.training for module in part.modules())
        assert all(p.grad is None and not p.requires_grad for p in part.parameters())
        for name, value in before.state_dict().items():
            assert part.state_dict()[name].equal(value), name

    images = batch.images.float() / 255
    task.eval()
    with torch.no_grad():
        response = PersonSegmenter(head, unet)(images, batch.rois).mask_logits
        own = task._segmenter[0](images, batch.rois).mask_logits
        found = task.loss_terms(batch)["distillation"]
    assert response.shape[2:] == (48, 32) and own.shape[2:] == (32, 24)
    assert found.item() == pytest.approx(3 * mask_divergence(own, response, 4.0).item(), rel=1e-5)


def test_a_student_taught_by_itself_learns_from_the_labels_alone(
    rgb_head: Path, data: Data, out: Path
) -> None:
    start = f"--model.start_from={rgb_head}"
    task, batch = task_and_batch(of_a_student(data, out, start, f"--model.teacher={rgb_head}"))
    alone, _ = task_and_batch(of_a_student(data, out, start))
    for one in (task, alone):
        one.eval()  # as the teacher is
    terms, without = task.loss_terms(batch), alone.loss_terms(batch)
    assert terms.pop("distillation") == 0
    assert terms == without


def test_resumed_taught_it_ends_as_it_would_have(
    rgb_head: Path, data: Data, tmp_path: Path
) -> None:
    resumed, uninterrupted = tmp_path / "resumed", tmp_path / "uninterrupted"
    settings = [
        f"--model.teacher={rgb_head}",
        "--model.schedule.epochs=2",
        f"--trainer.callbacks+={SaveAtEnd.__module__}.{SaveAtEnd.__name__}",
    ]
    two = [*settings, "--trainer.max_epochs=2"]
    assert train(*of_a_student(data, uninterrupted, *two)) == 0
    assert train(*of_a_student(data, resumed, *settings, "--trainer.max_epochs=1")) == 0
    assert differing(resumed / END, uninterrupted / END)
    assert train(*of_a_student(data, resumed, *two, "--ckpt_path=last")) == 0
    assert differing(resumed / END, uninterrupted / END) == []


def test_a_checkpoint_that_cannot_teach_is_refused(
    data: Data, out: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    alone = written(tmp_path / "alone.ckpt", LiteMaskHead())
    for teacher, reason in (
        (data.people_unet, "holds a people_unet, not a hierarchical_head"),
        (alone, "cannot teach: this mask head reads the outputs of a people UNet; give one in the"),
    ):
        assert train(*of_a_student(data, out, f"--model.teacher={teacher}")) == 1
        assert f"peopleseg train: {teacher} {reason}" in capfd.readouterr().err
