"""`peopleseg serve` as a process, what it started, and what of that is left."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from serving import guard
from serving.triton_wheel import PROJECT_ROOT

EXIT_LIMIT_S = 10.0  # what `serve` promises
READY_LIMIT_S = 120.0
HTTP, GRPC, METRICS, HEALTH = 0, 1, 2, 3  # places in Serve.ports


class Serve:
    """A `serve` process, what it started, and what it said."""

    def __init__(
        self, repository: Path, folder: Path, ports: list[int], model: str | None = "tiny"
    ) -> None:
        """ports: HTTP, gRPC, metrics, health. model: None for the ensembles of the repository."""
        self.folder = folder
        self.ports = ports
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.said = folder / "stderr.txt"
        command = self.command(repository, model)
        for service, port in zip(("http", "grpc", "metrics", "health"), ports, strict=True):
            command.append(f"--{service}-port={port}")
        with self.said.open("wb") as errors:
            self.process = subprocess.Popen(
                command,
                cwd=PROJECT_ROOT,
                env=os.environ | {"TMPDIR": str(self.temporary)} | self.environment(),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.family: list[psutil.Process] = []
        self.regions: set[Path] = set()

    def command(self, repository: Path, model: str | None) -> list[str]:
        command = [sys.executable, "-m", "peopleseg.cli.main", "serve"]
        command += ["--model-repository", str(repository)]
        command += ["--load-model", model] if model else []
        return [*command, "--log-file", str(self.folder / "triton.log")]

    def environment(self) -> dict[str, str]:
        """What is other than in the environment of the tests."""
        return {}

    def wait_for_ready_line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()  # returns at once if the process ends
        assert line.startswith("ready:"), self.said.read_text()
        self.look()
        return line

    def look(self) -> None:
        """Note the processes and the shared memory that there are now, while `serve` runs."""
        if self.process.poll() is not None:
            return
        self.family = psutil.Process(self.process.pid).children(recursive=True)
        self.regions = guard.shared_memory_regions(process.pid for process in self.family)

    def find(self, name: str) -> psutil.Process:
        """The process whose first arguments end in the name."""
        return next(
            process
            for process in self.family
            if any(Path(part).name == name for part in process.cmdline()[:3])
        )

    def exit_code(self) -> int:
        return self.process.wait(EXIT_LIMIT_S)

    def close(self) -> None:
        self.process.terminate()  # not killed at once: it should clean up after a failed test
        try:
            self.process.wait(EXIT_LIMIT_S)
        except subprocess.TimeoutExpired:
            for process in filter(runs, [*self.family, psutil.Process(self.process.pid)]):
                process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.ports[HTTP]}"

    def told(self, path: str) -> tuple[int, Any]:
        """Status and JSON of the health port; (0, None) while nobody is there."""
        try:
            url = f"http://127.0.0.1:{self.ports[HEALTH]}{path}"
            with urllib.request.urlopen(url, timeout=30) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        except OSError:
            return 0, None

    def counted(self, metric: str) -> dict[str, int]:
        """By label, a metric of the health port."""
        url = f"http://127.0.0.1:{self.ports[HEALTH]}/metrics"
        with urllib.request.urlopen(url, timeout=30) as response:
            lines = response.read().decode().splitlines()
        own = [line for line in lines if line.startswith(f"peopleseg_{metric}_total")]
        return {of: int(count.strip("} ")) for _, of, count in (line.split('"') for line in own)}


def assert_nothing_is_left(serve: Serve) -> None:
    """No process, no shared memory, no runtime folder, within the limit."""
    deadline = time.monotonic() + EXIT_LIMIT_S
    while left := what_is_left(serve):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def what_is_left(serve: Serve) -> list[str]:
    return [
        *(str(process) for process in serve.family if runs(process)),
        *(str(region) for region in serve.regions if region.exists()),
        *(str(folder) for folder in serve.temporary.glob("peopleseg-*")),
    ]


def runs(process: psutil.Process) -> bool:
    try:  # a zombie has ended; it only waits for somebody to read its status
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def echo(http_url: str, values: list[float]) -> list[float]:
    number = {"name": "number", "datatype": "FP32", "shape": [len(values)], "data": values}
    request = urllib.request.Request(
        f"{http_url}/v2/models/tiny/infer", json.dumps({"inputs": [number]}).encode()
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)["outputs"][0]["data"]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READY_LIMIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
