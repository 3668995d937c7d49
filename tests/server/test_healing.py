"""Steps and servers that are killed, or hang, under `peopleseg serve`: they come back, and it says
so.
"""

import os
import re
import signal
import subprocess
import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from conversion.release.candidates import request_for
from conversion.release.operations import Place, release, rollback
from conversion.release.server import ModelControl
from peopleseg import SegmentationClient
from peopleseg.releases import journal
from peopleseg.releases.errors import Refused
from peopleseg.releases.journal import Journal
from peopleseg.releases.plan import current_versions
from peopleseg.repository.place import MODEL_REPOSITORY
from peopleseg.systems.people.system import PEOPLE
from serving import ports
from serving.health.stubs import stubs_of
from serving.health.tries import LIMIT
from tests.data.encoded import encoded_image
from tests.server.serve import (
    GRPC,
    Serve,
    assert_nothing_is_left,
    echo,
    wait_until,
    what_is_left,
)
from tests.server.telling import IMAGE, MODEL, TellingExaminer, make_repository, new_version
from tests.server.test_release_killed import changes, killed

pytestmark = pytest.mark.server
SLOW = pytest.mark.slow

FreePorts = Callable[[int], list[int]]

OWN_MOUNTS = ("unshare", "--user", "--map-root-user", "--mount")

STEP_LIMIT_S = 5.0  # in which a step that was killed answers again
SERVER_LIMIT_S = 20.0  # and a server; both on a machine of their own

MOODY_MODEL = """
import os
import time
from pathlib import Path
import triton_python_backend_utils as pb_utils

MOOD = Path(__file__).parents[1] / "mood"


class TritonPythonModel:
    def initialize(self, args):
        if MOOD.exists():
            exec(MOOD.read_text())

    def execute(self, requests):
        time.sleep(0.5)
        numbers = [pb_utils.get_input_tensor_by_name(one, "number") for one in requests]
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor("same", number.as_numpy())])
            for number in numbers
        ]
"""


@pytest.fixture
def moody(tiny_repository: Path, tmp_path: Path, free_ports: FreePorts) -> Iterator[Serve]:
    """Ready, with a step that takes half a second, and at its load does what a file says."""
    (tiny_repository / "echo" / "1" / "model.py").write_text(MOODY_MODEL)
    with ready(Serve(tiny_repository, tmp_path, free_ports(4))) as serve:
        yield serve


def set_mood(moody: Serve, code: str) -> None:
    """What the step does at each of its loads from now on."""
    (moody.folder / "repository" / "echo" / "mood").write_text(code)


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Ready, with the repository of `telling`."""
    folder = tmp_path_factory.mktemp("healing")
    make_repository(folder / "repository")
    with ready(Serve(folder / "repository", folder, ports.free_ports(4), None)) as serve:
        yield serve


@pytest.fixture
def people(tmp_path: Path, free_ports: FreePorts) -> Iterator[Serve]:
    """Ready, with the project's own models."""
    with ready(Serve(MODEL_REPOSITORY, tmp_path, free_ports(4), None)) as serve:
        yield serve


@contextmanager
def ready(serve: Serve) -> Iterator[Serve]:
    try:
        serve.wait_for_ready_line()
        wait_until(lambda: serve.told("/readyz")[0] == 200)
        yield serve
    finally:
        serve.look()
        serve.close()


def crowding() -> float:
    """By how many times more work than its processors can do a machine is slower."""
    return max(1.0, os.getloadavg()[0] / len(os.sched_getaffinity(0)))


