"""Who serves a repository is seen by everybody who looks, and only while it runs."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from peopleseg.releases import servers

PORTS = {"http": 8000, "grpc": 8001, "metrics": 8002}
ANNOUNCE = """
import sys, time
from pathlib import Path
from peopleseg.releases import servers
kept = servers.announce(Path(sys.argv[1]), {"http": 1234})
print("announced", flush=True)
time.sleep(60)
"""


def test_each_server_is_named_until_it_withdraws(tmp_path: Path) -> None:
    assert servers.running(tmp_path) == []
    first, second = servers.announce(tmp_path, PORTS), servers.announce(tmp_path, {"http": 9000})
    assert first and second
    said = servers.running(tmp_path)
    assert len(said) == 2 and all(f"process {os.getpid()}, since 2" in one for one in said)
    assert any("ports http 8000, grpc 8001, metrics 8002)" in one for one in said)
    first.withdraw()
    (left,) = servers.running(tmp_path)
    assert "http 9000" in left
    second.withdraw()
    assert servers.running(tmp_path) == [] and list(tmp_path.iterdir()) == []


def test_a_server_that_was_killed_is_not_named_and_what_it_left_is_removed(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", ANNOUNCE, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "announced\n"
        (said,) = servers.running(tmp_path)
        assert f"process {process.pid}" in said and "http 1234" in said
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert len(list(tmp_path.iterdir())) == 1
    assert servers.running(tmp_path) == [] and list(tmp_path.iterdir()) == []


def test_an_announcement_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    being_written = tmp_path / f"{servers.PREFIX}0"
    being_written.touch()
    assert servers.running(tmp_path) == [] and being_written.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_a_server_that_has_not_said_who_it_is_is_a_server(tmp_path: Path, text: str) -> None:
    announcement = servers.announce(tmp_path, PORTS)
    assert announcement
    (path,) = tmp_path.iterdir()
    path.write_text(text)
    assert servers.running(tmp_path) == ["another server"]
    announcement.withdraw()


def test_nobody_announces_where_nothing_can_be_written(tmp_path: Path) -> None:
    assert servers.announce(tmp_path / "not there", PORTS) is None


def test_a_file_system_without_locks_is_served_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    assert servers.announce(tmp_path, PORTS) is None
    assert list(tmp_path.iterdir()) == []


def test_servers_of_other_users_may_look(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        announcement = servers.announce(tmp_path, PORTS)
    finally:
        os.umask(before)
    assert announcement
    (path,) = tmp_path.iterdir()
    assert path.stat().st_mode & 0o777 == 0o644
    announcement.withdraw()
