"""One Triton under the guard, serving a model repository.

Which Triton that is, and how it is called, a subclass says: `EmbeddedServer` (embedded.py) runs the
wheel's, `ContainerServer` (container.py) that of NVIDIA's image.

The server, the processes of its Python steps, its shared memory and its runtime folder end with
`stop`, with the server's own death and with the death of the process that started it (guard.py).
"""

import logging
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any

from peopleseg.releases import servers
from peopleseg.releases.servers import Announcement
from peopleseg.systems.known import SYSTEMS
from peopleseg.systems.wiring import served
from serving import guard, triton_log
from serving.control import Control, is_there, reachable
from serving.errors import ServerStartError
from serving.exposure import control_headers
from serving.mending import mend_unless_served, name_others
from serving.shared_memory import check_shared_memory

POLL_S = 0.2
_METRICS = "the metrics"
STARTS = 3  # of Triton, where it aborts for want of memory
RESTART_S = 2.0  # between them, for what has taken the memory to end
ABORTED = 128 + signal.SIGABRT  # as `poll` gives it
GRACE_S = 2.0  # that the guard gives Triton beyond its own time to end

_LOG = logging.getLogger(__name__)


class Server:
    """Triton serving a model repository under explicit model control."""

    choose_another: str  # how another repository is chosen
    stub_backends: Collection[str]  # whose models run in processes of their own
    stub_memory_bytes: int  # shared memory of each of these at its start
    exit_timeout_s: float  # how long Triton waits for requests in flight when it is asked to end

    def __init__(
        self,
        *,
        model_repository: Path,
        log_file: Path | None,
        host: str,
        ports: Mapping[str, int],
        models: Sequence[str] | None,
        extra_arguments: Sequence[str],
    ) -> None:
        """log_file: Triton's, begun anew by `start`; None for the standard error of this process.

        ports: that Triton listens on, by service: "http" and so on. models: loaded at the start,
        with their steps; None for the ensembles that there are. extra_arguments: Triton's own.
        """
        self.model_repository = model_repository.resolve()
        self.log_file = log_file and log_file.resolve()
        self.host = host
        self.ports = dict(ports)
        self._models = models
        self.models = served(self.model_repository, SYSTEMS) if models is None else tuple(models)
        self.extra_arguments = tuple(extra_arguments)
        self.pid: int | None = None  # Triton's own, while it runs
        self._starts = 0  # of Triton
        self._guard: subprocess.Popen[str] | None = None
        self._runtime_folder: Path | None = None
        self._announcement: Announcement | None = None

    def check(self) -> None:
        """Raises ServerStartError where Triton, or what it needs of this machine, is missing."""
        raise NotImplementedError

    def prepare(self, folder: Path) -> tuple[list[str], dict[str, str]]:
        """Triton's command line and environment. folder: for its files, removed after its end."""
        raise NotImplementedError

    @property
    def grpc_url(self) -> str:
        """host:port, as gRPC clients take it."""
        return f"{reachable(self.host)}:{self.ports['grpc']}"

    @property
    def http_url(self) -> str:
        return f"http://{reachable(self.host)}:{self.ports['http']}"

    @property
    def metrics_url(self) -> str:
        return f"http://{reachable(self.host)}:{self.ports['metrics']}/metrics"

    @property
    def control(self) -> Control:
        """What this server is asked and told by, as long as it has a port of HTTP."""
        return Control(self.http_url, control_headers(self.extra_arguments))

    @property
    def where_it_logs(self) -> str:
        return f"log: {self.log_file}" if self.log_file else "its log goes with this one"

    def __enter__(self) -> Any:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server's process; it answers once `wait_until_ready` returns.

        Raises ServerStartError: no model repository, nothing in it to load, or what `check` finds.
        Raises ReleaseError where a killed release left configs that cannot be mended now; they are
        mended once all else is well.
        """
        self._start()

    def start_again(self) -> None:
        """Start a server that has ended, or does not answer; raises what `start` does.

        What is left of it is ended at once. It serves the release that the repository says, and its
        log goes on.
        """
        self.stop(timeout_s=0)
        self._start(goes_on=True)

    def _start(self, goes_on: bool = False) -> None:
        if self._guard is not None:
            raise ServerStartError("this server is already started")
        if not self.model_repository.is_dir():
            raise ServerStartError(
                f"no model repository at {self.model_repository}; {self.choose_another}"
            )
        others = name_others(self.model_repository)
        self.check()
        check_shared_memory(
            self.model_repository,
            self.models,
            self.stub_backends,
            self.stub_memory_bytes,
            self.extra_arguments,
        )
        self._enter_repository(others)
        if self.log_file and not goes_on:
            self.log_file.parent.mkdir(parents=True, exist_ok=True)
            self.log_file.write_bytes(b"")
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
        return self.control.is_ready(model)

    def _responses(self, name: str) -> bool:
        """A model, or the metrics, where the server has them."""
        if name != _METRICS:
            return self.is_ready(name)
        left_out = any("allow-metrics" in argument for argument in self.extra_arguments)
        return left_out or is_there(self.metrics_url)

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
                f"{self.model_repository} has no ensemble of peopleseg; {self.choose_another}"
            )
        self._announcement = servers.announce(self.model_repository, self.ports)

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

    def _start_triton(self) -> None:
        self._starts += 1
        self._runtime_folder = Path(tempfile.mkdtemp(prefix="peopleseg-triton-"))
        command, environment = self.prepare(self._runtime_folder)
        guarded = [str(self._runtime_folder), f"{self.exit_timeout_s + GRACE_S:g}", *command]
        with self._opened_log() as log:
            self._guard = subprocess.Popen(
                [sys.executable, "-IS", guard.__file__, *guarded],
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

    def _opened_log(self) -> AbstractContextManager[IO[bytes] | None]:
        return nullcontext() if self.log_file is None else self.log_file.open("ab")

    def _clear_away(self) -> None:
        if self.pid is not None and self._runtime_folder is not None:
            guard.clear_away(self.pid, self._runtime_folder)


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
