"""A version folder is complete or not there: after kill -9 at any stage, and on a full disk."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from peopleseg.repository.manifest import WEIGHTS, Manifest
from peopleseg.repository.version_folder import (
    SCRATCH_PREFIX,
    newest_version,
    publish,
    scratch_folder,
)
from tests.export.networks import checkpoint, people_unet

# Exports in a child process for each stage, which kills itself when that begins (an index), or
# before or behind the rename of the folder.
KILLED = """
import json, os, signal, sys
from pathlib import Path
from conversion.export import exporter
from conversion.export.settings import Settings
from peopleseg.repository import version_folder

source, images, root = sys.argv[1], [Path(name) for name in json.loads(sys.argv[2])], sys.argv[3]
settings = Settings(check_pinned_runtime=False)
rename = os.rename

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def run(repository, stage):
    seen = []
    def on_stage(name):
        if stage == len(seen):
            die()
        seen.append(name)
    def rename_or_die(*paths):
        if stage == "before":
            die()
        rename(*paths)
        if stage == "behind":
            die()
    version_folder.os.rename = rename_or_die
    exporter.export(Path(source), images, settings, repository=repository, on_stage=on_stage)

def is_killed(stage):
    child = os.fork()
    if child == 0:
        run(Path(root) / str(stage), stage)
        os._exit(0)
    killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
    print(stage, killed, flush=True)
    return killed

stage = 0
while is_killed(stage):
    stage += 1
is_killed("before")
is_killed("behind")
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("c") / "unet.ckpt", people_unet("b0", shrink=16))


def whole(version: Path) -> None:
    manifest = Manifest.read(version)
    manifest.verify(version)
    files = {manifest.artifact, WEIGHTS, "manifest.json"}
    assert {path.name for path in version.iterdir()} == files


def test_killed_at_any_stage_it_leaves_a_whole_version_or_none(
    source: Path, images: list[Path], tmp_path: Path, root: Path
) -> None:
    command = [
        sys.executable,
        "-c",
        KILLED,
        str(source),
        json.dumps([str(p) for p in images[:1]]),
    ]
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run(
        [*command, str(tmp_path)], env=environment, capture_output=True, text=True, check=True
    )
    outcome = dict(line.split() for line in done.stdout.splitlines())
    killed = [stage for stage, was_killed in outcome.items() if was_killed == "True"]
    assert len(killed) >= 8, killed  # the stages, and around the rename
    assert killed[-2:] == ["before", "behind"]
    for stage in outcome:
        model_folder = tmp_path / stage / "people_unet"
        published = stage not in killed or stage == "behind"
        assert newest_version(model_folder) == int(published)
        if published:
            whole(model_folder / "1")
        elif stage not in ("0", "1"):  # later than the making of the scratch folder
            assert list(model_folder.glob(f"{SCRATCH_PREFIX}*"))
        with scratch_folder(model_folder) as scratch:  # the next export begins
            assert list(model_folder.glob(f"{SCRATCH_PREFIX}*")) == [scratch]


def test_an_export_that_runs_is_left_alone_by_another(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as first:
        (first / "model.onnx").write_text("first")
        with scratch_folder(tmp_path) as second:
            (second / "model.onnx").write_text("second")
            assert publish(second) == tmp_path / "1"
        assert publish(first) == tmp_path / "2"
    assert (tmp_path / "1" / "model.onnx").read_text() == "second"
    assert (tmp_path / "2" / "model.onnx").read_text() == "first"


def test_a_failed_export_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), scratch_folder(tmp_path) as scratch:
        (scratch / "model.onnx").write_text("half")
        raise KeyError("planted")
    assert list(tmp_path.iterdir()) == []


def test_a_version_is_the_next_number_and_readable_by_all(tmp_path: Path) -> None:
    for name in ("1", "3", "9a", "configs", ".export-old"):
        (tmp_path / name).mkdir()
    with scratch_folder(tmp_path) as scratch:
        (scratch / "model.onnx").write_text("x")
        version = publish(scratch)
    assert version.name == "4"
    assert version.stat().st_mode & 0o777 == 0o755


def export_command(source: Path, images: list[Path], repository: Path) -> list[str]:
    command = [sys.executable, "-m", "peopleseg.cli.main", "export", str(source)]
    options = ["--examples", str(images[0].parent), "--model-repository", str(repository)]
    return [*command, "--skip-pinned-runtime", *options]


def test_a_full_disk_is_named_and_nothing_is_left(
    source: Path, images: list[Path], tmp_path: Path, root: Path
) -> None:
    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    done = subprocess.run(
        export_command(source, images, tmp_path),
        cwd=root,
        preexec_fn=little_room,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    last = done.stderr.splitlines()[-1]
    assert "no room to write the version" in last
    assert "nothing was written, make room" in last
    assert [path.name for path in tmp_path.rglob("*")] == ["people_unet"]


def test_ctrl_c_leaves_nothing(
    source: Path, images: list[Path], tmp_path: Path, root: Path
) -> None:
    with subprocess.Popen(
        export_command(source, images, tmp_path), cwd=root, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "tracing" in line:
                process.send_signal(signal.SIGINT)
    assert process.returncode == 130
    assert [path.name for path in tmp_path.rglob("*")] == ["people_unet"]
