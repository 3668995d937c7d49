"""A server that has too little shared memory is not started."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from peopleseg.systems.known import ENSEMBLES
from serving.embedded import EmbeddedServer
from serving.errors import ServerStartError
from serving.ports import free_ports
from serving.shared_memory import MB, check_shared_memory, processes
from tests.server.telling import ENSEMBLES_SERVED, add_variant, make_repository

OWN_MOUNTS = ("unshare", "--user", "--map-root-user", "--mount")
BACKENDS = EmbeddedServer.stub_backends


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    make_repository(tmp_path / "models")
    return tmp_path / "models"


def test_each_instance_of_each_version_that_is_loaded_is_a_process(repository: Path) -> None:
    def count(models: tuple[str, ...] = ENSEMBLES_SERVED, variant: str | None = None) -> int:
        return processes(repository, models, BACKENDS, variant)

    def change(path: Path, old: str, new: str) -> None:
        path.write_text(path.read_text().replace(old, new))

    steps = count()
    assert steps == len(
        {
            use.model.name
            for name in ENSEMBLES_SERVED
            for use in ENSEMBLES[name].uses
            if (repository / name / "config.pbtxt").read_text().count(f'"{use.model.name}"')
        }
    )
    assert count(("people_foreground",)) < steps and count(("yolov9",)) == 1
    assert processes(repository, ENSEMBLES_SERVED, ("other",), None) == 0
    add_variant(repository, "yolov9")
    change(repository / "yolov9" / "configs" / "other.pbtxt", "count: 1", "count: 3")
    assert (count(), count(variant="other")) == (steps, steps + 2)
    change(repository / "preprocess" / "config.pbtxt", "versions: [ 1 ]", "versions: [ 1, 2 ]")
    assert count() == steps + 1
    (repository / "yolov9" / "config.pbtxt").write_text("no config {")
    assert count() == steps


def test_what_is_needed_is_told_with_what_to_do(repository: Path) -> None:
    pool = [f"--backend-config=python,shm-default-byte-size={1 << 50}"]
    check_shared_memory(repository, ENSEMBLES_SERVED, BACKENDS, MB, [])
    with pytest.raises(ServerStartError, match=r"1 processes of steps need \d+ MB.*--shm-size"):
        check_shared_memory(repository, ["yolov9"], BACKENDS, MB, pool)


def test_a_server_with_a_small_shared_memory_is_refused(repository: Path, root: Path) -> None:
    """In a namespace of its own, where it has 16 MB."""
    if subprocess.run([*OWN_MOUNTS, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine lets nobody mount in a namespace of their own")
    log = repository.parent / "triton.log"
    serve = [sys.executable, "-m", "peopleseg.cli.main", "serve", "--log-file", str(log)]
    serve += ["--model-repository", str(repository)]
    for service, port in zip(("http", "grpc", "metrics", "health"), free_ports(4), strict=True):
        serve += [f"--{service}-port", str(port)]
    mounted = "mount -t tmpfs -o size=16m tmpfs /dev/shm && exec " + " ".join(serve)
    done = subprocess.run(
        [*OWN_MOUNTS, "sh", "-c", mounted], cwd=root, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert re.search(r"/dev/shm has 16 MB free, and \d+ processes .* `shm_size:`", done.stderr)
    assert not log.exists()
