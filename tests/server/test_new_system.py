"""A system of new files and one line is checked, served, called, released and measured as others.

The existing commands run from a copy of the project in which `tests/data/grey_system` lies among
the systems; not a line of theirs is changed.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from peopleseg.client.wire import request_of
from peopleseg.repository.tensors import bytes_tensor
from peopleseg.systems.people.contract import PIXELS
from peopleseg.systems.shared.contract import IMAGE
from serving.ports import free_ports
from tests.data.encoded import encoded
from tests.data.grey_system.contract import BRIGHTNESS, GREY_VALUE, MEAN_RGB, TO_GREY
from tests.data.people_images import write_image
from tests.data.small_repository import write_manifest, write_small_repository

pytestmark = pytest.mark.server

ROOT = Path(__file__).parents[2]


class Project:
    """A copy of the project with the grey system, and a repository of people beside it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        no_bytecode = shutil.ignore_patterns("__pycache__")
        for name in ("peopleseg", "serving", "conversion", "benchmarks", "training"):
            shutil.copytree(ROOT / name, self.root / name, ignore=no_bytecode)
        self.repository = write_small_repository(folder / "repository")
        self.image = folder / "grey.png"
        write_image(self.image, np.full((640, 640, 3), 51, dtype=np.uint8))  # 0.2 of 255
        self._add_system()

    def _add_system(self) -> None:
        shutil.copytree(
            ROOT / "tests" / "data" / "grey_system", self.root / "peopleseg" / "systems" / "grey"
        )
        known = self.root / "peopleseg" / "systems" / "known.py"
        one_more = known.read_text().replace('"people",\n', '"people",\n    "grey",\n')
        known.write_text(one_more)
        write_brightness(self.repository, 1)
        (self.repository / TO_GREY.name).mkdir()
        assert "brightness/config.pbtxt" in self.run("render-configs", *self.here())
        self.new_version(TO_GREY.name)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "peopleseg.cli.main", *arguments]

    def run(self, *arguments: str, code: int = 0) -> str:
        """What a command prints, on both streams."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.root,
            env=os.environ | {"PYTHONPATH": str(self.root)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def here(self) -> list[str]:
        return ["--model-repository", str(self.repository)]

    def new_version(self, step: str, *settings: str) -> str:
        """The number of a version with the code as it is now."""
        options = [part for setting in settings for part in ("--set", setting)]
        said = self.run("new-step-version", step, *options, *self.here())
        return said.split(":")[0].rpartition("/")[2]

    def grey(self, url: str, folder: Path) -> float:
        """What the server says of the image."""
        self.run("call", "grey_value", str(self.image), "--url", url, "--out", str(folder))
        return float(np.load(folder / "grey.npz")["grey"][0])


def write_brightness(repository: Path, version: int) -> None:
    """The mean of each channel, in a graph."""
    folder = repository / BRIGHTNESS.name / str(version)
    folder.mkdir(parents=True)
    nodes = [
        helper.make_node("Cast", [PIXELS.name], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], [MEAN_RGB.name], axes=[2, 3], keepdims=0),
    ]
    pixels = helper.make_tensor_value_info(PIXELS.name, TensorProto.UINT8, ["N", *PIXELS.shape])
    mean = helper.make_tensor_value_info(MEAN_RGB.name, TensorProto.FLOAT, ["N", *MEAN_RGB.shape])
    graph = helper.make_graph(nodes, BRIGHTNESS.name, [pixels], [mean])
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    onnx.save(model, folder / "model.onnx")
    write_manifest(folder, BRIGHTNESS, {})


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("new_system"))


@pytest.fixture(scope="module")
def released(project: Project) -> Project:
    """The system's first release, on disk: its ensemble was not there before."""
    project.run("release", "first", "brightness=1", "to_grey=1", "--offline", *project.here())
    assert (project.repository / "grey_value" / "config.pbtxt").is_file()
    return project


