"""The parts of the embedded server that need no server."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from peopleseg.releases.admin_key import VARIABLE
from peopleseg.releases.errors import ControlError
from serving import guard
from serving.command import Options, default_log_file, run
from serving.embedded import EmbeddedServer
from serving.errors import PortInUseError, ServerStartError
from serving.exposure import Exposure, exposure
from serving.loading import cache_arguments, load_arguments
from serving.ports import check_ports, check_triton_ports, free_ports, why_not_free
from serving.server import describe_status
from serving.triton_log import cause_that_may_pass, describe, last_errors
from serving.triton_wheel import (
    STUB,
    check_numpy,
    find_libpython,
    find_stub,
    lay_out_python,
    server_environment,
)


def make_server(folder: Path, **options: object) -> EmbeddedServer:
    return EmbeddedServer(
        model_repository=folder,
        log_file=folder / "triton.log",
        **options,  # type: ignore[arg-type]
    )


def test_a_taken_port_is_named_with_its_option() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=rf"{port} .*--metrics-port"):
            check_ports("127.0.0.1", {"metrics": port})
    check_ports("127.0.0.1", {"metrics": port})


def test_two_services_cannot_share_a_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(PortInUseError, match="--http-port and --grpc-port"):
        check_ports("127.0.0.1", {"http": port, "grpc": port})


def test_a_port_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ServerStartError, match="--http-port.*70000"):
        check_ports("127.0.0.1", {"http": 70000})


def test_the_ports_of_triton_are_those_of_its_arguments() -> None:
    first, second = free_ports(2)
    arguments = [f"--http-port={first}", "--grpc-port", str(second), "--metrics-address=127.0.0.1"]
    off = [*arguments, "--allow-metrics=false", "--exit-timeout-secs=10"]
    assert check_triton_ports(off) == {"http": first, "grpc": second}
    with socket.create_server(("127.0.0.1", second)):
        with pytest.raises(PortInUseError, match=rf"{second} on 0.0.0.0.*--grpc-port"):
            check_triton_ports(off)
        shared = check_triton_ports([*off, "--reuse-grpc-port=true"])
        assert shared == {"http": first}


def test_free_ports_are_different_and_none_that_the_system_gives_to_others() -> None:
    ports = free_ports(3)
    assert len(set(ports)) == 3
    lowest_given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(1024 < port < lowest_given for port in ports)
    with socket.create_server(("127.0.0.1", 0)) as given:
        assert "in use" in str(why_not_free("127.0.0.1", given.getsockname()[1]))


def test_what_is_no_server_of_http_is_not_ready(tmp_path: Path) -> None:
    """Another program's port, such as gRPC's, answers with bytes of another protocol."""

    def response(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(b"\0\0\x12\x04\0\0\0\0\0")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=response, args=[listening])
        thread.start()
        assert not make_server(tmp_path, http_port=listening.getsockname()[1]).is_ready("any")
        thread.join()


def test_urls_are_those_a_client_on_this_machine_can_call(tmp_path: Path) -> None:
    server = make_server(tmp_path, host="0.0.0.0", http_port=1, grpc_port=2, metrics_port=3)
    assert server.http_url == "http://127.0.0.1:1"
    assert server.grpc_url == "127.0.0.1:2"
    assert server.metrics_url == "http://127.0.0.1:3/metrics"
    assert make_server(tmp_path, host="::1", grpc_port=2).grpc_url == "[::1]:2"


def test_a_missing_model_repository_is_named_before_anything_starts(tmp_path: Path) -> None:
    server = make_server(tmp_path / "nowhere")
    with pytest.raises(ServerStartError, match="nowhere.*--model-repository"):
        server.start()
    assert server.poll() is None
    server.stop()


def test_the_ensembles_of_the_repository_are_served(tmp_path: Path) -> None:
    (tmp_path / "people_foreground").mkdir()
    (tmp_path / "people_foreground" / "config.pbtxt").touch()
    assert make_server(tmp_path).models == ("people_foreground",)
    assert make_server(tmp_path, models=["tiny"]).models == ("tiny",)


def test_a_repository_with_nothing_to_serve_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServerStartError, match=f"{tmp_path} has no ensemble.*--load-model"):
        make_server(tmp_path).start()


def test_numpy_2_is_refused() -> None:
    check_numpy("1.26.4")
    with pytest.raises(ServerStartError, match="2.2.6"):
        check_numpy("2.2.6")


def test_a_python_without_a_stub_is_told_which_have_one(tmp_path: Path) -> None:
    for version in ("3.9", "3.11"):
        stub = tmp_path / "python_backend_stubs" / version / STUB
        stub.parent.mkdir(parents=True)
        stub.touch()
    assert find_stub(tmp_path, "3.11").parent.name == "3.11"
    with pytest.raises(ServerStartError, match=r"Python 3\.14, only for 3\.9, 3\.11"):
        find_stub(tmp_path, "3.14")


def test_a_python_without_its_shared_library_is_refused(tmp_path: Path) -> None:
    (tmp_path / "libpython9.9.so.1.0").touch()
    assert find_libpython("9.9", [tmp_path / "empty", tmp_path]) == tmp_path
    with pytest.raises(ServerStartError, match=r"libpython9\.8"):
        find_libpython("9.8", [tmp_path])


def test_the_stubs_python_sees_the_project_and_writes_no_bytecode(tmp_path: Path) -> None:
    programs = lay_out_python(tmp_path / "python")
    request = "import sys, numpy, peopleseg, serving; print(sys.dont_write_bytecode)"
    response = subprocess.run(
        [programs / "python3", "-c", request],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert response.stdout.strip() == "True"


def test_the_environment_keeps_what_the_user_set(tmp_path: Path) -> None:
    environment = server_environment({"PATH": "/bin", "OMP_NUM_THREADS": "4"}, tmp_path)
    assert environment["PATH"] == f"{tmp_path}{os.pathsep}/bin"
    assert environment["OMP_NUM_THREADS"] == "4"
    assert environment["OPENBLAS_NUM_THREADS"] == "1"


LOG = """\
I1121 10:23:08.735568 1 model_lifecycle.cc:472] "loading: echo:1"
E1121 10:23:08.734357 1 server.cc:241] "CudaDriverHelper has not been initialized."
E1121 10:23:08.890383 1 model_lifecycle.cc:642] "failed to load 'echo' version 1: no weights"
| echo  | 1       | UNAVAILABLE: Internal: no weights |
error: creating server: Internal - failed to load all models
I1121 10:23:09.649409 1 model_lifecycle.cc:624] "successfully unloaded 'tiny' version 1"
"""


def test_the_errors_of_a_log_leave_out_what_is_said_without_a_gpu(tmp_path: Path) -> None:
    log = tmp_path / "triton.log"
    log.write_text(LOG)
    errors = last_errors(log)
    assert [line.split(" ")[0] for line in errors] == ["E1121", "|", "error:"]
    assert str(log) in describe(log)


def test_a_log_without_errors_gives_its_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "triton.log"
    log.write_text("one\n\ntwo\n")
    assert last_errors(log, max_lines=1) == ["two"]
    assert last_errors(tmp_path / "missing.log") == []


def test_an_end_for_want_of_memory_may_pass_and_a_bad_model_does_not(tmp_path: Path) -> None:
    log = tmp_path / "triton.log"
    assert cause_that_may_pass(log) is None
    log.write_text(LOG)
    assert cause_that_may_pass(log) is None
    aborted = "terminate called after throwing an instance of 'boost::interprocess::lock_exception'"
    log.write_text(f"{LOG}{aborted}\n")
    assert cause_that_may_pass(log) == "boost::interprocess::lock_exception"
    assert last_errors(log)[-1] == aborted


def test_no_more_models_load_at_a_time_than_there_are_processors() -> None:
    loaded, threads = load_arguments(["people_foreground"])
    assert loaded == "--load-model=people_foreground"
    assert 1 <= int(threads.partition("=")[2]) <= len(os.sched_getaffinity(0))


def test_responses_are_cached_as_the_user_says() -> None:
    (ours,) = cache_arguments(["--log-verbose=1"])
    assert ours.startswith("--cache-config=local,size=")
    assert cache_arguments(["--cache-config=redis,host=cache"]) == []


@pytest.mark.parametrize(
    ("status", "words"), [(1, "exit status 1"), (137, "killed by SIGKILL"), (-11, "SIGSEGV")]
)
def test_statuses_in_words(status: int, words: str) -> None:
    assert words in describe_status(status)


def test_the_guard_finds_the_processes_of_a_group() -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1, start_new_session=True)
    try:
        assert guard.processes_of_group(sleeper.pid) == [sleeper.pid]
    finally:
        sleeper.communicate()
    assert guard.processes_of_group(sleeper.pid) == []


def run_guard(folder: Path, code: str, request: str | None) -> tuple[int, str]:
    """Run a Python program under the guard; its status, and what it and the guard logged."""
    command = [sys.executable, "-IS", guard.__file__, str(folder), "8", sys.executable, "-c", code]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin and process.stdout and process.stderr
        int(process.stdout.readline())
        said = process.stderr.readline()  # the program runs
        if request is not None:
            process.stdin.write(request)
            process.stdin.close()
        return process.wait(30), said


def test_the_guard_passes_the_status_on_and_removes_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "runtime"
    folder.mkdir()
    assert run_guard(folder, "print('here', flush=True); exit(7)", None) == (7, "here\n")
    assert not folder.exists()


@pytest.mark.parametrize("request_text", ["stop\n", ""], ids=["asked", "parent gone"])
def test_the_guard_ends_the_program_on_request(tmp_path: Path, request_text: str) -> None:
    code = "print('here', flush=True)\nimport signal; signal.pause()"
    status, _ = run_guard(tmp_path / "runtime", code, request_text)
    assert status == 128 + signal.SIGTERM


def test_the_log_of_each_port_is_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_log_file(8000) == tmp_path / "peopleseg" / "triton-8000.log"


OPTIONS = ("--grpc-restricted-protocol", "--http-restricted-api")


def test_model_control_is_closed_to_other_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    for host in ("127.0.0.1", "::1", "localhost"):
        assert exposure(host, []) == Exposure()
    first, second = (exposure("0.0.0.0", []) for _ in range(2))
    assert first.arguments != second.arguments  # a secret that nobody knows
    for option, argument in zip(OPTIONS, first.arguments, strict=True):
        assert re.fullmatch(rf"{option}=model-repository,[\w,-]+:admin-key=[\w-]{{30,}}", argument)
    assert f"set {VARIABLE}=NAME:SECRET" in first.said
    monkeypatch.setenv(VARIABLE, "me:s3cret")
    opened = exposure("gpu-server", [])
    assert (
        all(one.endswith(":me=s3cret") for one in opened.arguments) and "s3cret" not in opened.said
    )
    own = [f"{option}=model-repository:a=b" for option in OPTIONS]
    assert exposure("0.0.0.0", own) == Exposure()
    for given, other in (own, own[::-1]):
        (closed,) = exposure("0.0.0.0", [given]).arguments
        assert closed.partition("=")[0] == other.partition("=")[0]
    monkeypatch.setenv(VARIABLE, "secret")
    with pytest.raises(ControlError, match="is NAME:SECRET"):
        exposure("0.0.0.0", [])


def test_serve_reports_a_missing_repository_and_exits_1(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    repository = tmp_path / "nowhere"
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        assert run(Options(model_repository=repository)) == 1
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert str(repository) in caplog.text
