"""A real Triton server without a container.

    with EmbeddedServer(model_repository=folder, log_file=Path("triton.log")) as server:
        server.wait_until_ready(timeout_s=120)
        ...  # call server.grpc_url

The server, the processes of its Python steps, its shared memory and its runtime folder end with
`stop`, with the server's own death and with the death of the process that started it (guard.py).
"""

import http.client
import importlib.metadata
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from peopleseg.releases import servers
from peopleseg.releases.servers import Announcement
from peopleseg.runtime.shared_processors import COMPUTING_FILE
from peopleseg.systems.known import SYSTEMS
from peopleseg.systems.wiring import served
from serving import guard, triton_log
from serving.errors import ServerStartError
from serving.loading import cache_arguments, load_arguments
from serving.mending import mend_unless_served, name_others
from serving.ports import check_ports
from serving.triton_wheel import (
    check_numpy,
    find_triton,
    lay_out_backends,
    lay_out_python,
    server_environment,
)

EXIT_TIMEOUT_S = 6  # how long Triton waits for requests in flight when it is asked to end
STUB_START_TIMEOUT_S = 120  # Triton's 30 s are short on a busy machine
# Shared memory of each step's process at its start, and by how much it grows: room for one
# image's tensors (pixels 1.2 MB, person_logit 1.6 MB, features 2.0 MB).
STUB_MEMORY_BYTES = 4 * 1024 * 1024
POLL_S = 0.2
_METRICS = "the metrics"
STARTS = 3  # of Triton, where it aborts for want of memory
RESTART_S = 2.0  # between them, for what has taken the memory to end
ABORTED = 128 + signal.SIGABRT  # as `poll` gives it

