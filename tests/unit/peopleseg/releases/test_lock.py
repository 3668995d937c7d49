"""One operator at a time."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from peopleseg.releases import lock
from peopleseg.releases.errors import Locked

HOLD = """
import sys, time
from pathlib import Path
from peopleseg.releases import lock
with lock.held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_holder_is_told_who_the_first_is_and_may_hold_it_afterwards(
    tmp_path: Path,
) -> None:
    with lock.held(tmp_path):
        with pytest.raises(Locked, match=f"process {os.getpid()}"):
            with lock.held(tmp_path):
                pass
        assert str(os.getpid()) in (lock.holder(tmp_path) or "")
    with lock.held(tmp_path):
        pass
    assert lock.holder(tmp_path) is None


def test_whoever_waits_gets_the_lock_when_it_is_free(tmp_path: Path) -> None:
    order = []

    def wait() -> None:
        with lock.held(tmp_path, wait_s=30):
            order.append("second")

    with lock.held(tmp_path):
        second = threading.Thread(target=wait)
        second.start()
        time.sleep(3 * lock.POLL_S)
        order.append("first")
    second.join()
    assert order == ["first", "second"]


def test_whoever_only_asks_for_the_holder_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lock.held(tmp_path):
        pass
    asking = (tmp_path / lock.FILE_NAME).open()  # as `holder` does
    fcntl.flock(asking, fcntl.LOCK_SH)
    monkeypatch.setattr("time.sleep", lambda seconds: asking.close())
    with lock.held(tmp_path):
        assert asking.closed


def test_the_death_of_its_holder_frees_the_lock(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "held\n"
        assert f"process {process.pid}" in (lock.holder(tmp_path) or "")
        process.send_signal(signal.SIGKILL)
        process.wait()
    with lock.held(tmp_path):
        pass


def test_nobody_holds_a_lock_that_was_never_taken(tmp_path: Path) -> None:
    assert lock.holder(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
