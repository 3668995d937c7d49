"""kill -9 of a release at every stage, of the server in the middle of one, and of both."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from conversion.release import candidates
from conversion.release.candidates import request_for
from conversion.release.operations import Place, release, rollback
from conversion.release.server import ModelControl
from peopleseg.releases import disk, journal
from peopleseg.releases.errors import ReleaseError
from peopleseg.releases.journal import Journal
from peopleseg.releases.plan import current_versions, kept_together, loaded_versions
from peopleseg.systems.known import STEPS
from peopleseg.systems.people.system import PEOPLE
from serving.embedded import EmbeddedServer
from tests.server.callers import assert_served_whole, calling
from tests.server.conftest import READY_TIMEOUT_S
from tests.server.telling import (
    ENSEMBLES_SERVED,
    IMAGE,
    TellingExaminer,
    expected,
    make_repository,
    new_version,
    server_of,
    told,
)

pytestmark = pytest.mark.server

BEFORE_THE_DECISION = ("started", "checked", "measured", "loaded", "candidates", "compared")
AFTER_IT = (
    "decided",
    "policies written",
    *(f"{ensemble} written" for ensemble in ENSEMBLES_SERVED),
    "swapped",
    "verified",
    "retired",
)
CHANGED = ("people_unet", "preprocess")  # which every ensemble has


def killed(repository: Path, url: str, stage: str, *command: str) -> None:
    """Run a command that is killed at the end of a stage."""
    arguments = [sys.executable, "-m", "tests.server.telling", str(repository), url, stage]
    ended = subprocess.run([*arguments, *command], capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert ended.stdout.splitlines()[-1] == stage


def changes(repository: Path) -> tuple[dict[str, int], list[str]]:
    """New versions of the steps that change, also as a command line has them."""
    versions = {step: new_version(repository, step) for step in CHANGED}
    return versions, [f"{step}={version}" for step, version in versions.items()]


@pytest.mark.parametrize("stage", BEFORE_THE_DECISION + AFTER_IT)
def test_a_release_killed_at_any_stage_leaves_one_release_whole_and_is_finished_by_repeating_it(
    repository: Path, telling: EmbeddedServer, stage: str
) -> None:
    old = current_versions(repository, PEOPLE)
    changed, arguments = changes(repository)
    new = old | changed
    name = stage.replace(" ", "-")
    with calling(telling.grpc_url) as callers, ModelControl(telling.grpc_url) as control:
        killed(repository, telling.grpc_url, stage, "release", name, *arguments)
        callers.wait_for_calls(20)
        at_next_start = what_a_server_would_start_with(repository)
        record = release(Place(PEOPLE, repository, control, TellingExaminer()), name, changed)
        assert_clean(repository, control, new, record.kept)
    assert_served_whole(callers, old, new)
    assert at_next_start == (old if stage in BEFORE_THE_DECISION else new)
    assert record.result == journal.SERVING and record.name == name


@pytest.mark.parametrize("stage", ["started", "decided", "swapped"])
def test_a_killed_rollback_is_finished_by_repeating_it(
    repository: Path, telling: EmbeddedServer, stage: str
) -> None:
    old = current_versions(repository, PEOPLE)
    changed, _ = changes(repository)
    with ModelControl(telling.grpc_url) as control:
        place = Place(PEOPLE, repository, control, TellingExaminer())
        released = release(place, f"taken-back-at-{stage}", changed)
        with calling(telling.grpc_url) as callers:
            killed(repository, telling.grpc_url, stage, "rollback")
            callers.wait_for_calls(20)
            repeated = rollback(place)
            assert_clean(repository, control, old, kept_together(old, released.versions))
        assert_served_whole(callers, released.versions, old)
    assert repeated.versions == old, "not one release further back"


@pytest.mark.parametrize(
    "stage",
    [
        "loaded",
        "person_segmentation written",
        *(pytest.param(stage, marks=pytest.mark.slow) for stage in ("decided", "swapped")),
    ],
)
def test_after_the_server_is_killed_in_a_release_one_release_serves_whole(
    tmp_path: Path, stage: str
) -> None:
    repository = tmp_path / "repository"
    make_repository(repository)
    old = current_versions(repository, PEOPLE)
    changed, _ = changes(repository)
    with server_of(repository) as server:
        server.wait_until_ready(READY_TIMEOUT_S)

        def kill_at(reached: str) -> None:
            if reached == stage:
                assert server.pid is not None
                os.kill(server.pid, signal.SIGKILL)

        with ModelControl(server.grpc_url) as control:
            with pytest.raises(ReleaseError):
                release(
                    Place(PEOPLE, repository, control, TellingExaminer(), kill_at), "new", changed
                )
    assert Journal(repository).attempts()[-1].result == journal.REFUSED
    assert_starts_and_is_finished(repository, old, changed)


@pytest.mark.parametrize("stage", ["loaded", "people_foreground written"])
def test_after_release_and_server_are_killed_one_release_serves_whole(
    tmp_path: Path, stage: str
) -> None:
    repository = tmp_path / "repository"
    make_repository(repository)
    old = current_versions(repository, PEOPLE)
    changed, arguments = changes(repository)
    with server_of(repository) as server:
        server.wait_until_ready(READY_TIMEOUT_S)
        killed(repository, server.grpc_url, stage, "release", "new", *arguments)
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
    serving = old if stage in BEFORE_THE_DECISION else old | changed
    assert_starts_and_is_finished(repository, serving, changed)


def assert_starts_and_is_finished(
    repository: Path, serving: Mapping[str, int], changed: Mapping[str, int]
) -> None:
    """A new server serves those versions; the release, repeated, serves the changed ones."""
    disk.recover(repository)
    with server_of(repository) as server:
        server.wait_until_ready(READY_TIMEOUT_S)
        with ModelControl(server.grpc_url) as control:
            assert_responses_with(control, serving)
            record = release(Place(PEOPLE, repository, control, TellingExaminer()), "new", changed)
            assert_clean(repository, control, {**serving, **changed}, record.kept)


def assert_clean(
    repository: Path,
    control: ModelControl,
    versions: Mapping[str, int],
    kept: Mapping[str, list[int]],
) -> None:
    """Server and disk agree, and nothing is left over of what was killed."""
    assert_responses_with(control, versions)
    assert current_versions(repository, PEOPLE) == versions
    loaded = {step: sorted(found) for step, found in control.loaded().items() if step in STEPS}
    assert loaded == kept
    policies = {step: loaded_versions(repository / step / "config.pbtxt") for step in kept}
    assert policies == kept
    assert [name for name in candidates.IN_MEMORY if control.config(name) is not None] == []
    assert list(repository.glob(".*.prepared")) == []


def assert_responses_with(control: ModelControl, versions: Mapping[str, int]) -> None:
    for ensemble in ENSEMBLES_SERVED:
        response = control.ask(request_for(ensemble, IMAGE))
        assert told(ensemble, response) == expected(ensemble, versions)


def what_a_server_would_start_with(repository: Path) -> dict[str, int]:
    """The versions pinned on disk after the mending before a start; all of them loaded then."""
    copy = repository.parent / "copy"
    shutil.copytree(repository, copy, ignore=shutil.ignore_patterns("model.py", ".release.lock"))
    try:
        disk.recover(copy)
        versions = current_versions(copy, PEOPLE)
        for step, version in versions.items():
            assert version in loaded_versions(copy / step / "config.pbtxt")
        return versions
    finally:
        shutil.rmtree(copy)
