"""The project's own models: a new mask head is released, taken back, refused, by the commands."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from conversion.release import release_command, rollback_command, status_command
from peopleseg.client.blocking import SegmentationClient
from peopleseg.pixels.examples import example_images
from peopleseg.releases.admin_key import VARIABLE
from peopleseg.repository.place import MODEL_REPOSITORY
from peopleseg.repository.triton_config import CONFIG_FILE, parse_config
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.wiring import serving_versions
from serving.embedded import EmbeddedServer
from tests.commands import run
from tests.server.conftest import READY_TIMEOUT_S
from tests.server.telling import server_of

pytestmark = [pytest.mark.server, pytest.mark.slow]

SECRET = "admin-key:only-for-this-test"
HEAD = "hierarchical_head"
SERVED = serving_versions(MODEL_REPOSITORY, PEOPLE)[HEAD]
SAME, DAMAGED = SERVED + 1, SERVED + 2
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model repository, with its mask head once more as SAME and damaged as DAMAGED."""
    folder = tmp_path_factory.mktemp("real") / "repository"
    shutil.copytree(MODEL_REPOSITORY, folder, ignore=shutil.ignore_patterns(".*.lock", "*.jsonl"))
    for version in (SAME, DAMAGED):
        shutil.rmtree(folder / HEAD / str(version), ignore_errors=True)
        shutil.copytree(folder / HEAD / str(SERVED), folder / HEAD / str(version))
    damaged = bytearray((folder / HEAD / str(DAMAGED) / "model.onnx").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (folder / HEAD / str(DAMAGED) / "model.onnx").write_bytes(damaged)
    return folder


@pytest.fixture(scope="module")
def restricted(repository: Path) -> Iterator[EmbeddedServer]:
    """A server whose model control wants a key."""
    key = f"--grpc-restricted-protocol=model-repository:{SECRET.replace(':', '=')}"
    with server_of(repository, [key]) as server:
        server.wait_until_ready(READY_TIMEOUT_S)
        yield server


@pytest.fixture
def place(repository: Path, restricted: EmbeddedServer) -> list[str]:
    return ["--model-repository", str(repository), "--url", restricted.grpc_url]


@pytest.fixture
def tried_on() -> list[str]:
    """One image is enough for these tests."""
    return ["--images", str(example_images()[0])]


def test_without_the_key_nothing_is_released(place: list[str], capsys: Capture) -> None:
    assert run(release_command, "keyless", f"{HEAD}={SAME}", *place) == 1
    assert "--admin-key" in capsys.readouterr().err


def test_a_new_head_is_released_and_taken_back(
    place: list[str],
    tried_on: list[str],
    restricted: EmbeddedServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    monkeypatch.setenv(VARIABLE, SECRET)
    image = example_images()[0]
    with SegmentationClient(restricted.grpc_url) as client:
        before = client.segment(image)
        released = ["same-head", f"{HEAD}={SAME}", "--why", "a test"]
        assert run(release_command, *released, *place, *tried_on) == 0
        assert "release 1 same-head serves" in capsys.readouterr().out
        after = client.segment(image)
    assert len(before) == len(after) > 0
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.mask, other.mask)

    assert run(status_command, *place, "--json") == 0
    (status,) = json.loads(capsys.readouterr().out)["systems"]
    assert status["release"]["name"] == "same-head" and status["release"]["why"] == "a test"
    head = next(step for step in status["steps"] if step["step"] == HEAD)
    assert (head["release"], head["serving"]) == (SAME, SAME)
    assert head["loaded"] == [SERVED, SAME]

    assert run(rollback_command, *place, *tried_on) == 0
    said = capsys.readouterr().out
    assert "release 0 initial serves again" in said and "it took effect in" in said
    assert run(status_command, *place) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    (row,) = (row for row in rows if row[:1] == [HEAD])
    assert row[1:5] == [str(SERVED), str(SERVED), f"{SERVED},", str(SAME)]
    log = restricted.log_file.read_text(errors="replace")
    (group,) = parse_config((MODEL_REPOSITORY / HEAD / CONFIG_FILE).read_text()).instance_group
    assert log.count(f"Initialize: {HEAD}_") == 2 * group.count, "each version is loaded once"


def test_a_damaged_head_is_refused_and_the_old_one_serves(
    place: list[str],
    repository: Path,
    restricted: EmbeddedServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    monkeypatch.setenv(VARIABLE, SECRET)
    assert run(release_command, "damaged", f"{HEAD}={DAMAGED}", *place) == 1
    assert "sha256" in capsys.readouterr().err
    assert (
        f'model_name: "{HEAD}"\n      model_version: {SERVED}\n'
        in (repository / "person_segmentation" / "config.pbtxt").read_text()
    )
    with SegmentationClient(restricted.grpc_url) as client:
        assert client.is_ready()
