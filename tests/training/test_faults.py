"""What goes wrong in a training: it goes on, or ends with a sentence and leaves what it had."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from peopleseg.labels.coco import load_images
from peopleseg.networks.checkpoint import load_network, read_checkpoint
from peopleseg.networks.checkpoint_io import WholeCheckpoints
from tests.data.people_images import REPOSITORY, write_data_set, write_image
from tests.training.runs import CONFIGS, Data, train, unet_arguments
from training.data.images import read_rgb

Captured = pytest.CaptureFixture[str]

CUT_OFF, TEXT, MISSING = "cut-off.jpg", "text.jpg", "missing.jpg"


@pytest.fixture
def broken(data: Data, tmp_path: Path) -> Data:
    """To train on, seven images of which three are broken, each in its own way."""
    images, annotations = write_data_set(tmp_path / "broken", count=7)
    write_image(images / CUT_OFF, read_rgb(load_images(annotations, images)[3]))
    (images / CUT_OFF).write_bytes((images / CUT_OFF).read_bytes()[:-2000])
    (images / TEXT).write_text("no image")
    rename(annotations, {3: CUT_OFF, 4: TEXT, 5: MISSING})
    return data._replace(images=images, annotations=annotations)


def rename(annotations: Path, names: dict[int, str]) -> None:
    """Give images of a COCO file, by their place in it, other file names."""
    coco = json.loads(annotations.read_text())
    for index, name in names.items():
        coco["images"][index]["file_name"] = name
    annotations.write_text(json.dumps(coco))


def validating_on(data: Data) -> list[str]:
    return [f"--data.val.images={data.images}", f"--data.val.annotations={data.annotations}"]


@pytest.mark.parametrize("workers", [0, 1])
def test_broken_images_are_named_once_and_counted(
    workers: int, data: Data, broken: Data, out: Path, capfd: Captured
) -> None:
    more = [*validating_on(data), f"--data.loader.workers={workers}"]
    assert train(*unet_arguments(broken, out, 2), *more) == 0
    printed = capfd.readouterr().err
    assert [lines_with(name, printed) for name in (CUT_OFF, TEXT, MISSING)] == [1, 1, 1]
    assert "left out 2 images:" in printed  # those whose files show it
    assert "left out 1 broken image\n" in printed  # found on decoding
    assert load_network(out / "last.ckpt").epoch == 2


def test_a_broken_image_in_mosaics_is_named_once(
    data: Data, broken: Data, out: Path, capfd: Captured
) -> None:
    config = f"--config={CONFIGS / 'yolov9_t.yaml'}"
    small = ["--data.size=64", "--data.mixing.last_epochs_without=0", "--trainer.max_epochs=2"]
    more = [*validating_on(data), *small, f"--out={out}"]
    assert train("fit", config, *broken.arguments(), *more) == 0
    assert lines_with(CUT_OFF, capfd.readouterr().err) == 1


def test_broken_validation_images_are_named_once(
    data: Data, broken: Data, out: Path, capfd: Captured
) -> None:
    more = [*validating_on(broken), "--trainer.limit_val_batches=1.0"]
    assert train(*unet_arguments(data, out, 2), *more) == 0
    printed = capfd.readouterr().err
    assert [lines_with(name, printed) for name in (CUT_OFF, TEXT, MISSING)] == [1, 1, 1]
    assert 0 <= load_network(out / "last.ckpt").metrics["people_seg_miou"] <= 1


def test_files_of_which_none_is_an_image_are_refused(
    data: Data, broken: Data, out: Path, capfd: Captured
) -> None:
    for image in load_images(broken.annotations, broken.images):
        image.path.write_text("no image")
    assert train(*unet_arguments(broken, out, 1), *validating_on(data)) == 1
    assert "no image to train on" in refusal(capfd)


def test_images_of_which_none_decodes_are_refused(
    data: Data, broken: Data, out: Path, capfd: Captured
) -> None:
    rename(broken.annotations, dict.fromkeys(range(7), CUT_OFF))
    assert train(*unet_arguments(broken, out, 3), *validating_on(data)) == 1
    assert "no image decodes" in refusal(capfd)
    assert not list(out.glob("*.ckpt"))


@pytest.mark.parametrize("text", ["[]", '{"images": 1}', "no JSON", ""])
def test_annotations_that_are_not_cocos_are_refused(
    text: str, data: Data, out: Path, tmp_path: Path, capfd: Captured
) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text(text)
    assert train(*unet_arguments(data, out, 1), f"--data.train.annotations={wrong}") == 1
    assert "wrong.json" in refusal(capfd)


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_set_of_nobody_is_refused(
    part: str, data: Data, out: Path, tmp_path: Path, capfd: Captured
) -> None:
    nobody = tmp_path / "nobody.json"
    nobody.write_text(json.dumps({**json.loads(data.annotations.read_text()), "annotations": []}))
    assert train(*unet_arguments(data, out, 1), f"--data.{part}.annotations={nobody}") == 1
    assert f"{nobody} has nobody in its " in refusal(capfd)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--data.rot=data"], 2, "Option 'rot' is not accepted"),
        (["--data.loader.batchsize=2"], 2, "--loader.batchsize=2"),
        (["--data.loader.batch_size=0"], 1, "loader.batch_size is 0, expected 1 or more"),
        (["--model.optimizer.learning_rate=fast"], 2, "--optimizer.learning_rate"),
        (["--config=none.yaml"], 2, "none.yaml"),
        (["--model.start_from=none.ckpt"], 1, "none.ckpt cannot be read (No such file"),
    ],
)
def test_a_mistyped_command_is_told_in_a_line(
    arguments: list[str], code: int, told: str, data: Data, out: Path, capfd: Captured
) -> None:
    assert train(*unet_arguments(data, out, 1), *arguments) == code
    assert told in refusal(capfd)
    assert not list(out.glob("*.ckpt"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_recipe_for_gpus_is_refused_without_one(data: Data, out: Path, capfd: Captured) -> None:
    recipe = f"--config={CONFIGS / 'recipes' / 'multi_gpu.yaml'}"
    assert train(*unet_arguments(data, out, 1), recipe, "--trainer.accelerator=gpu") == 1
    assert "gpu" in refusal(capfd)


def test_a_folder_without_data_is_refused(out: Path, tmp_path: Path, capfd: Captured) -> None:
    config = f"--config={CONFIGS / 'people_unet_b0.yaml'}"
    assert train("fit", config, f"--data.root={tmp_path}", f"--out={out}") == 1
    line = refusal(capfd)
    assert "person_train.json" in line and "--data.root" in line


def test_a_loss_that_is_no_number_ends_the_training_and_leaves_the_last_epoch(
    data: Data, out: Path, capfd: Captured
) -> None:
    explodes = ["name=step", "milestones=[1]", "gamma=1e30", "warmup_epochs=0"]
    schedule = [f"--model.schedule.{setting}" for setting in explodes]
    assert train(*unet_arguments(data, out, 3), *schedule) == 1
    line = refusal(capfd)
    assert "in epoch 1" in line and "lower the learning rate" in line
    loaded = load_network(out / "last.ckpt")
    assert loaded.epoch == 1  # trained epochs
    assert all(weight.isfinite().all() for weight in loaded.network.state_dict().values())


def test_a_training_killed_as_it_writes_leaves_the_checkpoint_before_whole(
    data: Data, out: Path
) -> None:
    command = [sys.executable, "-m", "peopleseg.cli.main", "train", *unet_arguments(data, out, 3)]
    command.append(f"--trainer.callbacks+={KilledAsItWrites.__module__}.KilledAsItWrites")
    killed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, timeout=300)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert {path.name for path in out.glob("*.ckpt")} == {"best.ckpt", "last.ckpt"}
    for checkpoint in out.glob("*.ckpt"):
        assert load_network(checkpoint).epoch == 1
    assert train(*unet_arguments(data, out, 2), "--ckpt_path=last") == 0
    assert load_network(out / "last.ckpt").epoch == 2


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "run" / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"epoch": 3}, path)
    with pytest.raises(AttributeError, match="lambda"):
        WholeCheckpoints().save_checkpoint({"epoch": lambda: 4}, path)
    assert read_checkpoint(path) == {"epoch": 3}


@pytest.mark.parametrize("from_file", [False, True])
def test_an_unknown_key_is_named(
    from_file: bool, data: Data, out: Path, tmp_path: Path, capfd: Captured
) -> None:
    config = tmp_path / "more.yaml"
    config.write_text("model: {init_args: {learning_speed: 1}}")
    more = f"--config={config}" if from_file else "--model.learning_speed=1"
    arguments = unet_arguments(data, out, 1)
    assert train(*arguments[:2], more, *arguments[2:]) == 2
    assert "learning_speed" in capfd.readouterr().err
    assert not out.exists()


def test_a_checkpoint_that_is_not_there_is_refused(data: Data, out: Path, capfd: Captured) -> None:
    assert train(*unet_arguments(data, out, 1), "--ckpt_path=last") == 1
    assert f"{out / 'last.ckpt'} is not there" in refusal(capfd)


def test_a_file_that_is_no_checkpoint_is_refused(
    data: Data, out: Path, tmp_path: Path, capfd: Captured
) -> None:
    wrong = tmp_path / "wrong.ckpt"
    wrong.write_text("no checkpoint")
    assert train(*unet_arguments(data, out, 1), f"--ckpt_path={wrong}") == 1
    assert f"{wrong} is not a checkpoint" in refusal(capfd)


def test_weights_alone_are_no_training_to_go_on_with(
    data: Data, out: Path, capfd: Captured
) -> None:
    assert train(*unet_arguments(data, out, 1), f"--ckpt_path={data.people_unet}") == 1
    assert "--model.start_from" in refusal(capfd)


def test_another_networks_training_is_not_gone_on_with(
    data: Data, out: Path, tmp_path: Path, capfd: Captured
) -> None:
    assert train(*unet_arguments(data, out, 1)) == 0
    other = ["--model.shrink=2", f"--ckpt_path={out / 'last.ckpt'}"]
    assert train(*unet_arguments(data, tmp_path / "other", 2), *other) == 1
    line = refusal(capfd)
    assert "'shrink': 4" in line and "'shrink': 2" in line


def lines_with(name: str, printed: str) -> int:
    return sum(name in line for line in printed.splitlines())


def refusal(capfd: Captured) -> str:
    """The one line that says why; without a traceback."""
    printed = capfd.readouterr().err
    assert "Traceback" not in printed
    (line,) = [line for line in printed.splitlines() if line.startswith("peopleseg train:")]
    return line


class Deadly:
    """Kills the process that pickles it."""

    def __reduce__(self) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)


class KilledAsItWrites(Callback):
    """kill -9 in the middle of the second epoch's checkpoint."""

    def on_save_checkpoint(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        if trainer.current_epoch == 1:
            checkpoint["deadly"] = Deadly()
