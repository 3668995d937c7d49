"""The commands and the pins of the project, without running an installation."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from peopleseg.pixels.examples import example_images
from serving.demo import with_examples
from serving.errors import ServerStartError
from serving.triton_wheel import find_triton

PINNED = ("steps.txt", "serve.txt", "plots.txt", "torch.txt", "test.txt", "load.txt")


def make(root: Path, *arguments: str) -> str:
    # These tests run under `make test`, whose own flags and variables must not reach them.
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", *arguments], cwd=root, env=env, capture_output=True, text=True, check=True
    )
    return done.stdout


def pins(path: Path) -> Iterator[tuple[str, str]]:
    """(name, version) of every requirement in a file."""
    for line in path.read_text().splitlines():
        requirement = line.partition("#")[0].partition(";")[0].strip()
        if requirement and not requirement.startswith("-r"):
            name, version = requirement.split("==")
            yield name, version


@pytest.fixture
def fake_venv(tmp_path: Path) -> Path:
    """A folder that looks set up to make; its python notes how it is called."""
    folder = tmp_path / "venv"
    (folder / "bin").mkdir(parents=True)
    python = folder / "bin" / "python"
    python.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path / "calls"}\n')
    python.chmod(0o755)
    return folder


def test_make_alone_lists_every_target_and_each_is_phony(root):
    listed = re.findall(r"^  make (\S+)", make(root), flags=re.MULTILINE)
    text = (root / "Makefile").read_text()
    targets = re.findall(r"^([a-z-]+):", text, flags=re.MULTILINE)
    phony = re.findall(r"^\.PHONY: (\S+)$", text, flags=re.MULTILINE)
    assert sorted(listed) == sorted(targets) == sorted(phony)
    assert {"demo", "serve", "test", "lint"} < set(targets)


def test_demo_takes_the_users_images_and_folder(root):
    commands = make(root, "-n", "demo", "IMAGES=a.jpg folder/", "OUT=results")
    assert '-m serving.demo segment a.jpg folder/ --out "results"' in commands
    assert "torch" not in commands


def test_evaluate_writes_a_report_beside_the_metrics_and_needs_no_torch(root, tmp_path):
    commands = make(root, "-n", "evaluate", "OUT=results", f"VENV={tmp_path / 'none'}")
    assert '--json "results/accuracy.json" --report "results/report"' in commands
    assert "-r requirements/plots.txt" in commands and "torch" not in commands


def test_serve_passes_its_ports(root):
    commands = make(root, "-n", "serve", "HOST=0.0.0.0", "GRPC_PORT=9001")
    assert "--host 0.0.0.0" in commands and "--grpc-port 9001" in commands
    assert "--http-port 8000" in commands and "--metrics-port 8002" in commands
    assert "--health-port 8003" in commands


def test_set_up_runs_once_and_again_when_the_pins_changed(root, fake_venv, tmp_path):
    calls = tmp_path / "calls"
    stamp = fake_venv / ".serve"
    make(root, str(stamp), f"VENV={fake_venv}")
    installs = calls.read_text().splitlines()
    assert len(installs) == 2 and "-r requirements/serve.txt" in installs[0]
    assert "--no-deps" in installs[0] and "--editable ." in installs[1]

    make(root, str(stamp), f"VENV={fake_venv}")
    assert calls.read_text().splitlines() == installs

    os.utime(stamp, (0, 0))  # older than the pins
    make(root, str(stamp), f"VENV={fake_venv}")
    assert len(calls.read_text().splitlines()) == 4


def test_the_target_is_there_that_is_named_where_the_server_is_missing(root, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ServerStartError, match=r"run `make \S+`") as missing:
        find_triton()
    (target,) = re.findall(r"`make (\S+)`", str(missing.value))
    make(root, "-n", target)


def test_a_failed_installation_is_tried_again(root, fake_venv):
    (fake_venv / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    stamp = fake_venv / ".serve"
    with pytest.raises(subprocess.CalledProcessError):
        make(root, str(stamp), f"VENV={fake_venv}")
    assert not stamp.exists()


def test_torch_is_installed_with_its_dependencies_under_the_other_pins(root, tmp_path):
    commands = make(root, "-n", "test", f"VENV={tmp_path / 'none'}")
    (torch,) = [line for line in commands.splitlines() if "requirements/torch.txt" in line]
    assert "--no-deps" not in torch
    for others in ("serve", "plots", "test"):
        assert f"-c requirements/{others}.txt" in torch


def test_ci_runs_lint_and_test(root):
    script = root / ".ci" / "run"
    assert os.access(script, os.X_OK)
    lines = script.read_text().splitlines()
    assert "set -euo pipefail" in lines
    assert [line for line in lines if line.startswith("make")] == ["make lint", "make test"]


@pytest.mark.parametrize("name", PINNED)
def test_every_requirement_is_pinned_without_addresses(name, root):
    path = root / "requirements" / name
    assert len(list(pins(path))) > 5
    for package, version in pins(path):
        assert re.fullmatch(r"[a-z0-9-]+", package), package
        assert re.fullmatch(r"[0-9][0-9.]*", version), version
    assert "://" not in path.read_text() and "index" not in path.read_text()


def test_no_package_is_pinned_twice_and_serving_needs_no_torch(root):
    files = [dict(pins(root / "requirements" / name)) for name in PINNED]
    names = [name for file in files for name in file]
    assert len(names) == len(set(names))
    steps, serve, plots, torch, *_ = files
    assert "torch" in torch and not {"torch", "torchvision", "timm"} & {*steps, *serve, *plots}
    assert "-r steps.txt" in (root / "requirements" / "serve.txt").read_text().splitlines()


def test_the_pythons_of_pyproject_and_of_the_check_agree(root):
    assert 'requires-python = ">=3.10"' in (root / "pyproject.toml").read_text()
    check = (root / "requirements" / "check_python.py").read_text()
    assert "OLDEST, NEWEST = (3, 10), (3, 12)" in check


def test_the_python_that_runs_the_tests_is_suitable(root):
    check = [sys.executable, str(root / "requirements" / "check_python.py")]
    done = subprocess.run(check, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_unsuitable_pythons_are_listed_with_the_reason(root, tmp_path):
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\necho its version is 3.9\nexit 1\n")
    python.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", str(root / "requirements" / "make_venv.sh"), str(tmp_path / "venv")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "needs Python 3.10 to 3.12 on glibc 2.35 or newer" in done.stderr
    assert f"{python}: its version is 3.9" in done.stderr
    assert "make PYTHON=" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_a_named_python_is_used_or_refused_but_not_replaced(root, tmp_path):
    done = subprocess.run(
        ["/bin/sh", str(root / "requirements" / "make_venv.sh"), str(tmp_path / "venv"), "python9"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "there is no python9 on the PATH" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_the_examples_are_in_the_wheel_and_taken_without_images():
    examples = example_images()
    assert len(examples) == 3 and all(path.is_file() for path in examples)
    paths = [str(path) for path in examples]
    assert with_examples(["segment", "--out", "x"]) == ["segment", *paths, "--out", "x"]
    assert with_examples(["segment"]) == ["segment", *paths]
    assert with_examples(["segment", "a.jpg", "--out", "x"]) == ["segment", "a.jpg", "--out", "x"]
    assert with_examples(["evaluate", "--images", "x"]) == ["evaluate", "--images", "x"]