@pytest.fixture(scope="module")
def url(released: Project) -> Iterator[str]:
    """A server of both systems, by `peopleseg serve`."""
    http, grpc, metrics, health = map(str, free_ports(4))
    log = released.root / "triton.log"
    ports = ["--http-port", http, "--grpc-port", grpc, "--metrics-port", metrics]
    ports += ["--health-port", health]
    command = released.command("serve", *ports, *released.here(), "--log-file", str(log))
    env = os.environ | {"PYTHONPATH": str(released.root)}
    with subprocess.Popen(
        command, cwd=released.root, env=env, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            assert "ready" in server.stdout.readline(), log.read_text()[-2000:]
            yield f"127.0.0.1:{grpc}"
        finally:
            server.terminate()


def test_it_is_checked_with_the_others(released: Project) -> None:
    assert "no faults" in released.run("check", *released.here()).lower()
    (manifest,) = (released.repository / "brightness" / "1").glob("manifest.json")
    text = manifest.read_text()
    manifest.write_text(text.replace('"mean_rgb"', '"mean"'))
    assert "brightness/1" in released.run("check", *released.here(), code=1)
    manifest.write_text(text)


def test_a_call_answers_and_so_do_the_others(released: Project, url: str, tmp_path: Path) -> None:
    assert released.grey(url, tmp_path) == pytest.approx(0.2, abs=0.001)
    assert "boxes" in released.run("call", "person_segmentation", str(released.image), "--url", url)


def test_a_fault_of_a_step_costs_its_request_alone_and_is_logged_with_its_id(
    released: Project, url: str, tmp_path: Path
) -> None:
    white = encoded(np.full((8, 8, 3), 255, np.uint8))
    asked = request_of(GREY_VALUE, {IMAGE.name: bytes_tensor(white)})
    with InferenceServerClient(url) as client:
        with pytest.raises(InferenceServerException, match="to_grey: unexpected ArithmeticError"):
            client.infer(**asked._asdict(), request_id="photo-7")
    assert released.grey(url, tmp_path) == pytest.approx(0.2, abs=0.001)
    log = (released.root / "triton.log").read_text()
    assert "to_grey, request photo-7: Traceback" in log and "ArithmeticError: white" in log


def test_releases_and_rollbacks_are_its_own(released: Project, url: str, tmp_path: Path) -> None:
    here = ["--url", url, *released.here()]
    released.run("new-step-version", "to_grey", "--set", "gain=0.5", *released.here())
    released.run("new-step-version", "select_people", "--set", "max_iou=0.6", *released.here())
    images = ["--images", str(released.image)]
    released.run("release", "darker", "to_grey=2", *images, *here)
    released.run("release", "closer", "select_people=2", *images, *here)
    assert released.grey(url, tmp_path) == pytest.approx(0.1, abs=0.001)

    said = released.run("rollback", *here, code=2)
    assert "people and grey were released; say with --system" in said
    released.run("rollback", "--system", "grey", *here)
    assert released.grey(url, tmp_path) == pytest.approx(0.2, abs=0.001)
    systems = {
        system["system"]: {step["step"]: step["serving"] for step in system["steps"]}
        for system in json.loads(released.run("status", "--json", *here))["systems"]
    }
    assert systems["people"]["select_people"] == 2, "the other system's release still serves"
    assert systems["grey"]["to_grey"] == 1

    shared = released.run("release", "both", "preprocess=1", *here, code=2)
    assert "people and grey have preprocess; say with --system" in shared


def test_a_rollback_brings_back_the_code_of_before(
    released: Project, url: str, tmp_path: Path
) -> None:
    here = ["--url", url, *released.here(), "--images", str(released.image)]
    assert released.grey(url, tmp_path) == pytest.approx(0.2, abs=0.001)

    source = released.root / "peopleseg" / "systems" / "grey" / "steps.py"
    source.write_text(source.read_text().replace("self.gain / 255", "self.gain / 510"))
    released.run(
        "release", "halved", f"to_grey={released.new_version('to_grey', 'gain=1.0')}", *here
    )
    assert released.grey(url, tmp_path) == pytest.approx(0.1, abs=0.001)

    released.run("rollback", "--system", "grey", *here)
    assert released.grey(url, tmp_path) == pytest.approx(0.2, abs=0.001)
    assert "no faults" in released.run("check", *released.here())


def test_a_shared_step_stays_for_who_still_pins_it(released: Project, url: str) -> None:
    here = ["--url", url, *released.here()]
    released.run("new-step-version", "preprocess", "--set", "resize=stretch", *released.here())
    images = ["--images", str(released.image)]
    for name, gain in (("stretched", "2"), ("once_more", "1"), ("again", "2")):
        released.run(*("release", name, f"preprocess={gain}", "--system", "grey", *images, *here))
    systems = json.loads(released.run("status", "--json", *here))["systems"]
    pins = {
        system["system"]: next(s for s in system["steps"] if s["step"] == "preprocess")
        for system in systems
    }
    assert (pins["people"]["serving"], pins["grey"]["serving"]) == (1, 2)
    assert pins["grey"]["loaded"] == [1, 2]
    assert "boxes" in released.run("call", "person_segmentation", str(released.image), "--url", url)


def test_it_is_measured_under_load(released: Project, url: str, tmp_path: Path) -> None:
    said = released.run(
        *("bench", "ensemble", "grey_value", "--images", str(released.image.parent)),
        *("--concurrency", "1", "2", "--rounds", "1", "--seconds", "0.5"),
        *("--url", url, *released.here(), "--results", str(tmp_path)),
    )
    assert re.search(r"server", said)
    result = json.loads((tmp_path / "ensemble.json").read_text())
    answered = [len(sample["calls_ms"]) for sample in result["samples"]]
    assert all(answered) and not any(sample["failures"] for sample in result["samples"])