class Watch:
    """What /readyz said, asked without pause, since the beginning of a context."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.answers: list[tuple[float, int, Any]] = []  # seconds since the beginning

    def __enter__(self) -> "Watch":
        self._begin = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._ends.wait(0.05):
            status, said = self._serve.told("/readyz")
            self.answers.append((time.monotonic() - self._begin, status, said))

    def ready_again_s(self) -> float | None:
        """When it was ready after it had not been; None so far."""
        was_not = False
        for seconds, status, _ in list(self.answers):
            was_not |= status == 503
            if was_not and status == 200:
                return seconds
        return None

    def reasons(self) -> str:
        return "\n".join(str(said) for _, status, said in self.answers if status == 503)


class SmallMemory(Serve):
    """In a namespace of its own, with little more shared memory than it has to have."""

    MB = 97

    def command(self, repository: Path, model: str | None) -> list[str]:
        serve = " ".join(super().command(repository, model))
        mounted = f'mount -t tmpfs -o size={self.MB}m tmpfs /dev/shm && exec {serve} "$@"'
        return [*OWN_MOUNTS, "sh", "-c", mounted, "sh"]

    @property
    def shared_memory(self) -> Path:
        return Path(f"/proc/{self.process.pid}/root/dev/shm")


def kill_a_stub(serve: Serve, step: str) -> None:
    """Kill -9 of one process of a step."""
    pid = next(one.pid for one in stubs(serve) if one.version.model == step)
    os.kill(pid, signal.SIGKILL)


def stubs(serve: Serve) -> list[Any]:
    serve.look()
    return stubs_of(serve.find("tritonserver").pid)


def steps(serve: Serve) -> list[str]:
    return sorted({one.version.model for one in stubs(serve)})


def assert_comes_back(serve: Serve, step: str, answers: Callable[[], object]) -> None:
    """Within the limit after its kill, as /readyz says, and as a request shows."""
    before = serve.counted("heals").get(step, 0)
    with Watch(serve) as watch:
        kill_a_stub(serve, step)
        wait_until(lambda: watch.ready_again_s() is not None)
        answers()
    seconds = watch.ready_again_s()
    assert seconds is not None and seconds < STEP_LIMIT_S * crowding(), watch.answers
    assert step in watch.reasons()
    assert serve.counted("heals")[step] == before + 1
    assert serve.told("/readyz")[0] == 200


def test_any_step_that_is_killed_comes_back(telling: Serve) -> None:
    """Each step of the people system, one after the other."""

    def answers() -> None:
        with ModelControl(f"127.0.0.1:{telling.ports[GRPC]}") as control:
            control.ask(request_for("person_segmentation", IMAGE))

    killed_steps = steps(telling)
    assert len(killed_steps) > 8
    for step in killed_steps:
        assert_comes_back(telling, step, answers)
    assert not telling.counted("restarts")


@SLOW
def test_any_step_of_the_project_s_models_that_is_killed_comes_back(people: Serve) -> None:
    def answers() -> None:
        with SegmentationClient(f"127.0.0.1:{people.ports[GRPC]}") as client:
            client.segment(encoded_image(seed=1, people=2))

    for step in steps(people):
        assert_comes_back(people, step, answers)
    assert not people.counted("restarts")


def test_a_request_in_flight_costs_itself_alone(moody: Serve) -> None:
    """Each call ends, with its own answer or an error; once it is ready again, all are answered."""
    outcomes: list[tuple[float, Any]] = []

    def call(value: float) -> None:
        try:
            outcomes.append((value, echo(moody.http_url, [value])))
        except urllib.error.HTTPError as error:
            outcomes.append((value, error.read().decode()))

    with Watch(moody) as watch:
        callers = [threading.Thread(target=call, args=[float(one)]) for one in range(6)]
        for caller in callers:
            caller.start()
        time.sleep(0.2)  # two are computed, the others wait
        kill_a_stub(moody, "echo")
        for caller in callers:
            caller.join(30)
            assert not caller.is_alive()
        wait_until(lambda: watch.ready_again_s() is not None)
    answered = [one for one in outcomes if not isinstance(one[1], str)]
    refused = [one[1] for one in outcomes if isinstance(one[1], str)]
    assert len(outcomes) == 6 and 1 <= len(refused) < 6
    assert all(response == [value] for value, response in answered)
    assert all(re.search("not healthy|no available versions|unload", one) for one in refused)
    assert [echo(moody.http_url, [value]) for value in (1.0, 2.0, 3.0)] == [[1.0], [2.0], [3.0]]


@pytest.mark.parametrize("program", ["tritonserver", "guard.py"])
def test_a_server_that_is_killed_comes_back(moody: Serve, program: str) -> None:
    """Its guard as well: the kernel takes the server with it."""
    with Watch(moody) as watch:
        moody.find(program).kill()
        wait_until(lambda: watch.ready_again_s() is not None)
        assert echo(moody.http_url, [1.5]) == [1.5]
    seconds = watch.ready_again_s()
    assert seconds is not None and seconds < SERVER_LIMIT_S * crowding()
    assert moody.counted("restarts") == {"ended": 1} and not moody.counted("heals")
    old = [*moody.family]
    moody.look()
    assert not {one.pid for one in old} & {one.pid for one in moody.family}
    moody.process.terminate()
    assert moody.exit_code() == 0
    assert_nothing_is_left(moody)
    assert "killed by SIGKILL" in moody.said.read_text()


@SLOW
def test_a_server_of_the_project_s_models_that_is_killed_comes_back(people: Serve) -> None:
    with Watch(people) as watch:
        people.find("tritonserver").kill()
        wait_until(lambda: watch.ready_again_s() is not None)
    seconds = watch.ready_again_s()
    assert seconds is not None and seconds < SERVER_LIMIT_S * crowding()


def test_a_server_that_hangs_is_started_again(moody: Serve) -> None:
    with Watch(moody) as watch:
        moody.find("tritonserver").send_signal(signal.SIGSTOP)
        wait_until(lambda: watch.ready_again_s() is not None)
        assert echo(moody.http_url, [1.5]) == [1.5]
    assert moody.counted("restarts") == {"hung": 1}


def test_a_full_shared_memory_is_told(tmp_path: Path, free_ports: FreePorts) -> None:
    """Requests that need more than a pool has fail then, though Triton calls itself ready."""
    if subprocess.run([*OWN_MOUNTS, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine lets nobody mount in a namespace of their own")
    make_repository(tmp_path / "repository")
    serve = SmallMemory(tmp_path / "repository", tmp_path, free_ports(4), None)
    with ready(serve):
        with (serve.shared_memory / "filled").open("wb", buffering=0) as file:
            with pytest.raises(OSError, match="No space left"):
                while file.write(bytes(1 << 20)):
                    pass
        wait_until(lambda: serve.told("/readyz")[0] == 503)
        assert "/dev/shm has" in str(serve.told("/readyz")[1]["systems"]["people"])
        (serve.shared_memory / "filled").unlink()
        wait_until(lambda: serve.told("/readyz")[0] == 200)


def test_a_release_and_a_rollback_are_no_deaths(telling: Serve) -> None:
    """Though they unload versions, whose processes end."""
    before = telling.counted("heals")
    repository = telling.folder / "repository"
    ended = {one.pid for one in stubs(telling)}
    with ModelControl(f"127.0.0.1:{telling.ports[GRPC]}") as control, Watch(telling) as watch:
        place = Place(PEOPLE, repository, control, TellingExaminer())
        for name in ("one", "two", "three"):
            step = "preprocess" if name == "two" else "yolov9"
            release(place, name, {step: new_version(repository, step)})
        rollback(place)
        time.sleep(3)  # in which a death would be found and mended
    ended -= {one.pid for one in stubs(telling)}
    assert ended, "versions were unloaded"
    assert telling.counted("heals") == before and not telling.counted("restarts")
    assert {status for _, status, _ in watch.answers} == {200}


DYING_MODEL = MODEL.replace(
    "        return [self.answer(request) for request in requests]\n",
    "        import os; os._exit(3)\n",
)


def test_a_version_that_a_release_only_tries_costs_that_release_alone(telling: Serve) -> None:
    before = telling.counted("heals")
    repository = telling.folder / "repository"
    dying = new_version(repository, "people_unet", DYING_MODEL)
    with ModelControl(f"127.0.0.1:{telling.ports[GRPC]}") as control, Watch(telling) as watch:
        with pytest.raises(Refused, match="not healthy"):
            place = Place(PEOPLE, repository, control, TellingExaminer())
            release(place, "dying", {"people_unet": dying})
        time.sleep(2)  # in which it would be mended
    assert telling.counted("heals") == before and not telling.counted("restarts")
    assert {status for _, status, _ in watch.answers} == {200}


@pytest.mark.parametrize(
    "stage", ["decided", *(pytest.param(one, marks=SLOW) for one in ("compared", "swapped"))]
)
def test_a_release_that_the_server_dies_in_is_begun_once(
    tmp_path: Path, free_ports: FreePorts, stage: str
) -> None:
    """What serves afterwards is what the record says: the new versions once they are decided."""
    repository = tmp_path / "repository"
    make_repository(repository)
    with ready(Serve(repository, tmp_path, free_ports(4), None)) as serve:
        old = current_versions(repository, PEOPLE)
        changed, arguments = changes(repository)
        url = f"127.0.0.1:{serve.ports[GRPC]}"
        with Watch(serve) as watch:
            killed(repository, url, stage, "release", "new", *arguments)
            serve.find("tritonserver").kill()
            wait_until(lambda: watch.ready_again_s() is not None)
        (attempt,) = Journal(repository).attempts()
        is_decided = stage != "compared"
        assert attempt.result == (journal.SERVING if is_decided else journal.REFUSED)
        assert current_versions(repository, PEOPLE) == (old | changed if is_decided else old)
        assert serve.counted("restarts") == {"ended": 1}


def test_a_signal_while_a_step_is_loaded_again_ends_everything(moody: Serve) -> None:
    set_mood(moody, "time.sleep(60)")
    kill_a_stub(moody, "echo")
    wait_until(lambda: "is loaded again" in moody.said.read_text())
    time.sleep(0.5)  # the process that sleeps has begun
    moody.look()
    moody.process.send_signal(signal.SIGTERM)
    assert moody.exit_code() == 0
    assert what_is_left(moody) == []


def test_a_signal_while_the_server_is_started_again_ends_everything(moody: Serve) -> None:
    set_mood(moody, "time.sleep(60)")
    moody.find("tritonserver").kill()
    wait_until(lambda: "Triton is started again" in moody.said.read_text())
    wait_until(lambda: len(psutil.Process(moody.process.pid).children(recursive=True)) > 2)
    moody.look()
    moody.process.send_signal(signal.SIGTERM)
    assert moody.exit_code() == 0
    assert what_is_left(moody) == []


def test_a_step_that_dies_at_each_load_is_given_up(moody: Serve) -> None:
    set_mood(moody, "os._exit(3)")
    kill_a_stub(moody, "echo")
    assert moody.process.wait(120) == 1
    said = moody.said.read_text()
    assert len(re.findall("step echo is loaded again", said)) == LIMIT
    assert f"step echo was brought back {LIMIT} times" in said
    assert "peopleseg rollback --offline" in said and "Traceback" not in said
    assert_nothing_is_left(moody)


@SLOW
def test_a_server_that_does_not_start_again_is_given_up(moody: Serve) -> None:
    set_mood(moody, "raise RuntimeError('no weights')")
    moody.find("tritonserver").kill()
    assert moody.process.wait(120) == 1
    said = moody.said.read_text()
    assert f"Triton was brought back {LIMIT} times" in said and "no weights" in said
    assert_nothing_is_left(moody)
