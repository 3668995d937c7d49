"""The semantic system on a real server: its answers, its errors, and releases of its own."""

import asyncio
import json
import re
import shlex
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tritonclient.grpc import InferenceServerClient

from conversion.release import release_command, rollback_command, status_command
from peopleseg.cli import check_command
from peopleseg.cli.evaluation import NAME_WIDTH
from peopleseg.cli.main import main
from peopleseg.client.asynchronous import AsyncSegmentationClient
from peopleseg.client.blocking import SegmentationClient
from peopleseg.client.errors import InvalidImage
from peopleseg.pixels.images import decode_image
from peopleseg.repository.triton_config import CONFIG_FILE
from peopleseg.systems.pipeline import Pipeline
from peopleseg.systems.semantic.contract import SEMANTIC_SEGMENTATION, VOC_CLASSES
from peopleseg.systems.semantic.palette import palette
from peopleseg.systems.semantic.system import SYSTEM, of_image
from serving.embedded import EmbeddedServer
from tests.commands import run
from tests.data.encoded import encoded
from tests.data.small_deeplab import (
    FIRST,
    PERSON,
    SIZE,
    SURE,
    UNSURE,
    red_image,
    write_deeplab,
    write_labelled,
    write_semantic_repository,
)
from tests.server.asking import Askers
from tests.server.test_bad_input import BAD_IMAGES

pytestmark = pytest.mark.server

ENSEMBLE = SEMANTIC_SEGMENTATION.name
CAR = VOC_CLASSES.index("car")
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of images and of label maps."""
    return write_labelled(tmp_path_factory.mktemp("semantic_data"))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """People, and the semantic system's first release; deeplab/2 takes people for cars."""
    made = write_semantic_repository(tmp_path_factory.mktemp("semantic") / "repository")
    write_deeplab(made, 2, red_is=CAR)
    first = ["first", *FIRST, "--system", "semantic", "--offline"]
    assert run(release_command, *first, "--model-repository", str(made)) == 0
    return made


@pytest.fixture
def client(served: EmbeddedServer) -> Iterator[SegmentationClient]:
    with SegmentationClient(served.grpc_url) as client:
        yield client


def flat(height: int, width: int, rgb: tuple[int, int, int] = (255, 0, 0)) -> NDArray[np.uint8]:
    return np.full((height, width, 3), rgb, dtype=np.uint8)


def test_classes_areas_and_names_are_those_of_the_image(client: SegmentationClient) -> None:
    image_rgb, labels = red_image()
    found = client.classify(image_rgb)
    assert found.classes.shape == labels.shape and found.classes.dtype == np.uint8
    assert np.mean(found.classes != labels) < 0.03  # pixels of the edge
    assert found.names == VOC_CLASSES
    assert list(found.areas) == list(VOC_CLASSES)
    assert found.areas["person"] == pytest.approx(np.mean(found.classes == PERSON))
    assert sum(found.areas.values()) == pytest.approx(1)
    assert found.confidence is None and found.palette_png is None


def test_confidence_and_palette_come_where_they_are_asked_for(client: SegmentationClient) -> None:
    image_rgb, _ = red_image()
    found = client.classify(image_rgb, confidence=True, palette_png=True)
    assert found.confidence is not None and found.palette_png is not None
    np.testing.assert_array_equal(found.confidence, np.where(found.classes == PERSON, SURE, UNSURE))
    np.testing.assert_array_equal(decode_image(found.palette_png), palette()[found.classes])


def test_what_is_not_asked_for_is_not_computed(
    client: SegmentationClient, served: EmbeddedServer
) -> None:
    def runs() -> list[int]:
        with InferenceServerClient(served.grpc_url) as server:
            steps = ("postprocess_classes", "postprocess_confidence", "classes_to_png")
            found = [server.get_inference_statistics(step).model_stats for step in steps]
        return [sum(stats.inference_count for stats in of_step) for of_step in found]

    image_rgb, _ = red_image()
    counts = [runs()]
    for asked in ({}, {"confidence": True}, {"palette_png": True}):
        client.classify(image_rgb, **asked)
        counts.append(runs())
    assert np.diff(counts, axis=0).tolist() == [[1, 0, 0], [1, 1, 0], [1, 0, 1]]


def test_the_async_client_answers_the_same(served: EmbeddedServer) -> None:
    image_rgb, _ = red_image()

    async def ask() -> list[NDArray[np.uint8]]:
        async with AsyncSegmentationClient(served.grpc_url) as client:
            plain, full = await asyncio.gather(
                client.classify(image_rgb), client.classify(image_rgb, confidence=True)
            )
        assert plain.confidence is None and full.confidence is not None
        return [plain.classes, full.classes]

    with SegmentationClient(served.grpc_url) as client:
        expected = client.classify(image_rgb).classes
    for classes in asyncio.run(ask()):
        np.testing.assert_array_equal(classes, expected)


