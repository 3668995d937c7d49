"""What the container runs, with a program in Triton's place that says how it was called.

And what `peopleseg serve` does before its own Triton starts.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conversion.release.operations import Place, release
from peopleseg.releases import lock
from peopleseg.releases.plan import current_versions
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.wiring import served
from serving import command
from tests.killing import Killed, killed_at
from tests.server.telling import TellingExaminer, make_repository, new_version

Start = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    make_repository(folder)
    return folder


@pytest.fixture
def start(repository: Path, root: Path, tmp_path: Path) -> Start:
    """Run the container's command on the repository; the program in Triton's place echoes."""
    triton = tmp_path / "bin" / "tritonserver"
    triton.parent.mkdir()
    triton.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    triton.chmod(0o755)
    command = [sys.executable, "-m", "serving.container", str(repository)]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PATH": f"{triton.parent}:{os.environ['PATH']}"}
        return subprocess.run(
            [*command, *arguments], cwd=root, env=environment, capture_output=True, text=True
        )

    return run


def test_triton_gets_every_ensemble_and_the_arguments(repository: Path, start: Start) -> None:
    done = start("--exit-timeout-secs=10")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"--model-repository={repository}",
        *(f"--load-model={ensemble}" for ensemble in served(repository, [PEOPLE])),
        "--exit-timeout-secs=10",
    ]
    assert len(served(repository, [PEOPLE])) >= 3


def test_ports_open_to_others_close_model_control(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEOPLESEG_BIND", "0.0.0.0")
    monkeypatch.setenv("PEOPLESEG_ADMIN_KEY", "me:s3cret")
    done = start()
    *_, grpc, http = done.stdout.splitlines()
    assert grpc.startswith("--grpc-restricted-protocol=model-repository,")
    assert http.startswith("--http-restricted-api=model-repository,")
    assert grpc.endswith(":me=s3cret") and http.endswith(":me=s3cret")
    assert "model control is restricted" in done.stderr and "s3cret" not in done.stderr
    monkeypatch.setenv("PEOPLESEG_ADMIN_KEY", "s3cret")
    done = start()
    assert (done.returncode, done.stdout) == (1, "") and "NAME:SECRET" in done.stderr


def test_a_release_that_was_killed_half_way_is_finished_first(
    repository: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = {"people_unet": new_version(repository, "people_unet")}
    on_stage = killed_at("person_segmentation written", monkeypatch)
    with pytest.raises(Killed):
        release(Place(PEOPLE, repository, None, TellingExaminer(), on_stage), "new", new)
    assert start().returncode == 0
    assert current_versions(repository, PEOPLE)["people_unet"] == new["people_unet"]


def test_a_repository_without_ensembles_is_refused(repository: Path, start: Start) -> None:
    for ensemble in served(repository, [PEOPLE]):
        (repository / ensemble / "config.pbtxt").unlink()
    done = start()
    assert done.returncode == 1
    assert "has no ensemble to serve" in done.stderr


def test_while_a_release_is_written_the_server_waits_for_it(repository: Path) -> None:
    release(
        Place(PEOPLE, repository, None, TellingExaminer()),
        "first",
        {"yolov9": new_version(repository, "yolov9")},
    )
    with lock.held(repository):
        code = (
            "import serving.container as c, sys; c.disk.LOCK_WAIT_S = 0.1; "
            "sys.exit(c.main(sys.argv[1:]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(repository)], capture_output=True, text=True
        )
    assert done.returncode == 1
    assert "is changing the releases of" in done.stderr


def test_a_record_that_cannot_be_read_is_named_and_nothing_starts(
    repository: Path, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / "releases.jsonl").write_text('{"number": 1, "colour": "red"}\n')
    done = start()
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "releases.jsonl, line 1 is not a release record" in line

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert command.run(parser.parse_args(["--model-repository", str(repository)])) == 1
    assert "releases.jsonl, line 1" in capsys.readouterr().err


def test_a_repository_that_cannot_be_written_is_named(tmp_path: Path, root: Path) -> None:
    (tmp_path / "releases.jsonl").mkdir()  # unreadable for root too
    done = subprocess.run(
        [sys.executable, "-m", "serving.container", str(tmp_path)],
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "mount it writable" in done.stderr