_LOG = logging.getLogger(__name__)
# Not the system's proxies: the server is on this machine.
_http = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class EmbeddedServer:
    """Triton from the wheel, serving a model repository under explicit model control."""

    def __init__(
        self,
        *,
        model_repository: Path,
        log_file: Path,
        host: str = "127.0.0.1",
        http_port: int = 8000,
        grpc_port: int = 8001,
        metrics_port: int = 8002,
        models: Sequence[str] | None = None,
        extra_arguments: Sequence[str] = (),
    ) -> None:
        """models: loaded at the start, with their steps; None for the ensembles that there are.

        extra_arguments: Triton's own flags.
        """
        self.model_repository = model_repository.resolve()
        self.log_file = log_file.resolve()
        self.host = host
        self.ports = {"http": http_port, "grpc": grpc_port, "metrics": metrics_port}
        self._models = models
        self.models = served(self.model_repository, SYSTEMS) if models is None else tuple(models)
        self.extra_arguments = tuple(extra_arguments)
        self.pid: int | None = None  # Triton's own, while it runs
        self._starts = 0  # of Triton
        self._guard: subprocess.Popen[str] | None = None
        self._runtime_folder: Path | None = None
        self._announcement: Announcement | None = None

    @property
    def grpc_url(self) -> str:
        """host:port, as gRPC clients take it."""
        return f"{_reachable(self.host)}:{self.ports['grpc']}"

    @property
    def http_url(self) -> str:
        return f"http://{_reachable(self.host)}:{self.ports['http']}"

    @property
    def metrics_url(self) -> str:
        return f"http://{_reachable(self.host)}:{self.ports['metrics']}/metrics"

    def __enter__(self) -> "EmbeddedServer":
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server's process; it answers once `wait_until_ready` returns.

        Raises ServerStartError: no wheel, no stub for this Python, numpy 2, no model repository or
        nothing in it to load, or a port in use (PortInUseError). Raises ReleaseError where a killed
        release left configs that cannot be mended now; they are mended once all else is well.
        """
        if self._guard is not None:
            raise ServerStartError("this server is already started")
        if not self.model_repository.is_dir():
            raise ServerStartError(
                f"no model repository at {self.model_repository}; "
                "choose one with --model-repository"
            )
        others = name_others(self.model_repository)
        check_ports(self.host, self.ports)
        check_numpy(importlib.metadata.version("numpy"))
        find_triton()
        self._enter_repository(others)
        self._starts = 0
        try:
            self._start_triton()
        except BaseException:
            self.stop(timeout_s=0)
            raise

    def wait_until_ready(self, timeout_s: float) -> None:
        """Return when every model of `models` answers that it is ready, and the metrics are there.

        Asks for the models and not for the server's health, which is false while any version of
        any model failed to load. The metrics come last: their port may have been taken since it was
        looked at, and then Triton ends though its models answer. Where Triton aborts for want of
        memory it is started again, so that there are `STARTS` at most. Raises ServerStartError if
        it ends otherwise, or time is up.
        """
        deadline = time.monotonic() + timeout_s
        waiting = [*self.models, _METRICS]
        while True:
            waiting = [name for name in waiting if not self._responses(name)]
            if not waiting:
                return
            if (status := self.poll()) is not None and not self._is_started_again(status):
                raise ServerStartError(
                    f"Triton ended ({describe_status(status)}) before {', '.join(waiting)} "
                    f"was ready; {triton_log.describe(self.log_file)}"
                )
            if time.monotonic() > deadline:
                raise ServerStartError(
                    f"{', '.join(waiting)} not ready after {timeout_s:g} s; allow more with "
                    f"--ready-timeout-s; {triton_log.describe(self.log_file)}"
                )
            time.sleep(POLL_S)

    def is_ready(self, model: str) -> bool:
        """Whether this server answers that the model is ready."""
        return _is_there(f"{self.http_url}/v2/models/{model}/ready")

    def _responses(self, name: str) -> bool:
        """A model, or the metrics, where the server has them."""
        if name != _METRICS:
            return self.is_ready(name)
        left_out = any("allow-metrics" in argument for argument in self.extra_arguments)
        return left_out or _is_there(self.metrics_url)

    def poll(self) -> int | None:
        """None while the server runs, then its exit status (128 + n if signal n ended it)."""
        return None if self._guard is None else self._guard.poll()

    def wait(self) -> int:
        """Block until the server ends; its exit status as `poll` gives it."""
        if self._guard is None:
            raise ServerStartError("this server is not started")
        return self._guard.wait()

    def stop(self, timeout_s: float = 10.0) -> None:
        """End the server and all of its processes, at the latest after about timeout_s."""
        self._end_triton(timeout_s)
        if self._announcement is not None:
            self._announcement.withdraw()
            self._announcement = None

    def _end_triton(self, timeout_s: float) -> None:
        if self._guard is not None:
            _ask_to_stop(self._guard)
            try:
                self._guard.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._guard.kill()
                self._guard.wait()
            if self._guard.returncode < 0:  # the guard was killed: its work is left to do
                self._clear_away()
            self._guard = self.pid = None
        if self._runtime_folder is not None:
            shutil.rmtree(self._runtime_folder, ignore_errors=True)
            self._runtime_folder = None

    def _enter_repository(self, others: Sequence[str]) -> None:
        mend_unless_served(self.model_repository, others)
        if self._models is None:
            self.models = served(self.model_repository, SYSTEMS)  # mending may have added some
        if not self.models:
            raise ServerStartError(
                f"{self.model_repository} has no ensemble of peopleseg; "
                "choose another with --model-repository, or name a model with --load-model"
            )
        self._announcement = servers.announce(self.model_repository, self.ports)

    def _start_triton(self) -> None:
        self._starts += 1
        triton = find_triton()
        self._runtime_folder = Path(tempfile.mkdtemp(prefix="peopleseg-triton-"))
        backends = lay_out_backends(self._runtime_folder, triton)
        programs = lay_out_python(self._runtime_folder / "python")
        environment = server_environment(os.environ, programs)
        environment[COMPUTING_FILE] = str(self._runtime_folder / "computing")
        command = [str(triton / "bin" / "tritonserver"), *self._arguments(triton, backends)]
        self._launch(command, environment)

    def _is_started_again(self, status: int) -> bool:
        """Start Triton once more where it ended of what may have passed by then."""
        cause = triton_log.cause_that_may_pass(self.log_file)
        if status != ABORTED or cause is None or self._starts >= STARTS:
            return False
        _LOG.warning("Triton aborted as it started (%s); it is started again", cause)
        self._end_triton(timeout_s=0)
        time.sleep(RESTART_S)
        self._start_triton()
        return True

    def _launch(self, command: list[str], environment: dict[str, str]) -> None:
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("wb" if self._starts == 1 else "ab") as log:
            self._guard = subprocess.Popen(
                [sys.executable, "-IS", guard.__file__, str(self._runtime_folder), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
                start_new_session=True,
            )
        assert self._guard.stdout is not None
        pid = self._guard.stdout.readline()
        if not pid:
            raise ServerStartError(f"Triton did not start; {triton_log.describe(self.log_file)}")
        self.pid = int(pid)

    def _arguments(self, triton: Path, backends: Path) -> list[str]:
        return [
            f"--model-repository={self.model_repository}",
            "--model-control-mode=explicit",
            *load_arguments(self.models),
            "--disable-auto-complete-config",
            f"--exit-timeout-secs={EXIT_TIMEOUT_S}",
            f"--http-address={self.host}",
            f"--grpc-address={self.host}",
            f"--metrics-address={self.host}",
            *(f"--{service}-port={port}" for service, port in self.ports.items()),
            f"--backend-directory={backends}",
            f"--cache-directory={triton / 'caches'}",
            *cache_arguments(self.extra_arguments),
            f"--backend-config=python,shm-default-byte-size={STUB_MEMORY_BYTES}",
            f"--backend-config=python,shm-growth-byte-size={STUB_MEMORY_BYTES}",
            f"--backend-config=python,stub-timeout-seconds={STUB_START_TIMEOUT_S}",
            *self.extra_arguments,
        ]

    def _clear_away(self) -> None:
        if self.pid is not None and self._runtime_folder is not None:
            guard.clear_away(self.pid, self._runtime_folder)


def _is_there(url: str) -> bool:
    try:
        with _http.open(url, timeout=5) as response:
            return bool(response.status == 200)
    except (OSError, http.client.HTTPException):  # nobody there, or not a server of HTTP
        return False


def describe_status(status: int) -> str:
    """An exit status in words: "exit status 1", "killed by SIGKILL"."""
    number = status - 128 if status > 128 else -status
    if number > 0:
        try:
            return f"killed by {signal.Signals(number).name}"
        except ValueError:
            pass
    return f"exit status {status}"


def _ask_to_stop(process: "subprocess.Popen[str]") -> None:
    """Write to the guard's pipe, not only close it: a forked process may hold it as well."""
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write("stop\n")
        process.stdin.close()
    except (BrokenPipeError, ValueError):
        pass  # the guard has ended, or was asked before
    process.stdout.close()


def _reachable(host: str) -> str:
    """The address to call a server at that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
