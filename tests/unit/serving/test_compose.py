"""docker-compose.yml and the image it builds, checked without Docker (and with it, where it is)."""

import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from serving.health.readiness import DEADLINE_S
from serving.health.sidecar import READYZ
from serving.running import HEALTH_PORT

IMAGE = "nvcr.io/nvidia/tritonserver"


@pytest.fixture(scope="module")
def compose(root: Path) -> dict:
    return yaml.safe_load((root / "docker-compose.yml").read_text())


@pytest.fixture(scope="module")
def triton(compose: dict) -> dict:
    return compose["services"]["triton"]


@pytest.fixture(scope="module")
def dockerfile(root: Path, triton: dict) -> list[str]:
    """The instructions, continuation lines joined."""
    text = (root / triton["build"]["context"] / triton["build"]["dockerfile"]).read_text()
    lines = (line.strip() for line in text.replace("\\\n", " ").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def options(triton: dict, name: str) -> list[str]:
    """The values that an option of Triton's command has."""
    return [word.split("=", 1)[1] for word in triton["command"] if word.startswith(f"--{name}=")]


def seconds(duration: str) -> int:
    found = re.fullmatch(r"(\d+)s", duration)
    assert found is not None
    return int(found[1])


def test_the_base_image_is_pinned_and_the_same_everywhere(root, triton, dockerfile):
    base = dockerfile[0]
    assert re.fullmatch(rf"FROM {IMAGE}:\d\d\.\d\d-py3", base)
    tag = base.split(":")[1]
    assert triton["image"].split(":")[1] == tag
    readme = root / "README.md"
    if readme.exists():
        assert set(re.findall(rf"{IMAGE}:([\w.-]+)", readme.read_text())) <= {tag}


def test_what_the_dockerfile_copies_exists_and_is_not_ignored(root, dockerfile):
    ignored = (root / ".dockerignore").read_text().splitlines()
    sources = [
        word for line in dockerfile if line.startswith("COPY") for word in line.split()[1:-1]
    ]
    assert "peopleseg" in sources and "requirements/steps.txt" in sources
    for source in sources:
        assert (root / source).exists()
        assert f"!{source.split('/')[0]}" in ignored


def test_the_dockerfile_ends_as_an_unprivileged_user(dockerfile):
    users = [line.split()[1] for line in dockerfile if line.startswith("USER")]
    assert users[-1:] == ["triton-server"]


def test_the_model_repository_is_mounted_where_it_is_served_from(root, triton):
    (mount,) = triton["volumes"]
    source, target = mount.split(":")
    assert (root / source).is_dir()
    assert triton["command"][0] == target


def test_what_serves_is_chosen_by_the_repository_alone(triton, dockerfile):
    assert options(triton, "model-control-mode") == ["explicit"]
    assert options(triton, "load-model") == []
    assert "--disable-auto-complete-config" in triton["command"]
    (entrypoint,) = (line for line in dockerfile if line.startswith("ENTRYPOINT"))
    module = entrypoint.rpartition('"-m", "')[2].removesuffix('"]')
    assert find_spec(module) is not None


def test_the_health_check_asks_whether_every_system_answers(triton):
    check = triton["healthcheck"]
    assert check["test"][0] == "CMD"
    assert check["test"][-1] == f"http://localhost:{HEALTH_PORT}{READYZ}"
    assert seconds(check["timeout"]) > DEADLINE_S
    assert seconds(check["timeout"]) < seconds(check["interval"])
    assert check["retries"] >= 2 and seconds(check["start_period"]) > 0


def test_ports_are_open_to_this_machine_only_unless_asked(triton):
    assert [port.rpartition("}:")[2] for port in triton["ports"]] == [
        "8000:8000",
        "8001:8001",
        "8002:8002",
        f"{HEALTH_PORT}:{HEALTH_PORT}",
    ]
    assert all(port.startswith("${PEOPLESEG_BIND:-127.0.0.1}:") for port in triton["ports"])
    assert triton["environment"]["PEOPLESEG_BIND"] == "${PEOPLESEG_BIND:-127.0.0.1}"
    assert triton["environment"]["PEOPLESEG_ADMIN_KEY"] == "${PEOPLESEG_ADMIN_KEY:-}"


def test_the_service_is_fit_for_production(triton):
    assert triton["environment"]["PYTHONDONTWRITEBYTECODE"] == "1"
    assert triton["restart"] == "unless-stopped"
    assert re.fullmatch(r"\d+gb", triton["shm_size"])
    (exit_timeout,) = options(triton, "exit-timeout-secs")
    assert seconds(triton["stop_grace_period"]) > int(exit_timeout)


def test_docker_accepts_the_file(root):
    docker = shutil.which("docker")
    if (
        docker is None
        or subprocess.run([docker, "compose", "version"], capture_output=True).returncode
    ):
        pytest.skip("no docker with compose on this machine")
    done = subprocess.run(
        [docker, "compose", "config", "--quiet"], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