def test_the_server_answers_as_one_process_does(
    client: SegmentationClient, repository: Path
) -> None:
    image = encoded(red_image()[0])
    expected = Pipeline(SYSTEM, repository).call(ENSEMBLE, of_image(image))
    found = client.call(SEMANTIC_SEGMENTATION, of_image(image))
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.parametrize("fault", BAD_IMAGES)
def test_a_bad_image_is_refused_and_the_next_is_answered(
    client: SegmentationClient, fault: str
) -> None:
    image, reason = BAD_IMAGES[fault]
    with pytest.raises(InvalidImage, match="preprocess: ") as refused:
        client.classify(image)
    assert reason in str(refused.value)
    assert client.classify(flat(4, 4)).areas["person"] == 1


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 7), (4000, 20), (20, 4000), (SIZE, SIZE), (3000, 4000)]
)
def test_an_answer_has_the_size_of_the_image(
    client: SegmentationClient, height: int, width: int
) -> None:
    found = client.classify(flat(height, width), confidence=True)
    assert found.classes.shape == (height, width)
    assert found.confidence is not None and found.confidence.shape == (height, width)
    assert (found.classes == PERSON).all() and found.areas["person"] == 1


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "1"])
def test_grey_and_transparent_images_are_answered(
    client: SegmentationClient, tmp_path: Path, mode: str
) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(flat(9, 13)).convert(mode).save(path)
    expected = PERSON if mode == "RGBA" else 0
    assert (client.classify(path).classes == expected).all()


