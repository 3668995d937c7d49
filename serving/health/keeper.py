"""Watches a server and the processes of its steps, and brings back what died or hangs.

- A step that lost a process is unloaded and loaded again; what is loaded is what the repository
  says, so that a release is neither begun nor ended by it.
- A server that ended, or does not answer, is started again, after a killed release is mended, as at
  any start.

Each is tried at once, then after ever longer waits, and after `tries.LIMIT` tries the keeper gives
up: an end that is seen is better than a server that never serves.
"""

import logging
import time
from collections import defaultdict
from typing import NoReturn

from peopleseg.errors import PeoplesegError
from peopleseg.releases import lock
from serving import triton_log
from serving.control import Version
from serving.errors import GaveUp, NoAnswer
from serving.health import tries
from serving.health.expected import Expected
from serving.health.readiness import Readiness
from serving.health.state import HEALS, RESTARTS, State
from serving.health.stubs import Stubs
from serving.health.tries import Tries
from serving.server import Server, describe_status

LOOK_S, LOOK_AGAIN_S = 0.5, 0.1  # between looks when all is well, and when it may not be
LIVE_EVERY_S, LIVE_TIMEOUT_S = 1.0, 2.0
HUNG_LOOKS = 5  # in which a server does not even say that it is alive
UNANSWERED_S = 60.0  # in which it answers nobody, though it says so
LOAD_TIMEOUT_S = 120.0  # of a step
SERVER = "server"  # among the names of the steps, of which none is called that

_LOG = logging.getLogger(__name__)


class Keeper:
    """Keeps one server serving that has been started and is ready."""

    def __init__(
        self,
        server: Server,
        expected: Expected,
        readiness: Readiness,
        state: State,
        ready_timeout_s: float,
    ) -> None:
        self._server, self._expected = server, expected
        self._readiness, self._state = readiness, state
        self._ready_timeout_s = ready_timeout_s
        self._tries: defaultdict[str, Tries] = defaultdict(Tries)
        self._stubs = Stubs()
        self._broken: dict[str, str] = {}  # steps to load again, and why
        self._down: str | None = None  # why the server did not start again
        self._live_at = time.monotonic()
        self._not_live = 0  # looks in a row

    def keep(self) -> NoReturn:
        """Watch until it is given up. Raises GaveUp, which says what failed, and why."""
        while True:
            self._look()
            self._wait()

    def _wait(self) -> None:
        """Until something may have happened: an end of a process is seen at once."""
        pid = self._server.pid
        if pid is None or self._server.poll() is not None or not self._stubs.is_settled:
            time.sleep(LOOK_AGAIN_S)
        else:
            self._stubs.wait(pid, LOOK_S)

    def _look(self) -> None:
        if self._down is not None:
            self._start_again("did not start", self._down)
        elif (status := self._server.poll()) is not None:
            self._start_again("ended", f"it ended on its own ({describe_status(status)})")
        elif hung := self._why_hung():
            self._start_again("hung", hung)
        else:
            self._find_dead_steps()
            for step, why in list(self._broken.items()):
                if self._expected.needs(step):
                    self._load_again(step, why)
                else:  # a release has taken it away meanwhile
                    self._mended(step)

    def _why_hung(self) -> str | None:
        if time.monotonic() - self._live_at >= LIVE_EVERY_S:
            is_live = self._server.control.is_live(LIVE_TIMEOUT_S)
            self._live_at = time.monotonic()
            self._not_live = 0 if is_live else self._not_live + 1
        if self._not_live >= HUNG_LOOKS:
            return f"it did not say that it is alive {HUNG_LOOKS} times in a row"
        if (unanswered_s := self._readiness.unanswered_s()) > UNANSWERED_S:
            return f"it answered nobody for {unanswered_s:.0f} s"
        return None

    def _find_dead_steps(self) -> None:
        assert self._server.pid is not None
        try:
            dead = self._stubs.dead(self._server.pid, self._server.control)
        except NoAnswer:
            return  # the next look finds out why
        for version in filter(self._is_served, dead):
            self._broken.setdefault(version.model, f"a process of version {version.number} died")

    def _is_served(self, version: Version) -> bool:
        """A version that a release only tries costs that release, and not what serves."""
        is_released = lock.holder(self._server.model_repository) is None
        return is_released or self._expected.pins(version)

    def _load_again(self, step: str, why: str) -> None:
        tries = self._next_try(step, f"step {step}", why)
        if tries is None:
            return
        told = {"event": "heal", "step": step, "cause": why}
        _LOG.warning("step %s is loaded again: %s", step, why, extra=told)
        begun = time.monotonic()
        try:
            self._server.control.unload(step, LOAD_TIMEOUT_S)
            self._server.control.load(step, LOAD_TIMEOUT_S)
            self._load_ensembles(step)
        except NoAnswer as error:
            self._broken[step] = f"it does not load: {error}"
            _LOG.error("step %s does not load: %s", step, error, extra=told)
        else:
            self._mended(step)
            self._state.count(HEALS, step)
            took_s = time.monotonic() - begun
            _LOG.warning("step %s serves again after %.1f s", step, took_s, extra=told)
        finally:
            tries.end()

    def _mended(self, step: str) -> None:
        del self._broken[step]
        self._state.end(step)

    def _load_ensembles(self, step: str) -> None:
        """Those that did not come back with their step."""
        for name, versions in self._expected.ensembles().items():
            of_step = step in {version.model for version in versions}
            if of_step and not self._server.control.is_ready(name):
                self._server.control.load(name, LOAD_TIMEOUT_S)

    def _start_again(self, cause: str, why: str) -> None:
        tries = self._next_try(SERVER, "Triton", why)
        if tries is None:
            return
        told = {"event": "restart", "cause": cause}
        _LOG.error(
            "Triton is started again: %s; %s",
            why,
            triton_log.describe(self._server.log_file),
            extra=told,
        )
        begun = time.monotonic()
        self._state.count(RESTARTS, cause)
        for step in list(self._broken):
            self._mended(step)
        self._stubs = Stubs()
        try:
            self._server.start_again()
            self._server.wait_until_ready(self._ready_timeout_s)
        except (PeoplesegError, OSError) as error:
            self._down = str(error)
        else:
            self._down, self._not_live = None, 0
            self._readiness.begin_anew()
            self._state.end(SERVER)
            _LOG.warning("Triton serves again after %.1f s", time.monotonic() - begun, extra=told)
        finally:
            tries.end()

    def _next_try(self, what: str, named: str, why: str) -> Tries | None:
        """A try that has begun; None where it is not time yet. Raises GaveUp."""
        self._state.begin(what, why)
        own = self._tries[what]
        if own.are_used_up():
            told = {"event": "gave_up", "of": what}
            _LOG.error("%s is given up", named, extra=told)
            raise GaveUp(
                f"{named} was brought back {own.count} times without {tries.PEACE_S:g} s of peace "
                f"between, and fails again: {why}; {triton_log.describe(self._server.log_file)}\n"
                "if a release brought this, `peopleseg rollback --offline` goes back to the one "
                "before; then start the server again"
            )
        if not own.is_due():
            return None
        own.begin()
        return own
