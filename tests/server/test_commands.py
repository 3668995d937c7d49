"""Every command as one types it: a first own release, from made-up images to a rollback."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from peopleseg.cli.evaluation import NAME_WIDTH
from peopleseg.cli.main import COMMANDS
from peopleseg.networks.checkpoint import save_network
from peopleseg.networks.people.people_unet import PeopleUNet
from peopleseg.networks.people.yolov9 import YOLOv9
from serving.ports import free_ports
from tests.data.detectors import write_nanodet
from tests.data.published import numbered, written
from tests.data.small_repository import write_images, write_small_repository
from tests.training.runs import CONFIGS

PROGRAM = Path(sys.executable).with_name("peopleseg")
SMALL = (
    "--model.shrink=4 --data.size=64 --data.loader.batch_size=2 --data.loader.workers=0 "
    "--data.loader.validation_batch_size=2 --trainer.accelerator=cpu --trainer.max_epochs=1"
)


class Terminal:
    """A folder in which commands are typed."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder = folder
        self.typed: set[str] = set()
        self._environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}

    def __call__(self, command: str, code: int = 0) -> str:
        """What a command printed, which ends with this exit code."""
        done = subprocess.run(
            [PROGRAM, *shlex.split(command)],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, (command, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        self._note(command)
        return done.stdout

    def start(self, command: str) -> "subprocess.Popen[str]":
        self._note(command)
        return subprocess.Popen(
            [PROGRAM, *shlex.split(command)],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _note(self, command: str) -> None:
        self.typed.add(command.split()[0])


@pytest.fixture(scope="module")
def terminal(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """With a model repository of tiny networks, and four images of a person."""
    folder = tmp_path_factory.mktemp("commands")
    write_small_repository(folder / "models")
    write_images(folder / "images", count=4)
    return Terminal(folder, root)


@pytest.fixture(scope="module")
def url(terminal: Terminal) -> Iterator[str]:
    """Of `peopleseg serve`, which Ctrl-C ends."""
    ports = zip(("http", "grpc", "metrics"), free_ports(3), strict=True)
    options = " ".join(f"--{service}-port={port}" for service, port in ports)
    command = f"serve --model-repository models --log-file triton.log {options}"
    with terminal.start(command) as serve:
        assert serve.stdout is not None
        ready = re.match(r"ready: gRPC (\S+),", serve.stdout.readline())
        try:
            assert ready, (terminal.folder / "triton.log").read_text()
            yield ready[1]
        finally:
            serve.send_signal(signal.SIGINT)
        assert serve.wait(timeout=60) == 0


def test_data_are_made_measured_and_filled(terminal: Terminal) -> None:
    assert "6 images" in terminal("data-generate --out people --images 6")
    terminal("data-stats --annotations people/person_train.json --json stats.json")
    assert json.loads((terminal.folder / "stats.json").read_text())["images"] == 6
    terminal(
        "data-subset --annotations people/person_train.json --only-people --out some.json "
        "--images-count 2"
    )
    images = "--images images --annotations images/people.json"
    assert "0 people got a mask" in terminal(
        f"fill-masks {images} --model-repository models --out filled.json"
    )
    write_nanodet(terminal.folder / "coco.onnx", classes=80, blind=True)
    assert "expressions of" in terminal(
        "generate-expressions --images people/val --annotations people/person_val.json "
        "--out refs.json"
    )
    guess = "guess-labels --images people/val --teacher coco.onnx --model-repository models"
    assert "guessed: 4 label maps written" in terminal(f"{guess} --out guessed")


def test_networks_are_imported_trained_and_compared(terminal: Terminal) -> None:
    folder = terminal.folder
    written(folder / "published.pth", numbered(lambda: PeopleUNet("b0")))
    terminal("import-weights people_unet published.pth --out imported.ckpt")
    fit = f"train fit --config={CONFIGS / 'people_unet_b0.yaml'} --data.root=people --out=run"
    assert "peopleseg export run/best.ckpt" in terminal(f"{fit} {SMALL}")
    val = "--images people/val --annotations people/person_val.json"
    terminal(f"average-weights run/best.ckpt run/last.ckpt --out mean.ckpt {val}")
    assert "people_seg_miou" in terminal(f"validate run/best.ckpt mean.ckpt {val}")
    detector = YOLOv9("t")
    save_network(folder / "detector.ckpt", "yolov9", detector, dims=detector.dims)
    terminal(f"precompute-features --detector detector.ckpt {val} --out features")
    config = yaml.safe_load((CONFIGS / "people_unet_b0.yaml").read_text())
    config["model"]["init_args"]["shrink"] = 8
    config["data"]["init_args"] |= {"size": 64, "loader": {"batch_size": 1}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config))
    assert "tiny" in terminal("train-memory tiny.yaml")


def test_versions_are_made_and_checked(terminal: Terminal) -> None:
    here, quick = "--model-repository models", "--skip-pinned-runtime"
    assert "people_unet/2" in terminal(f"export mean.ckpt {here} --examples images {quick}")
    write_nanodet(terminal.folder / "nanodet.onnx")
    assert "yolov9/2" in terminal(
        "import-detector nanodet.onnx --decoder nanodet --licence CC0 --examples images "
        f"--features /neck.0/Conv_output_0 {here} {quick}"
    )
    terminal(f"new-step-version select_people --set max_iou=0.6 {here}")
    images = "--images images --annotations images/people.json"
    terminal(f"fit-scores {images} {here} --dry-run", code=1)  # everybody found is right
    assert "tensorrt.pbtxt" in terminal(f"render-configs {here}")
    assert "no faults" in terminal(f"check {here}")
    assert "| people_unet/2 | 1 |" in terminal(
        f"bench versions people_unet/1 people_unet/2 {here} --rounds 1 --seconds 0.1 "
        "--threads 1 --results bench"
    )


def test_a_server_is_asked_measured_and_changed(terminal: Terminal, url: str) -> None:
    here = f"--model-repository models --url {url}"
    images = "--images images --annotations images/people.json"
    terminal(f"segment images --url {url} --out out")
    assert len(json.loads((terminal.folder / "out" / "results.json").read_text())) == 4
    terminal(f"call people_foreground images/0.png --url {url} --out tensors")
    terminal(f"find images/0.png --point 1,2 --not-at 3 --url {url} --out found", code=2)
    assert f"{'mask_ap50':{NAME_WIDTH}} 1.0000" in terminal(f"evaluate {images} --url {url}")
    terminal(f"release closer select_people=2 {here} {images}")
    assert "1 closer" in terminal(f"status {here}")
    assert "initial serves again" in terminal(f"rollback {here}")
    terminal("prune --keep 3 --dry-run --model-repository models")
    assert "| server |" in terminal(
        f"bench ensemble people_foreground --images images {here} --rounds 1 --seconds 0.1 "
        "--concurrency 1 --results bench"
    )


def test_a_retraining_does_it_all(terminal: Terminal) -> None:
    config = CONFIGS / "people_unet_b0.yaml"
    terminal(
        f"retrain {config} --data people --out again --model-repository models --offline --force "
        f"--skip-pinned-runtime -- {SMALL}"
    )
    assert "people_unet-3" in terminal("status --offline --model-repository models")


def test_no_command_was_left_out(terminal: Terminal) -> None:
    assert terminal.typed == set(COMMANDS)
