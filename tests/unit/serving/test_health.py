"""The parts of what keeps a server serving that need no server."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from peopleseg.systems.known import ENSEMBLES
from serving.control import Control
from serving.embedded import EmbeddedServer
from serving.errors import NoAnswer
from serving.exposure import control_headers, exposure
from serving.health import tries
from serving.health.expected import Expected
from serving.health.readiness import Readiness, canaries
from serving.health.sidecar import Sidecar
from serving.health.state import CANARY_FAILURES, HEALS, State
from serving.health.tries import Tries
from serving.ports import free_ports
from tests.server.telling import make_repository, server_of


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_tries_begin_at_once_and_wait_ever_longer_until_they_are_used_up() -> None:
    clock = Clock()
    own = Tries(clock)
    waits = []
    while not own.are_used_up():
        begun = clock.now
        while not own.is_due():
            clock.now += 0.5
        waits.append(clock.now - begun)
        own.begin()
        clock.now += 30  # it takes its time
        own.end()
    assert waits == [0, 1, 2, 4, 8][: tries.LIMIT]
    clock.now += tries.PEACE_S - 1
    assert own.are_used_up()
    clock.now += 2
    assert not own.are_used_up() and own.is_due()


@pytest.fixture
def triton() -> Iterator[ThreadingHTTPServer]:
    """A server that speaks HTTP and refuses everything, as Triton does."""
    asked_for: list[str] = []

    class Refuses(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked_for.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            if "slow" in self.path:
                time.sleep(1)
            key = self.headers.get("admin-key")
            with suppress(BrokenPipeError):  # who asked does not wait
                self.send_response(400)
                self.end_headers()
                self.wfile.write(json.dumps({"error": f"not {self.path}, {key}"}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuses) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        http.asked_for = asked_for  # type: ignore[attr-defined]
        yield http
        http.shutdown()
        thread.join()


def requests_of(triton: ThreadingHTTPServer) -> list[str]:
    return triton.asked_for  # type: ignore[attr-defined]


def test_a_refusal_is_told_in_triton_s_words(triton: ThreadingHTTPServer) -> None:
    control = Control(f"http://127.0.0.1:{triton.server_port}", {"admin-key": "s3cret"})
    with pytest.raises(NoAnswer, match="not /v2/repository/models/echo/load, s3cret"):
        control.load("echo", 5)
    with pytest.raises(NoAnswer, match=r"no answer within 0\.2 s"):
        control.load("slow", 0.2)
    (port,) = free_ports(1)
    with pytest.raises(NoAnswer, match="cannot be reached.*refused"):
        Control(f"http://127.0.0.1:{port}", {}).ready()


def test_restricted_model_control_is_opened_by_the_key_that_closes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PEOPLESEG_ADMIN_KEY", "me:s3cret")
    assert control_headers(exposure("0.0.0.0", []).arguments) == {"me": "s3cret"}
    assert control_headers([]) == {}
    own = ["--http-restricted-api", "logging:x=y", "--http-restricted-api=model-repository:a=b=c"]
    assert control_headers(own) == {"a": "b=c"}


def test_canaries_run_every_step_of_a_system_once(tmp_path: Path) -> None:
    make_repository(tmp_path)
    expected = Expected(server_of(tmp_path))
    asked = canaries(expected)
    steps = {version for one in expected.ensembles().values() for version in one}
    covered = set().union(*(expected.ensembles()[canary.model] for canary in asked))
    assert steps == covered and len(steps) > 8
    assert {canary.system for canary in asked} == {"people"}
    for canary in asked:
        inputs = {tensor.name for tensor in ENSEMBLES[canary.model].model.inputs}
        assert canary.tensors is not None and canary.tensors.keys() == inputs


def test_an_ensemble_that_is_not_on_disk_any_more_is_not_expected(tmp_path: Path) -> None:
    make_repository(tmp_path)
    expected = Expected(server_of(tmp_path, models=["people_foreground", "yolov9"]))
    assert set(expected.ensembles()) == {"people_foreground"}
    assert expected.others() == ["yolov9"]
    own = Expected(server_of(tmp_path, models=["people_foreground"]))
    assert own.needs("people_unet") and not own.needs("yolov9")
    (tmp_path / "people_foreground" / "config.pbtxt").unlink()
    assert expected.ensembles() == {}


@pytest.fixture
def state() -> State:
    return State()


@pytest.fixture
def sidecar_url(tmp_path: Path, state: State) -> Iterator[str]:
    """Of a server that does not run."""
    make_repository(tmp_path)
    server: EmbeddedServer = server_of(tmp_path)
    (port,) = free_ports(1)
    readiness = Readiness(server, Expected(server), state)
    with Sidecar("127.0.0.1", port, state, readiness):
        yield f"http://127.0.0.1:{port}"


def asked(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=20) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_sidecar_tells_how_a_server_is(sidecar_url: str, state: State) -> None:
    assert asked(f"{sidecar_url}/startupz")[0] == 503
    assert asked(f"{sidecar_url}/healthz")[0] == 200
    status, said = asked(f"{sidecar_url}/readyz")
    assert status == 503 and "not started" in said
    state.has_started = True
    assert asked(f"{sidecar_url}/startupz")[0] == 200
    status, said = asked(f"{sidecar_url}/readyz?verbose")
    assert status == 503 and "cannot be reached" in json.loads(said)["systems"]["server"]["reason"]
    state.begin("preprocess", "it died")
    status, said = asked(f"{sidecar_url}/readyz")
    assert status == 503 and json.loads(said)["failing"] == {"preprocess": "it died"}
    assert json.loads(asked(f"{sidecar_url}/healthz")[1])["being_brought_back"]
    state.end("preprocess")
    state.is_stopping = True
    assert "stopping" in asked(f"{sidecar_url}/readyz")[1]
    status, said = asked(f"{sidecar_url}/ready")
    assert status == 404 and "/readyz" in said


def test_the_sidecar_counts(sidecar_url: str, state: State) -> None:
    state.count(HEALS, "preprocess")
    state.count(HEALS, "preprocess")
    state.count(CANARY_FAILURES, "people")
    status, said = asked(f"{sidecar_url}/metrics")
    assert status == 200
    assert 'peopleseg_heals_total{step="preprocess"} 2\n' in said
    assert 'peopleseg_canary_failures_total{system="people"} 1\n' in said
    for metric in ("heals", "restarts", "canary_failures"):
        assert f"# TYPE peopleseg_{metric}_total counter\n" in said


def test_many_probes_ask_the_server_once_a_second(
    triton: ThreadingHTTPServer, state: State, tmp_path: Path
) -> None:
    """However many ask at a time; and anew after a change."""
    server = EmbeddedServer(
        model_repository=tmp_path, log_file=tmp_path / "log", http_port=triton.server_port
    )
    readiness = Readiness(server, Expected(server), state)
    threads = [threading.Thread(target=readiness.report) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(requests_of(triton)) == 1
    state.begin("echo", "it died")
    assert not readiness.report().is_ready
    assert len(requests_of(triton)) == 2
