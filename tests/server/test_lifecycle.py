"""`peopleseg serve` starts, says so, and leaves nothing behind however it ends."""

import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from conversion.release.operations import Place, release, rollback
from conversion.release.server import ModelControl
from peopleseg.releases import servers
from peopleseg.systems.people.system import PEOPLE
from serving.embedded import EmbeddedServer
from serving.errors import ServerStartError
from serving.server import STARTS
from serving.triton_wheel import LIBRARIES, find_triton
from tests.server.serve import (
    GRPC,
    HTTP,
    METRICS,
    READY_LIMIT_S,
    Serve,
    assert_nothing_is_left,
    echo,
    wait_until,
    what_is_left,
)
from tests.server.telling import (
    TellingExaminer,
    add_variant,
    make_repository,
    new_version,
    server_of,
)

pytestmark = pytest.mark.server

FreePorts = Callable[[int], list[int]]


@pytest.fixture
def serve(tiny_repository: Path, tmp_path: Path, free_ports: FreePorts) -> Iterator[Serve]:
    serve = Serve(tiny_repository, tmp_path, free_ports(4))
    yield serve
    serve.close()


def embedded_server(repository: Path, folder: Path, ports: list[int]) -> EmbeddedServer:
    """Of the tiny ensemble, not started. ports: HTTP, gRPC, metrics."""
    return EmbeddedServer(
        model_repository=repository,
        log_file=folder / "triton.log",
        http_port=ports[HTTP],
        grpc_port=ports[GRPC],
        metrics_port=ports[METRICS],
        models=["tiny"],
    )


