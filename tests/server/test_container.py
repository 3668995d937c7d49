"""What the container runs, with the wheel's Triton in the place of the image's, is kept serving."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serving.health.stubs import stubs_of
from serving.triton_wheel import (
    find_triton,
    lay_out_backends,
    lay_out_python,
    server_environment,
)
from tests.server.serve import Serve, assert_nothing_is_left, wait_until
from tests.server.telling import make_repository

pytestmark = pytest.mark.server


class Container(Serve):
    """The container's command, called as compose does."""

    def command(self, repository: Path, model: str | None) -> list[str]:
        command = [sys.executable, "-m", "serving.container", str(repository)]
        command += ["--model-control-mode=explicit", "--disable-auto-complete-config"]
        return [*command, "--exit-timeout-secs=6"]

    def environment(self) -> dict[str, str]:
        return {"PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def lay_out_image(folder: Path) -> None:
    """A program bin/tritonserver that runs as in the image: with its backends and its Python."""
    wheel = find_triton()
    (folder / "image").mkdir()
    (folder / "bin").mkdir()
    backends = lay_out_backends(folder / "image", wheel)
    own = server_environment({"PATH": os.environ["PATH"]}, lay_out_python(folder / "python"))
    exports = "\n".join(f"export {name}='{value}'" for name, value in own.items())
    options = f"--backend-directory={backends} --cache-directory={wheel / 'caches'}"
    options += " --backend-config=python,stub-timeout-seconds=120"
    program = folder / "bin" / "tritonserver"
    binary = wheel / "bin" / "tritonserver"
    program.write_text(f'#!/bin/sh\n{exports}\nexec {binary} "$@" {options}\n')
    program.chmod(0o755)


@pytest.fixture
def container(tmp_path: Path, free_ports: Callable[[int], list[int]]) -> Iterator[Container]:
    """Ready."""
    lay_out_image(tmp_path)
    make_repository(tmp_path / "models")
    container = Container(tmp_path / "models", tmp_path, free_ports(4))
    try:
        wait_until(lambda: is_ready(container) or container.process.poll() is not None)
        assert container.process.poll() is None, container.said.read_text()
        container.look()
        yield container
    finally:
        container.close()


def is_ready(container: Container) -> bool:
    return container.told("/readyz")[0] == 200


def test_a_step_and_triton_that_are_killed_come_back_and_a_stop_leaves_nothing(
    container: Container,
) -> None:
    stubs = stubs_of(container.find("tritonserver").pid)
    os.kill(next(one.pid for one in stubs if one.version.model == "preprocess"), signal.SIGKILL)
    wait_until(lambda: container.counted("heals") == {"preprocess": 1})
    wait_until(lambda: is_ready(container))
    container.find("tritonserver").kill()
    wait_until(lambda: container.counted("restarts") == {"ended": 1})
    wait_until(lambda: is_ready(container))
    container.look()
    assert len(container.regions) > 8
    container.process.terminate()
    assert container.exit_code() == 0
    assert_nothing_is_left(container)
    said = container.said.read_text()
    assert said.count("successfully loaded 'people_foreground'") >= 2, "Triton's own log"


def test_triton_ends_with_the_container(container: Container) -> None:
    container.process.kill()
    assert_nothing_is_left(container)
