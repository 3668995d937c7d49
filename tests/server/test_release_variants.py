"""A step with a config for each accelerator: a release changes the one that the server uses."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from conversion.release.candidates import request_for
from conversion.release.operations import Place, release, rollback
from conversion.release.server import ModelControl
from peopleseg.releases import disk
from peopleseg.releases.plan import current_versions, loaded_versions
from peopleseg.systems.people.system import PEOPLE
from serving.embedded import EmbeddedServer
from tests.server.conftest import READY_TIMEOUT_S
from tests.server.telling import (
    IMAGE,
    OTHER_CONFIG,
    TellingExaminer,
    add_variant,
    expected,
    make_repository,
    new_version,
    server_of,
    told,
)

pytestmark = pytest.mark.server

STEP = "yolov9"
FIRST, FIRST_ENSEMBLE = "feature_head", "person_segmentation_features"
DEFAULT, OTHER = "config.pbtxt", OTHER_CONFIG


@pytest.mark.parametrize(
    ("arguments", "used", "unused"),
    [([], DEFAULT, OTHER), (["--model-config-name=other"], OTHER, DEFAULT)],
    ids=["default", "other"],
)
def test_only_the_config_in_use_changes_and_no_version_is_loaded_twice(
    tmp_path: Path, arguments: Sequence[str], used: str, unused: str
) -> None:
    repository = tmp_path / "repository"
    make_repository(repository)
    add_variant(repository, STEP)
    add_variant(repository, FIRST)
    version = new_version(repository, STEP)

    with started(repository, arguments) as server, ModelControl(server.grpc_url) as control:
        place = Place(PEOPLE, repository, control, TellingExaminer())
        release(place, "new", {STEP: version})
        rollback(place)
        released = rollback(place, "new")
        begun = release(place, "begun", {FIRST: new_version(repository, FIRST)})
        log = server.log_file.read_text(errors="replace")
        assert log.count(f"Initialize: {STEP}_") == 2
        assert log.count(f"Initialize: {FIRST}_") == 1
        response = control.ask(request_for(FIRST_ENSEMBLE, IMAGE))
        assert told(FIRST_ENSEMBLE, response) == expected(FIRST_ENSEMBLE, begun.versions)
        assert loaded_versions(repository / FIRST / used) == [2]
        assert loaded_versions(repository / FIRST / unused) == [1]
    assert loaded_versions(repository / STEP / used) == [2]
    assert loaded_versions(repository / STEP / unused) == [1]

    disk.recover(repository)
    assert loaded_versions(repository / STEP / unused) == [2]
    others = [] if arguments else ["--model-config-name=other"]
    with started(repository, others) as server, ModelControl(server.grpc_url) as control:
        response = control.ask(request_for("person_segmentation", IMAGE))
    wanted = expected("person_segmentation", released.versions)
    assert told("person_segmentation", response) == wanted
    assert current_versions(repository, PEOPLE)[STEP] == 2


@contextmanager
def started(repository: Path, arguments: Sequence[str]) -> Iterator[EmbeddedServer]:
    server = server_of(repository, arguments)
    with server:
        server.wait_until_ready(READY_TIMEOUT_S)
        yield server
