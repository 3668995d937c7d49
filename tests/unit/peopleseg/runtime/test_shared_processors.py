"""Who computes while others do knows of it, also when one of them was killed."""

import multiprocessing
from multiprocessing.synchronize import Event
from pathlib import Path

from peopleseg.runtime.shared_processors import COMPUTING_FILE, SharedProcessors


def compute_until_killed(path: Path, began: Event) -> None:
    with SharedProcessors(path).computing():
        began.set()
        multiprocessing.Event().wait()


def alone(processors: SharedProcessors) -> bool:
    with processors.computing() as is_alone:
        return is_alone


def test_the_first_is_alone_and_who_comes_meanwhile_is_not(tmp_path: Path) -> None:
    one, other, third = (SharedProcessors(tmp_path / "computing") for _ in range(3))
    with one.computing() as first, other.computing() as second:
        assert first and not second and not alone(third)
    assert alone(third) and alone(one)


def test_who_stays_when_the_first_has_ended_is_still_seen(tmp_path: Path) -> None:
    one, other, third = (SharedProcessors(tmp_path / "computing") for _ in range(3))
    first = one.computing()
    first.__enter__()
    with other.computing():
        first.__exit__(None, None, None)
        assert not alone(third)
    assert alone(third)


def test_a_computation_that_fails_has_ended(tmp_path: Path) -> None:
    one, other = (SharedProcessors(tmp_path / "computing") for _ in range(2))
    try:
        with one.computing():
            raise ValueError
    except ValueError:
        pass
    assert alone(other)


def test_a_killed_process_computes_no_more(tmp_path: Path) -> None:
    path, context = tmp_path / "computing", multiprocessing.get_context("spawn")
    began = context.Event()
    process = context.Process(target=compute_until_killed, args=(path, began))
    process.start()
    try:
        assert began.wait(60)
        assert not alone(SharedProcessors(path))
    finally:
        process.kill()
        process.join()
    assert alone(SharedProcessors(path))


def test_without_a_server_everybody_is_alone(tmp_path: Path) -> None:
    one, other = SharedProcessors.of_this_server({}), SharedProcessors.of_this_server({})
    with one.computing() as first, other.computing() as second:
        assert first and second
    named = {COMPUTING_FILE: str(tmp_path / "computing")}
    with SharedProcessors.of_this_server(named).computing():
        assert not alone(SharedProcessors.of_this_server(named))
