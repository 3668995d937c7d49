"""What the container runs, with a program in Triton's place that says how it was called.

And what `peopleseg serve` does before its own Triton starts.
"""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from conversion.release.operations import Place, release
from peopleseg.cli.application import parse
from peopleseg.releases import lock, servers
from peopleseg.releases.plan import current_versions
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.wiring import served
from serving import command
from serving.ports import free_ports
from tests.killing import Killed, killed_at
from tests.server.telling import TellingExaminer, make_repository, new_version

Start = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    make_repository(folder)
    return folder


@pytest.fixture
def called(tmp_path: Path) -> Path:
    """Where the program in Triton's place writes its arguments, one a line."""
    return tmp_path / "called"


@pytest.fixture
def start(repository: Path, root: Path, tmp_path: Path, called: Path) -> Start:
    """Run the container's command on the repository; what is in Triton's place ends at once."""
    triton = in_tritons_place(tmp_path / "bin", f'printf "%s\\n" "$@" > {called}')
    command = [sys.executable, "-m", "serving.container", str(repository), *port_arguments()]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        called.unlink(missing_ok=True)
        environment = {**os.environ, "PATH": f"{triton.parent}:{os.environ['PATH']}"}
        done = subprocess.run(
            [*command, *arguments], cwd=root, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert called.exists() == ("Triton ended (exit status 0) before" in done.stderr)
        return done

    return run


def in_tritons_place(folder: Path, script: str) -> Path:
    """A program that is called as Triton is, in a folder for PATH."""
    triton = folder / "tritonserver"
    folder.mkdir()
    triton.write_text(f"#!/bin/sh\n{script}\n")
    triton.chmod(0o755)
    return triton


def port_arguments() -> list[str]:
    services = ("http", "grpc", "metrics", "health")
    return [
        f"--{service}-port={port}" for service, port in zip(services, free_ports(4), strict=True)
    ]


def test_triton_gets_every_ensemble_and_the_arguments(
    repository: Path, start: Start, called: Path
) -> None:
    start("--exit-timeout-secs=10")
    repository_argument, *arguments, last = called.read_text().splitlines()
    assert repository_argument == f"--model-repository={repository}"
    loaded = [f"--load-model={ensemble}" for ensemble in served(repository, [PEOPLE])]
    assert [one for one in arguments if one.startswith("--load-model=")] == loaded
    assert last == "--exit-timeout-secs=10"
    assert not [one for one in arguments if "health" in one]
    assert len(served(repository, [PEOPLE])) >= 3


def test_ports_open_to_others_close_model_control(
    start: Start, called: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEOPLESEG_BIND", "0.0.0.0")
    monkeypatch.setenv("PEOPLESEG_ADMIN_KEY", "me:s3cret")
    done = start()
    *_, grpc, http = called.read_text().splitlines()
    assert grpc.startswith("--grpc-restricted-protocol=model-repository,")
    assert http.startswith("--http-restricted-api=model-repository,")
    assert grpc.endswith(":me=s3cret") and http.endswith(":me=s3cret")
    assert "model control is restricted" in done.stderr and "s3cret" not in done.stderr
    monkeypatch.setenv("PEOPLESEG_ADMIN_KEY", "s3cret")
    done = start()
    assert not called.exists() and "NAME:SECRET" in done.stderr


def test_a_server_without_a_port_of_http_is_refused(start: Start, called: Path) -> None:
    done = start("--allow-http=false")
    assert not called.exists() and "leave --allow-http=false out" in done.stderr


def test_a_release_that_was_killed_half_way_is_finished_first(
    repository: Path, start: Start, called: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = {"people_unet": new_version(repository, "people_unet")}
    on_stage = killed_at("person_segmentation written", monkeypatch)
    with pytest.raises(Killed):
        release(Place(PEOPLE, repository, None, TellingExaminer(), on_stage), "new", new)
    start()
    assert called.exists()
    assert current_versions(repository, PEOPLE)["people_unet"] == new["people_unet"]


def test_a_repository_without_ensembles_is_refused(repository: Path, start: Start) -> None:
    for ensemble in served(repository, [PEOPLE]):
        (repository / ensemble / "config.pbtxt").unlink()
    assert "has no ensemble of peopleseg; mount another one" in start().stderr


def test_while_a_release_is_written_the_server_waits_for_it(repository: Path) -> None:
    release(
        Place(PEOPLE, repository, None, TellingExaminer()),
        "first",
        {"yolov9": new_version(repository, "yolov9")},
    )
    with lock.held(repository):
        code = (
            "import serving.container as c, sys; from peopleseg.releases import disk; "
            "disk.LOCK_WAIT_S = 0.1; sys.exit(c.main(sys.argv[1:]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(repository), *port_arguments()],
            capture_output=True,
            text=True,
        )
    assert done.returncode == 1
    assert "is changing the releases of" in done.stderr


def test_a_record_that_cannot_be_read_is_named_and_nothing_starts(
    repository: Path, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    (repository / "releases.jsonl").write_text('{"number": 1, "colour": "red"}\n')
    done = start()
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "releases.jsonl, line 1 is not a release record" in line

    arguments = ["--model-repository", str(repository), *port_arguments()]
    assert command.run(parse(command, arguments)) == 1
    assert "releases.jsonl, line 1" in caplog.text


def test_a_repository_that_cannot_be_written_is_named(tmp_path: Path, root: Path) -> None:
    (tmp_path / "releases.jsonl").mkdir()  # unreadable for root too
    done = subprocess.run(
        [sys.executable, "-m", "serving.container", str(tmp_path), *port_arguments()],
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "releases.jsonl" in done.stderr and "mount it so that user" in done.stderr


def test_a_port_in_use_is_found_before_anything_is_written(
    repository: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_a_release(repository, monkeypatch)
    before = contents(repository)
    with socket.create_server(("0.0.0.0", 0)) as taken:
        done = start(f"--metrics-port={taken.getsockname()[1]}")
    assert done.returncode == 1 and "--metrics-port" in done.stderr
    assert contents(repository) == before


def test_a_server_of_a_container_is_seen_until_it_ends(
    repository: Path,
    start: Start,
    called: Path,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    triton = in_tritons_place(tmp_path / "sleeping", "echo here; exec sleep 60")
    command = [sys.executable, "-m", "serving.container", str(repository), *port_arguments()]
    environment = {**os.environ, "PATH": f"{triton.parent}:{os.environ['PATH']}"}
    with subprocess.Popen(
        command, cwd=root, env=environment, stderr=subprocess.PIPE, text=True
    ) as first:
        try:
            assert first.stderr and "here\n" in iter(first.stderr.readline, "")
            changed = kill_a_release(repository, monkeypatch)
            before = contents(repository)
            second = start()
            assert not called.exists()
            assert f"process {first.pid}" in second.stderr
            assert "repeat it through that server" in second.stderr
            assert contents(repository) == before
        finally:
            first.kill()
    third = start()
    assert called.exists() and f"process {first.pid}" not in third.stderr
    serving = current_versions(repository, PEOPLE)
    assert serving | changed == serving


def test_a_read_only_repository_is_served_unless_a_release_has_to_be_finished(
    repository: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = {"people_unet": new_version(repository, "people_unet")}
    release(Place(PEOPLE, repository, None, TellingExaminer()), "first", new)
    triton = in_tritons_place(tmp_path / "bin", "echo started")

    def start_read_only() -> subprocess.CompletedProcess[str]:
        script = (
            f"mount --bind {repository} {repository} && "
            f"mount -o remount,bind,ro {repository} && ! touch {repository}/x 2> /dev/null && "
            f"exec {sys.executable} -m serving.container {repository} {' '.join(port_arguments())}"
        )
        return subprocess.run(
            [*OWN_MOUNTS, "sh", "-c", script],
            cwd=root,
            env={**os.environ, "PATH": f"{triton.parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
        )

    if subprocess.run([*OWN_MOUNTS, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine lets nobody mount in a namespace of their own")
    before = contents(repository)
    done = start_read_only()
    assert "started\n" in done.stderr and "Read-only" not in done.stderr
    kill_a_release(repository, monkeypatch)
    done = start_read_only()
    assert done.returncode == 1 and "started\n" not in done.stderr
    assert "Read-only file system" in done.stderr and "mount it writable" in done.stderr
    assert set(before) <= set(contents(repository))


OWN_MOUNTS = ("unshare", "--user", "--map-root-user", "--mount")


def kill_a_release(repository: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Kill a release when its configs are half written; the versions that it releases."""
    new = {"yolov9": new_version(repository, "yolov9")}
    on_stage = killed_at("person_segmentation written", monkeypatch)
    with pytest.raises(Killed):
        release(Place(PEOPLE, repository, None, TellingExaminer(), on_stage), "killed", new)
    monkeypatch.undo()
    return new


def contents(repository: Path) -> dict[Path, tuple[bytes, int]]:
    """Text and time of every file but the announcements of servers."""
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in repository.rglob("*")
        if path.is_file() and not path.name.startswith(servers.PREFIX)
    }


IN_THE_CONTAINER = (
    *("serving.container", "serving.triton_step", "conversion.release.release_command"),
    *("conversion.release.rollback_command", "conversion.release.status_command"),
    *("peopleseg.cli.check_command", "peopleseg.systems.known"),
)


def test_what_the_container_imports_is_installed_there(root: Path) -> None:
    """By names of packages; triton_python_backend_utils is Triton's own."""
    code = f"""
import sys, types
sys.modules["triton_python_backend_utils"] = types.ModuleType("triton_python_backend_utils")
from importlib import import_module
for name in {IN_THE_CONTAINER}:
    import_module(name)
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    pinned = {
        re.split("==", line)[0].lower()
        for file in ("steps.txt", "configs.txt")
        for line in (root / "requirements" / file).read_text().splitlines()
        if "==" in line
    }
    of_package = packages_distributions()
    imported = {name for name in done.stdout.split() if name in of_package}
    missing = {
        name
        for name in imported - {"peopleseg", "_distutils_hack"}
        if not pinned & {one.lower().replace("_", "-") for one in of_package[name]}
    }
    assert "tritonclient" in imported and not missing
