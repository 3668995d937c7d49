"""Points first, texts released on top, another chooser under load: beside people and semantic."""

import json
from pathlib import Path

import numpy as np
import pytest

from conversion.release import release_command, rollback_command, status_command
from conversion.step_version import new_step_version
from peopleseg import SegmentationClient
from peopleseg.cli import find_command
from peopleseg.client.errors import RequestRejected, ServerUnavailable
from peopleseg.repository.triton_config import CONFIG_FILE
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.referring.contract import REFERRING_PERSON
from peopleseg.systems.semantic.contract import SEMANTIC_SEGMENTATION
from serving.embedded import EmbeddedServer
from tests.commands import run
from tests.data import small_deeplab
from tests.data.small_referring import (
    FIRST,
    two_people,
    write_person_chooser,
    write_prompted,
    write_referring_repository,
    write_text_encoder,
)
from tests.server.asking import Askers

pytestmark = pytest.mark.server

MADE = two_people()
LEFT, RIGHT = range(2)  # of the people of MADE
TEXTS = FIRST[-2:]  # what a release of points alone lacks
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """People; the semantic system's first release; the referring system's, of points alone."""
    made = write_referring_repository(
        tmp_path_factory.mktemp("releases") / "repository", texts=False
    )
    small_deeplab.write_deeplab(made, 1)
    new_step_version(made, "preprocess", {"size": small_deeplab.SIZE})
    first = ["first", *small_deeplab.FIRST, "--system", "semantic", "--offline"]
    assert run(release_command, *first, "--model-repository", made) == 0
    return made


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The folder of the images, COCO's keypoints, and a file of references."""
    return write_prompted(tmp_path_factory.mktemp("prompted"))


@pytest.fixture
def here(repository: Path, served: EmbeddedServer, data: tuple[Path, Path, Path]) -> list[str]:
    """Options of releases of the referring system, compared on images."""
    place = ["--model-repository", str(repository), "--url", served.grpc_url]
    return ["--system", "referring", "--images", str(data[0]), *place]


def clicked(client: SegmentationClient) -> int:
    """Who is where the one on the left is."""
    (found,) = client.find_at(MADE.image_rgb, [(120, 150)])
    return who(found.box_xyxy)


def said(client: SegmentationClient) -> int:
    """Whom "left" means: the chooser that takes left for right is known by it."""
    (found,) = client.find(MADE.image_rgb, "the one on the left")
    return who(found.box_xyxy)


def seen(client: SegmentationClient) -> int:
    return len(client.segment(MADE.image_rgb))


def classes(client: SegmentationClient) -> tuple[int, ...]:
    return tuple(np.unique(client.classify(MADE.image_rgb).classes).tolist())


def who(box_xyxy: tuple[float, ...]) -> int:
    return int(np.abs(MADE.boxes_xyxy - box_xyxy).max(axis=1).argmin())


OF_OTHERS = {"people": seen, "classes": classes}


def configs_of_others(repository: Path) -> dict[str, str]:
    ensembles = [*(one.name for one in PEOPLE.ensembles), SEMANTIC_SEGMENTATION.name]
    paths = [repository / name / CONFIG_FILE for name in ensembles]
    return {str(path): path.read_text() for path in paths if path.is_file()}


def test_a_release_of_points_alone_says_what_texts_need(
    served: EmbeddedServer,
    data: tuple[Path, Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    with SegmentationClient(served.grpc_url) as client:
        assert clicked(client) == LEFT
        with pytest.raises(ServerUnavailable, match=REFERRING_PERSON.name):
            said(client)
    monkeypatch.setattr(find_command, "READY_TIMEOUT_S", 1.0)
    options = ["--url", served.grpc_url, "--out", tmp_path / "out"]
    image = data[0] / "0.png"
    assert run(find_command, "left", image, *options) == 1
    error = capsys.readouterr().err
    assert "it answers points alone, as by --point" in error and "person_chooser=1" in error
    assert run(find_command, image, "--point", "120,150", *options) == 0


def test_texts_are_released_on_top_while_points_are_answered(
    served: EmbeddedServer, repository: Path, here: list[str]
) -> None:
    write_text_encoder(repository, 1)
    write_person_chooser(repository, 1)
    others = configs_of_others(repository)
    with Askers(served.grpc_url, {"clicked": clicked, **OF_OTHERS}) as askers:
        assert run(release_command, "texts", *TEXTS, *here) == 0
    assert askers.failures == []
    assert {name: set(answers) for name, answers in askers.answers.items()} == {
        "clicked": {LEFT},
        "people": {1},
        "classes": {(0, small_deeplab.PERSON)},
    }
    assert configs_of_others(repository) == others and len(others) == 4
    with SegmentationClient(served.grpc_url) as client:
        assert said(client) == LEFT


def test_another_chooser_comes_and_goes_under_load_without_a_failed_request(
    served: EmbeddedServer, repository: Path, here: list[str], capsys: Capture
) -> None:
    write_person_chooser(repository, 2, mirrored=True)
    others = configs_of_others(repository)
    asks = {"said": said, "clicked": clicked, **OF_OTHERS}
    with Askers(served.grpc_url, asks) as askers:
        assert run(release_command, "mirrored", "person_chooser=2", *here) == 0
        askers.wait_for_more()
        with SegmentationClient(served.grpc_url) as client:
            assert said(client) == RIGHT
        assert run(status_command, "--json", *here[4:]) == 0
        assert run(rollback_command, *here) == 0
    assert askers.failures == []
    assert set(askers.answers.pop("said")) == {LEFT, RIGHT}
    assert {name: set(answers) for name, answers in askers.answers.items()} == {
        "clicked": {LEFT},
        "people": {1},
        "classes": {(0, small_deeplab.PERSON)},
    }
    assert configs_of_others(repository) == others
    with SegmentationClient(served.grpc_url) as client:
        assert said(client) == LEFT
    output = capsys.readouterr().out
    systems = json.loads(output[output.index("{") : output.rindex("}") + 1])["systems"]
    releases = {one["system"]: one["release"] for one in systems}
    assert releases["people"] is None
    assert (releases["semantic"]["name"], releases["referring"]["name"]) == ("first", "mirrored")


def test_errors_of_requests_keep_no_release_from_serving(
    served: EmbeddedServer, here: list[str]
) -> None:
    with SegmentationClient(served.grpc_url) as client:
        for _ in range(8):
            with pytest.raises(RequestRejected, match="is empty"):
                client.find(MADE.image_rgb, " ")
            with pytest.raises(RequestRejected, match="not in the image"):
                client.find_at(MADE.image_rgb, [(-1, 0)])
        assert run(release_command, "once-more", "person_chooser=2", *here) == 0
        assert said(client) == RIGHT
        assert run(rollback_command, *here) == 0
        assert said(client) == LEFT


def test_a_chooser_that_is_worse_on_texts_is_refused(
    served: EmbeddedServer, data: tuple[Path, Path, Path], here: list[str], capsys: Capture
) -> None:
    measured = ["--annotations", data[2]]
    assert run(release_command, "worse", "person_chooser=2", *measured, *here) == 1
    assert "right_person falls from 1.0" in capsys.readouterr().err
    with SegmentationClient(served.grpc_url) as client:
        assert said(client) == LEFT