def test_many_at_a_time_are_answered_as_each_alone(client: SegmentationClient) -> None:
    images = [np.roll(red_image()[0], 7 * number, axis=1) for number in range(8)]
    alone = [client.classify(image).classes for image in images]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda image: client.classify(image).classes, images * 4))
    for expected, found in zip(alone * 4, together, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_segment_draws_and_writes_the_classes(
    served: EmbeddedServer, data: tuple[Path, Path], tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    out = tmp_path / "out"
    asked = ["segment", str(data[0]), str(tmp_path / "broken.png"), "--system", "semantic"]
    assert main([*asked, "--out", str(out), "--url", served.grpc_url]) == 1
    said = capsys.readouterr()
    assert "0.png: background 72%, person 28% -> " in said.out and "broken.png: " in said.err
    drawn = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert drawn == {"0.png", "1.png", "classes/0.png", "classes/1.png", "results.json"}
    results = json.loads((out / "results.json").read_text())
    assert [Path(one["file_name"]).name for one in results] == ["0.png", "1.png"]
    for one in results:
        labels = np.array(Image.open(out / one["label_map"]))
        assert labels.shape == (one["height"], one["width"])
        assert one["areas"]["person"] == pytest.approx(np.mean(labels == PERSON), abs=1e-5)


def test_evaluate_measures_the_classes(
    served: EmbeddedServer, data: tuple[Path, Path], tmp_path: Path, capsys: Capture
) -> None:
    options = ["--images", str(data[0]), "--annotations", str(data[1]), "--url", served.grpc_url]
    files = ["--json", str(tmp_path / "found.json"), "--report", str(tmp_path / "report")]
    assert main(["evaluate", "--system", "semantic", *options, *files]) == 0
    said = capsys.readouterr().out
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["miou_present"] > 0.9 and found["pixel_accuracy"] > 0.95
    assert found["images_of"]["person"] == found["images"] == 2 and found["failed"] == []
    assert found["iou person"] is None, "two images do not tell it"
    assert f"{'person':{NAME_WIDTH}} -            2  too few images to tell" in said
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert np.sum(report["pixels"]) == 2 * 90 * 120
    assert decode_image((tmp_path / "report" / "confusion.png").read_bytes()).size


def test_images_that_fail_are_named_and_left_out(
    served: EmbeddedServer, tmp_path: Path, capsys: Capture
) -> None:
    images, labels = write_labelled(tmp_path)
    (images / "0.png").write_bytes((images / "0.png").read_bytes()[:99])
    options = ["--images", str(images), "--annotations", str(labels), "--url", served.grpc_url]
    assert main(["evaluate", "--system", "semantic", *options]) == 1
    said = capsys.readouterr()
    assert "0.png" in said.err and "1 of 2 images, left out" in said.out
    (images / "1.png").write_bytes(b"")
    assert (
        main(["evaluate", "--system", "semantic", *options, "--report", str(tmp_path / "r")]) == 1
    )
    said = capsys.readouterr()
    assert f"{'miou_present':{NAME_WIDTH}} -" in said.out and "2 of 2 images" in said.out
    assert "no report, because no image was measured" in said.err


@pytest.mark.parametrize(
    "options",
    [
        ["segment", "photo.png", "--min-score", "0.5"],
        ["segment", "photo.png", "--format", "results"],
        ["evaluate", "--images", "a", "--annotations", "b", "--min-score", "0.5"],
    ],
)
def test_options_of_people_are_refused(options: list[str], capsys: Capture) -> None:
    assert main([*options, "--system", "semantic"]) == 2
    assert "means nothing to --system semantic; leave it out" in capsys.readouterr().err


def class_of_red(client: SegmentationClient) -> int:
    (number,) = set(client.classify(flat(8, 8)).classes.reshape(-1).tolist())
    return int(number)


def test_it_is_released_and_rolled_back_under_load_beside_people(
    served: EmbeddedServer, repository: Path, data: tuple[Path, Path], capsys: Capture
) -> None:
    people = sorted(repository.glob(f"pe*/{CONFIG_FILE}"))
    before = [path.read_text() for path in people]
    here = ["--model-repository", str(repository), "--url", served.grpc_url]
    images = ["--images", str(data[0])]
    asks = {"red": class_of_red, "people": lambda client: len(client.segment(flat(64, 64)))}
    with Askers(served.grpc_url, asks) as askers:
        assert run(release_command, "cars", "deeplab=2", *images, *here) == 0
        assert run(status_command, "--json", *here) == 0
        assert run(rollback_command, "--system", "semantic", *images, *here) == 0
    assert askers.failures == []
    assert set(askers.answers["red"]) == {PERSON, CAR}, "each by one release, as no map is mixed"
    assert set(askers.answers["people"]) == {1}
    assert people and [path.read_text() for path in people] == before
    said = capsys.readouterr().out
    systems = json.loads(said[said.index("{") : said.rindex("}") + 1])["systems"]
    releases = {one["system"]: one["release"] for one in systems}
    assert releases["people"] is None and releases["semantic"]["name"] == "cars"
    with SegmentationClient(served.grpc_url) as client:
        assert client.classify(flat(8, 8)).areas["person"] == 1


def test_a_release_that_is_worse_on_label_maps_is_refused(
    served: EmbeddedServer, repository: Path, data: tuple[Path, Path], capsys: Capture
) -> None:
    here = ["--model-repository", str(repository), "--url", served.grpc_url]
    measured = ["--images", str(data[0]), "--annotations", str(data[1])]
    assert run(release_command, "worse", "deeplab=2", *measured, *here) == 1
    assert "miou_present falls from 0.9" in capsys.readouterr().err
    with SegmentationClient(served.grpc_url) as client:
        assert client.classify(flat(8, 8)).areas["person"] == 1


@pytest.mark.parametrize(
    ("change", "mends"),
    [
        ({"size": 96}, "peopleseg new-step-version preprocess --set size=96"),
        (
            {"classes": ["nothing", *VOC_CLASSES[1:]]},
            'peopleseg new-step-version postprocess_classes --set \'class_names=["nothing", ',
        ),
    ],
    ids=["square", "classes"],
)
def test_a_network_that_does_not_fit_is_refused_with_what_mends_it(
    tmp_path: Path, change: dict[str, object], mends: str, capsys: Capture
) -> None:
    repository = write_semantic_repository(tmp_path / "repository")
    write_deeplab(repository, 2, **change)  # type: ignore[arg-type]
    here = ["--model-repository", str(repository)]
    release = ["--system", "semantic", "--offline", *here]
    assert run(release_command, "unfit", "deeplab=2", *FIRST[1:], *release) == 1
    said = capsys.readouterr().err
    assert mends in said
    assert run(release_command, "fits", *FIRST, *release) == 0
    config = repository / ENSEMBLE / CONFIG_FILE
    pinned = 'model_name: "deeplab"\n      model_version: '
    config.write_text(config.read_text().replace(f"{pinned}1", f"{pinned}2"))
    assert run(check_command, *here) == 1
    assert mends in capsys.readouterr().out

    (line,) = re.findall(r"peopleseg (new-step-version \S+ --set (?:'.*?'|[\w=]+))", said)
    assert main([*shlex.split(line), *here]) == 0
    step, version = Path(capsys.readouterr().out.partition(":")[0]).parts[-2:]
    assert run(release_command, "mended", "deeplab=2", f"{step}={version}", *release) == 0
    assert run(check_command, *here) == 0
