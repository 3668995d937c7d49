"""A detector taught by a published one: what the teacher adds to a training, and where."""

from pathlib import Path

import onnx
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from peopleseg.networks.checkpoint import load_network, read_checkpoint
from tests.data.detectors import write_nanodet
from tests.training.runs import CONFIGS, Data, differing, train
from training.cli import build

SIZE = 64


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nanodet(tmp_path_factory.mktemp("teacher") / "nanodet.onnx", SIZE)


def of_a_student(data: Data, out: Path, *more: str, size: int = SIZE) -> list[str]:
    return [
        "fit",
        f"--config={CONFIGS / 'yolov9_t_distilled.yaml'}",
        *data.arguments(),
        f"--data.size={size}",
        "--trainer.max_epochs=1",
        "--trainer.limit_train_batches=2",
        f"--out={out}",
        *more,
    ]


def scalars(out: Path) -> set[str]:
    events = EventAccumulator(str(out))
    events.Reload()
    return {name for name in events.Tags()["scalars"] if name.startswith("train/")}


def test_a_student_imitates_and_its_checkpoint_holds_no_teacher(
    teacher: Path, data: Data, out: Path
) -> None:
    taught, alone = out / "taught", out / "alone"
    assert train(*of_a_student(data, taught, f"--model.teacher={teacher}")) == 0
    assert train(*of_a_student(data, alone)) == 0
    assert scalars(taught) == {f"train/{n}" for n in ("labels", "scores", "boxes", "bins", "loss")}
    assert scalars(alone) == {f"train/{name}" for name in ("box", "classes", "dfl", "loss")}
    assert differing(taught / "last.ckpt", alone / "last.ckpt")
    keys = [set(read_checkpoint(o / "last.ckpt")["state_dict"]) for o in (taught, alone)]
    assert keys[0] == keys[1]
    assert load_network(taught / "best.ckpt").family == "yolov9"


def test_the_same_training_gives_the_same_weights(teacher: Path, data: Data, out: Path) -> None:
    for run in ("first", "second"):
        assert train(*of_a_student(data, out / run, f"--model.teacher={teacher}")) == 0
    assert not differing(out / "first" / "last.ckpt", out / "second" / "last.ckpt")


def test_on_other_canvases_the_labels_teach(teacher: Path, data: Data, out: Path) -> None:
    arguments = of_a_student(data, out, f"--model.teacher={teacher}", size=2 * SIZE)
    assert train(*arguments) == 0
    assert scalars(out) == {f"train/{name}" for name in ("box", "classes", "dfl", "loss")}


def test_the_necks_levels_count_when_they_are_named(teacher: Path, data: Data, out: Path) -> None:
    necks = [n.output[0] for n in onnx.load(teacher).graph.node if "neck" in n.output[0]][:3]
    named = f"--model.teacher_levels={necks}"
    arguments = of_a_student(data, out, f"--model.teacher={teacher}", named)
    assert train(*arguments, "--model.imitation.levels=1") == 0
    assert "train/levels" in scalars(out)


def test_a_weight_of_nought_leaves_its_term_out(teacher: Path, data: Data, out: Path) -> None:
    """All of them: the loss is the labels' own."""
    weights = [f"--model.imitation.{term}=0" for term in ("scores", "boxes", "bins")]
    more = [f"--model.teacher={teacher}", *weights, "--model.imitation.labels=1"]
    taught, _ = build(of_a_student(data, out / "taught", *more))
    alone, images = build(of_a_student(data, out / "alone"))
    alone.network.load_state_dict(taught.network.state_dict())
    images.setup("fit")
    batch = images.collate([images.training_sample(p, 0) for p in images.train_images])
    losses = [task.train().loss_terms(batch)["loss"] for task in (taught, alone)]
    torch.testing.assert_close(*losses)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--model.teacher=nowhere.onnx"], "there is no teacher nowhere.onnx; name an ONNX file"),
        (["--model.teacher={detector}"], "is not an ONNX file"),
        (["--model.teacher_levels=[a, b, c]"], "and --model.imitation.levels, both"),
    ],
)
def test_what_cannot_teach_is_refused_in_a_sentence(
    more: list[str], message: str, data: Data, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    named = [argument.format(**data._asdict()) for argument in more]
    assert train(*of_a_student(data, out, *named)) == 1
    error = capfd.readouterr().err
    assert message in error and "Traceback" not in error
