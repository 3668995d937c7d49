"""Four clients call without pause while releases come and go: no failure, no mixed response."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from conversion.release import candidates
from conversion.release.candidates import request_for
from conversion.release.operations import Place, release, rollback
from conversion.release.server import ModelControl
from conversion.release.settle import load_versions
from peopleseg.releases import journal
from peopleseg.releases.errors import Refused, ReleaseError
from peopleseg.releases.journal import Journal
from peopleseg.releases.plan import current_versions, kept_together
from peopleseg.systems.known import STEPS
from peopleseg.systems.people.system import PEOPLE
from serving.embedded import EmbeddedServer
from tests.server.callers import assert_served_whole, calling, latencies_ms, release_of
from tests.server.conftest import READY_TIMEOUT_S
from tests.server.telling import (
    IMAGE,
    MODEL,
    TellingExaminer,
    expected,
    make_repository,
    new_version,
    server_of,
    told,
)

pytestmark = pytest.mark.server

ROLLBACK_LIMIT_MS = 100.0

RAISES = MODEL.replace("self.place = ", 'raise RuntimeError("no weights")\n        self.place = ')
SLOW = MODEL.replace("self.place = ", "__import__('time').sleep(2)\n        self.place = ")
WRONG_SHAPE = MODEL.replace("shape = self.shape(", "shape = self.misshape(").replace(
    "    def shape(self, dims):",
    "    def misshape(self, dims):\n"
    "        return [3, 2, *self.shape(dims)[2:]]\n\n"
    "    def shape(self, dims):",
)
CORRUPT = "\x00\x01 not a model"


@pytest.fixture
def control(telling: EmbeddedServer) -> Iterator[ModelControl]:
    with ModelControl(telling.grpc_url) as control:
        yield control


@pytest.fixture
def place(repository: Path, control: ModelControl) -> Place:
    return Place(PEOPLE, repository, control, TellingExaminer())


def test_a_response_made_by_two_releases_is_seen_as_such(
    repository: Path, control: ModelControl
) -> None:
    old = current_versions(repository, PEOPLE)
    new = old | {"roi_align": new_version(repository, "roi_align")}
    load_versions(repository, control, "roi_align", [old["roi_align"], new["roi_align"]])
    config = text_format.Parse(
        (repository / "person_segmentation" / "config.pbtxt").read_text(),
        model_config_pb2.ModelConfig(),
    )
    config.name = "mixed"
    for step in config.ensemble_scheduling.step:
        step.model_version = new[step.model_name]
    control.load_in_memory(config)
    response = control.ask(request_for("person_segmentation", IMAGE)._replace(model_name="mixed"))
    control.unload("mixed")
    load_versions(repository, control, "roi_align", [old["roi_align"]])
    found = told("person_segmentation", response)
    every_step_new = {step: version + 1 for step, version in old.items()}
    assert found == expected("person_segmentation", new)
    assert found != expected("person_segmentation", old)
    assert found != expected("person_segmentation", every_step_new)


def test_a_release_of_every_step_and_its_rollback_cost_no_request(
    place: Place, telling: EmbeddedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    old = current_versions(place.repository, PEOPLE)
    new = {step: new_version(place.repository, step) for step in old}
    moments: dict[str, float] = {}

    def on_stage(stage: str) -> None:
        moments.setdefault(stage, time.perf_counter())

    timed = Place(PEOPLE, place.repository, place.control, place.examiner, on_stage)
    with calling(telling.grpc_url) as callers:
        released = release(timed, "every-step", new, why="to see")
        callers.wait_for_calls(100)
        rolled_back = rollback(place)
    assert_served_whole(callers, old, new)
    assert released.versions == new and released.why == "to see"
    assert rolled_back.versions == old == current_versions(place.repository, PEOPLE)
    # Printed below; ten times as much would be another way of swapping, not a busy machine.
    assert rolled_back.swap_ms is not None and rolled_back.swap_ms <= 10 * ROLLBACK_LIMIT_MS

    begin, end = moments["decided"], moments["verified"]
    swapping = [call for call in callers.calls if call.begin < end and call.end > begin]
    steady = [call for call in callers.calls if call.end < moments["started"]]
    p99 = sorted(latencies_ms(steady))[int(len(steady) * 0.99)]
    with capsys.disabled():
        print(
            f"\n{len(callers.calls)} requests; steady p99 {p99:.0f} ms of {len(steady)}, "
            f"worst during the swap {latencies_ms(swapping).max():.0f} ms of {len(swapping)}; "
            f"the release took effect in {released.swap_ms:g} ms, "
            f"the rollback in {rolled_back.swap_ms:g} ms (limit {ROLLBACK_LIMIT_MS:g})"
        )


def test_after_a_release_its_versions_and_those_before_are_loaded_and_no_others(
    place: Place, control: ModelControl
) -> None:
    first = current_versions(place.repository, PEOPLE)
    second = first | {"yolov9": new_version(place.repository, "yolov9")}
    third = second | {"yolov9": new_version(place.repository, "yolov9")}
    release(place, "second", {"yolov9": second["yolov9"]})
    assert steps_loaded(control) == as_sets(kept_together(first, second))
    release(place, "third", {"yolov9": third["yolov9"]})
    assert steps_loaded(control) == as_sets(kept_together(second, third))
    rollback(place)
    assert steps_loaded(control) == as_sets(kept_together(second, third))


@pytest.mark.parametrize(
    ("step", "model", "reason"),
    [
        ("yolov9", CORRUPT, "yolov9 does not load"),
        ("hierarchical_head", WRONG_SHAPE, "unexpected shape for input"),
        ("people_unet", RAISES, "no weights"),
    ],
    ids=["corrupt", "wrong shape", "raises on load"],
)
def test_a_bad_release_is_refused_with_its_reason_and_costs_no_request(
    place: Place,
    telling: EmbeddedServer,
    control: ModelControl,
    step: str,
    model: str,
    reason: str,
) -> None:
    old = current_versions(place.repository, PEOPLE)
    loaded = steps_loaded(control)
    files = configs(place.repository)
    bad = new_version(place.repository, step, model)
    good = new_version(place.repository, "select_people")
    with calling(telling.grpc_url) as callers:
        with pytest.raises(Refused, match=reason):
            release(place, f"bad-{step}", {step: bad, "select_people": good})
    assert_served_whole(callers, old)
    assert configs(place.repository) == files
    assert steps_loaded(control) == loaded
    assert all(control.config(name) is None for name in candidates.IN_MEMORY)
    record = Journal(place.repository).attempts()[-1]
    assert record.result == journal.REFUSED and reason in record.reason
    assert current_versions(place.repository, PEOPLE) == old


@pytest.mark.parametrize(
    ("model", "reason"),
    [(RAISES, "feature_head does not load"), (WRONG_SHAPE, "mask_logits")],
    ids=["raises on load", "wrong shape"],
)
def test_the_first_release_of_a_step_leaves_nothing_when_it_is_refused(
    place: Place, control: ModelControl, model: str, reason: str
) -> None:
    loaded = steps_loaded(control)
    assert "feature_head" not in loaded
    files = configs(place.repository)
    bad = new_version(place.repository, "feature_head", model)
    with pytest.raises(Refused, match=reason):
        release(place, f"bad-feature-head-{bad}", {"feature_head": bad})
    assert configs(place.repository) == files
    assert steps_loaded(control) == loaded


def test_a_release_that_is_slow_to_load_costs_no_request(
    place: Place, telling: EmbeddedServer
) -> None:
    old = current_versions(place.repository, PEOPLE)
    new = old | {"people_unet": new_version(place.repository, "people_unet", SLOW)}
    with calling(telling.grpc_url) as callers:
        release(place, "slow", {"people_unet": new["people_unet"]})
    assert_served_whole(callers, old, new)


def test_a_release_whose_answers_are_not_those_of_the_gate_is_refused(
    place: Place, control: ModelControl
) -> None:
    class Elsewhere(TellingExaminer):
        def responses(self, versions, ensemble):  # type: ignore[no-untyped-def]
            return super().responses({**versions, "postprocess": 99}, ensemble)

    old = current_versions(place.repository, PEOPLE)
    version = new_version(place.repository, "postprocess")
    with pytest.raises(Refused, match="otherwise on the server than in one process"):
        release(
            Place(PEOPLE, place.repository, control, Elsewhere()),
            "unlike",
            {"postprocess": version},
        )
    assert current_versions(place.repository, PEOPLE) == old
    response = control.ask(request_for("person_segmentation", IMAGE))
    assert told("person_segmentation", response) == expected("person_segmentation", old)


def test_an_ensemble_appears_with_its_first_release_and_goes_with_its_rollback(
    place: Place, control: ModelControl
) -> None:
    name = "person_segmentation_features"
    record = release(place, "by-features", {"feature_head": 1})
    assert record.ensembles == [name]
    response = control.ask(request_for(name, IMAGE))
    assert told(name, response) == expected(name, record.versions)
    assert record.versions["roi_align_features"] == 1
    rollback(place)
    assert control.config(name) is None
    assert not (place.repository / name).exists()
    rollback(place, "by-features")
    assert told(name, control.ask(request_for(name, IMAGE))) == expected(name, record.versions)
    rollback(place)
    after = release(place, "after", {"yolov9": new_version(place.repository, "yolov9")})
    assert steps_loaded(control) == as_sets(after.kept), "none of an ensemble that is no more"


def test_a_release_that_is_already_served_is_not_repeated(place: Place) -> None:
    version = new_version(place.repository, "roi_align")
    first = release(place, "once", {"roi_align": version})
    lines = Journal(place.repository).path.read_text()
    assert release(place, "once", {"roi_align": version}) == first
    assert Journal(place.repository).path.read_text() == lines


def test_what_a_server_does_not_serve_is_not_released_into_it(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    make_repository(repository)
    files = configs(repository)
    version = new_version(repository, "hierarchical_head")
    with server_of(repository, models=["people_foreground"]) as server:
        server.wait_until_ready(READY_TIMEOUT_S)
        with ModelControl(server.grpc_url) as control:
            place = Place(PEOPLE, repository, control, TellingExaminer())
            with pytest.raises(ReleaseError, match="serves none of person_segmentation, person"):
                release(place, "unseen", {"hierarchical_head": version})
            record = release(place, "seen", {"people_unet": new_version(repository, "people_unet")})
    assert record.ensembles == ["people_foreground"]
    assert configs(repository) != files


def test_release_of_a_call_tells_mixed_answers_from_whole_ones() -> None:
    from tests.server.callers import Call

    versions = dict.fromkeys(("preprocess", "people_unet", "postprocess_foreground"), 1)
    call = Call("people_foreground", 0, 1, versions, "")
    assert release_of(call, [versions]) == 0
    mixed = call._replace(told=versions | {"people_unet": 2})
    assert release_of(mixed, [versions, dict.fromkeys(versions, 2)]) not in (0, 1)


def steps_loaded(control: ModelControl) -> dict[str, set[int]]:
    return {name: versions for name, versions in control.loaded().items() if name in STEPS}


def as_sets(kept: dict[str, list[int]]) -> dict[str, set[int]]:
    return {step: set(versions) for step, versions in kept.items()}


def configs(repository: Path) -> dict[str, str]:
    return {str(path): path.read_text() for path in repository.rglob("*.pbtxt")}