def test_ready_line_names_the_addresses_and_the_log(serve: Serve) -> None:
    line = serve.wait_for_ready_line()
    assert len(serve.family) == 4, "guard, Triton and two stubs"
    assert len(serve.regions) == 2, "one for each stub"
    assert f"127.0.0.1:{serve.ports[GRPC]}" in line
    assert f"http://127.0.0.1:{serve.ports[METRICS]}/metrics" in line
    log = re.search(r"log (\S+)", line)
    assert log and "successfully loaded 'tiny'" in Path(log[1]).read_text()
    assert echo(f"http://127.0.0.1:{serve.ports[HTTP]}", [1.5, 2.0]) == [1.5, 2.0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_everything_with_exit_code_0(serve: Serve, number: int) -> None:
    serve.wait_for_ready_line()
    serve.process.send_signal(number)
    assert serve.exit_code() == 0
    assert what_is_left(serve) == []


def test_a_signal_while_loading_ends_everything_with_exit_code_0(
    serve: Serve,
) -> None:
    wait_until(lambda: "loading" in serve.said.read_text())
    serve.family = psutil.Process(serve.process.pid).children(recursive=True)
    serve.process.send_signal(signal.SIGTERM)
    assert serve.exit_code() == 0
    assert what_is_left(serve) == []


def test_killing_serve_leaves_nothing(serve: Serve) -> None:
    serve.wait_for_ready_line()
    serve.process.kill()
    assert_nothing_is_left(serve)


def test_a_port_in_use_is_named_with_its_option(
    tiny_repository: Path, tmp_path: Path, free_ports: FreePorts
) -> None:
    ports = free_ports(4)
    with socket.create_server(("127.0.0.1", ports[GRPC])):
        serve = Serve(tiny_repository, tmp_path, ports)
        try:
            assert serve.exit_code() == 1
        finally:
            serve.close()
    assert str(ports[GRPC]) in serve.said.read_text()
    assert "--grpc-port" in serve.said.read_text()
    assert not (tmp_path / "triton.log").exists(), "Triton must not have been started"


def test_a_port_that_is_taken_after_it_was_looked_at_ends_the_start(
    tiny_repository: Path, tmp_path: Path, free_ports: FreePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.embedded.check_ports", lambda host, ports: None)
    server = embedded_server(tiny_repository, tmp_path, free_ports(3))
    with socket.create_server(("127.0.0.1", server.ports["metrics"])), server:
        with pytest.raises(ServerStartError, match=r"ended .* before .*the metrics was ready"):
            server.wait_until_ready(60)


def test_a_second_server_says_who_the_first_is_and_writes_nothing(
    tmp_path: Path, free_ports: FreePorts
) -> None:
    """Whether it is refused, for its port, or serves as well: the first has every step loaded."""
    repository = tmp_path / "repository"
    make_repository(repository)
    add_variant(repository, "yolov9")  # for other machines: a release leaves it as it is
    with server_of(repository) as first:
        first.wait_until_ready(READY_LIMIT_S)
        with ModelControl(first.grpc_url) as control:
            place = Place(PEOPLE, repository, control, TellingExaminer())
            release(place, "new", {"yolov9": new_version(repository, "yolov9")})
            before = contents(repository)
            refused = said_by_another(
                repository, tmp_path / "refused", [*first.ports.values(), *free_ports(1)]
            )
            assert "--http-port" in refused and "ready:" not in refused
            serves = said_by_another(repository, tmp_path / "serves", free_ports(4))
            assert "ready:" in serves
            assert "yolov9/configs/other.pbtxt may not be written now and still load" in serves
            for said in (refused, serves):
                assert f"(process {os.getpid()}, since" in said
                assert f"grpc {first.ports['grpc']}" in said
            assert contents(repository) == before
            loaded = initialised(first)
            rollback(place)
            assert initialised(first) == loaded
    assert list(repository.glob(f"{servers.PREFIX}*")) == []


def said_by_another(repository: Path, folder: Path, ports: list[int]) -> str:
    """What another `serve` of the repository says, which ends when it is ready."""
    folder.mkdir()
    serve = Serve(repository, folder, ports, "people_foreground")
    try:
        assert serve.process.stdout is not None
        line = serve.process.stdout.readline()  # returns at once if the process ends
        return serve.said.read_text() + line
    finally:
        serve.close()


def initialised(server: EmbeddedServer) -> int:
    return server.log_file.read_text(errors="replace").count("Initialize: ")


def contents(repository: Path) -> dict[Path, tuple[bytes, int]]:
    """Text and time of every file but the announcements of servers."""
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in repository.rglob("*")
        if path.is_file() and not path.name.startswith(servers.PREFIX)
    }


def test_a_model_that_does_not_load_is_named(
    tiny_repository: Path, tmp_path: Path, free_ports: FreePorts
) -> None:
    (tiny_repository / "echo" / "1" / "model.py").write_text("raise RuntimeError('no weights')")
    serve = Serve(tiny_repository, tmp_path, free_ports(4))
    try:
        assert serve.process.wait(READY_LIMIT_S) == 1
        assert serve.process.stdout is not None and serve.process.stdout.read() == ""
    finally:
        serve.close()
    said = serve.said.read_text()
    assert "echo" in said and "no weights" in said and "started again" not in said
    assert str(tmp_path / "triton.log") in said
    assert what_is_left(serve) == []


ABORTS = """\
#!/bin/sh
echo start >> {count}
if [ "$(wc -l < {count})" -le {aborts} ]; then
    echo "terminate called after throwing an instance of 'boost::interprocess::lock_exception'" >&2
    kill -ABRT $$
fi
exec {triton} "$@"
"""


@pytest.mark.parametrize("aborts", [1, STARTS])
def test_triton_is_started_again_where_it_aborts_for_want_of_memory(
    tiny_repository: Path,
    tmp_path: Path,
    aborts: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    triton, count = find_triton(), tmp_path / "count"
    folder = tmp_path / "pytriton" / "tritonserver"
    (folder / "bin").mkdir(parents=True)
    (tmp_path / LIBRARIES).symlink_to(triton.parents[1] / LIBRARIES)
    for name in ("backends", "caches", "python_backend_stubs"):
        (folder / name).symlink_to(triton / name)
    program = folder / "bin" / "tritonserver"
    real = triton / "bin" / "tritonserver"
    program.write_text(ABORTS.format(count=count, aborts=aborts, triton=real))
    program.chmod(0o755)
    monkeypatch.setattr("serving.embedded.find_triton", lambda: folder)
    monkeypatch.setattr("serving.server.RESTART_S", 0.0)
    with server_of(tiny_repository, models=["tiny"]) as server:
        if aborts < STARTS:
            server.wait_until_ready(READY_LIMIT_S)
            assert echo(server.http_url, [1.5]) == [1.5]
        else:
            with pytest.raises(ServerStartError, match=r"killed by SIGABRT(.|\n)*lock_exception"):
                server.wait_until_ready(READY_LIMIT_S)
        assert "lock_exception" in server.log_file.read_text(errors="replace")
    assert count.read_text().count("start") == min(aborts + 1, STARTS)
    assert caplog.text.count("Triton aborted as it started") == min(aborts, STARTS - 1)


def test_the_server_can_be_started_again_in_one_process(
    tiny_repository: Path, tmp_path: Path, free_ports: FreePorts
) -> None:
    server = embedded_server(tiny_repository, tmp_path, free_ports(3))
    for value in (1.0, 2.0):
        with server:
            server.wait_until_ready(READY_LIMIT_S)
            assert echo(server.http_url, [value]) == [value]
        assert not server.is_ready("tiny")
