"""Whom points and texts mean, asked of a real server and by the commands."""

import asyncio
import json
import shlex
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from tritonclient.grpc import InferenceServerClient

from peopleseg import AsyncSegmentationClient, SegmentationClient
from peopleseg.cli.evaluation import NAME_WIDTH
from peopleseg.cli.main import main
from peopleseg.client.errors import InvalidImage, RequestRejected
from peopleseg.repository.tensors import Model, bytes_tensor
from peopleseg.systems.pipeline import Pipeline
from peopleseg.systems.referring.contract import (
    MAX_CHARACTERS,
    MAX_POINTS,
    MAX_PROMPTS,
    OFF,
    ON,
    PADDING,
    REFERRING_PERSON,
    REFERRING_PERSON_FROM_POINTS,
    TEXT,
    TEXT_ENCODER,
)
from peopleseg.systems.referring.found import Found
from peopleseg.systems.referring.system import SYSTEM
from peopleseg.systems.shared.contract import IMAGE
from serving.embedded import EmbeddedServer
from tests.data.encoded import encoded
from tests.data.red_people import red_image
from tests.data.small_referring import (
    SCORES,
    keypoints_in,
    two_people,
    write_prompted,
    write_referring_repository,
)
from tests.server.calls import over_http
from tests.server.test_bad_input import BAD_IMAGES

pytestmark = pytest.mark.server

MADE = two_people()
BOTH = MADE.image_rgb
LEFT, RIGHT = range(2)  # of the people of BOTH
CLICKS = ((120.0, 150.0), (330.0, 200.0))  # in the middle of each
SAID = ("left", "the person on the right", "the red one")
MEANT = (LEFT, RIGHT, RIGHT)
NAN = float("nan")
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_referring_repository(tmp_path_factory.mktemp("referring") / "repository")


@pytest.fixture
def client(served: EmbeddedServer) -> Iterator[SegmentationClient]:
    with SegmentationClient(served.grpc_url) as client:
        yield client


def assert_is(found: Found, person: int) -> None:
    """One of BOTH, with everything that is told of a person."""
    np.testing.assert_allclose(found.box_xyxy, MADE.boxes_xyxy[person], atol=1)
    assert found.score == pytest.approx(SCORES[person], abs=0.01)
    expected = keypoints_in(np.array(found.box_xyxy, np.float32))
    np.testing.assert_allclose(found.keypoints, expected, atol=0.1)
    mask = MADE.masks[person] > 0
    assert found.image_mask.shape == mask.shape
    assert (found.image_mask & mask).sum() / (found.image_mask | mask).sum() > 0.95


def assert_nobody(found: Found, size_hw: tuple[int, int]) -> None:
    assert found.score == 0 and found.box_xyxy == (0, 0, 0, 0) and not found.keypoints.any()
    assert found.image_mask.shape == size_hw and not found.image_mask.any()


def assert_same(found: Sequence[Found], expected: Sequence[Found]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert (one.box_xyxy, one.score, one.rle) == (other.box_xyxy, other.score, other.rle)
        np.testing.assert_array_equal(one.keypoints, other.keypoints)


def flat(height: int, width: int, level: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), level, dtype=np.uint8)


def test_a_text_answers_the_person_meant(client: SegmentationClient) -> None:
    for text, person in zip(SAID, MEANT, strict=True):
        (found,) = client.find(BOTH, text)
        assert_is(found, person)


def test_points_answer_the_person_they_are_on(client: SegmentationClient) -> None:
    for person, found in zip((LEFT, RIGHT), client.find_at(BOTH, CLICKS), strict=True):
        assert_is(found, person)
    on, others = CLICKS
    (found,) = client.find_at(BOTH, [[(*on, OFF), (*others, ON), (NAN, NAN, PADDING)]])
    assert_is(found, RIGHT)


def test_a_click_beside_everybody_means_the_nearest(client: SegmentationClient) -> None:
    left, right = client.find_at(BOTH, [(60, 40), (479, 359)])
    assert left.box_xyxy[0] < right.box_xyxy[0] and 0 < left.score < 0.1 > right.score > 0


def test_prompts_together_are_answered_as_each_alone(client: SegmentationClient) -> None:
    alone = [client.find(BOTH, text)[0] for text in SAID]
    assert_same(client.find(BOTH, SAID), alone)
    clicked = [client.find_at(BOTH, [click])[0] for click in CLICKS]
    assert_same(client.find_at(BOTH, CLICKS), clicked)


def test_as_many_prompts_as_may_be_are_answered_in_their_order(client: SegmentationClient) -> None:
    texts = [SAID[number % 2] for number in range(MAX_PROMPTS)]
    for number, one in enumerate(client.find(BOTH, texts)):
        assert_is(one, MEANT[number % 2])
    points = np.zeros((MAX_PROMPTS, MAX_POINTS, 3), np.float32)
    for number, prompt in enumerate(points):
        prompt[:] = (*CLICKS[number % 2], ON)
    for number, one in enumerate(client.find_at(BOTH, points)):
        assert_is(one, number % 2)


def test_where_nobody_is_nobody_is_found(client: SegmentationClient) -> None:
    nobody = red_image().image_rgb
    height, width = nobody.shape[:2]
    for found in (*client.find(nobody, SAID), *client.find_at(nobody, CLICKS)):
        assert_nobody(found, (height, width))


def test_the_async_client_and_http_answer_the_same(
    client: SegmentationClient, served: EmbeddedServer
) -> None:
    async def ask() -> tuple[list[Found], list[Found]]:
        async with AsyncSegmentationClient(served.grpc_url) as client:
            return await asyncio.gather(client.find(BOTH, SAID), client.find_at(BOTH, CLICKS))

    by_text, by_points = client.find(BOTH, SAID), client.find_at(BOTH, CLICKS)
    for found, expected in zip(asyncio.run(ask()), (by_text, by_points), strict=True):
        assert_same(found, expected)
    texts = np.array([text.encode() for text in SAID], np.object_)
    ok, png = cv2.imencode(".png", cv2.cvtColor(BOTH, cv2.COLOR_RGB2BGR))
    assert ok
    inputs = {IMAGE.name: bytes_tensor(png.tobytes()), TEXT.name: texts}
    response = over_http(served.http_url, REFERRING_PERSON.name, inputs)
    assert [json.loads(rle) for rle in response["rles"]] == [one.rle for one in by_text]


def test_the_server_answers_as_one_process_does(
    client: SegmentationClient, repository: Path
) -> None:
    pipeline = Pipeline(SYSTEM, repository)
    for model in (REFERRING_PERSON, REFERRING_PERSON_FROM_POINTS):
        inputs = next(one for one in SYSTEM.ensembles if one.model is model).sample_inputs(
            encoded(BOTH)
        )
        expected, found = pipeline.call(model.name, inputs), client.call(model, inputs)
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "x" * 512,
        "x" * MAX_CHARACTERS,
        "😀",
        "👩‍🦰",
        "левый человек",
        "左边的人",
        "الشخص",
        "a\x00b",
    ],
    ids=["1", "512", "10000", "emoji", "joined", "Cyrillic", "Chinese", "Arabic", "NUL"],
)
def test_any_text_is_answered(client: SegmentationClient, text: str) -> None:
    (found,) = client.find(BOTH, text)
    assert_is(found, SCORES.index(max(SCORES)))  # nobody is meant more than another


def test_a_word_counts_among_those_that_nobody_knows(client: SegmentationClient) -> None:
    for text in ("😀 RIGHT 左", "x" * 512 + " right", "  right\n", "left" * 200 + " right"):
        assert_is(client.find(BOTH, text)[0], RIGHT)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "is empty; say something of the person"),
        (b" \n\t", "is empty"),
        ("\u200b".encode(), "has no word"),
        (b"caf\xe9", "is not UTF-8"),
        (b"left " * 102, "has 104 tokens .*, expected at most 64; say it in fewer words"),
        (b"a " * (MAX_CHARACTERS // 2), "has 5002 tokens"),
        (b"x" * (MAX_CHARACTERS + 1), "has 10001 characters, expected at most 10000"),
        (b"x" * 10_000_000, "has 10000000 characters"),
    ],
    ids=["empty", "blank", "unseen", "not UTF-8", "510", "10000", "10001", "10000000"],
)
def test_a_bad_text_is_refused_by_its_number(
    client: SegmentationClient, text: bytes, reason: str
) -> None:
    texts = np.array([b"left", text], np.object_)
    with pytest.raises(RequestRejected, match=f"tokenize: text 1 {reason}"):
        client.call(REFERRING_PERSON, {IMAGE.name: bytes_tensor(encoded(BOTH)), TEXT.name: texts})
    assert_is(client.find(BOTH, "left")[0], LEFT)


@pytest.mark.parametrize("count", [0, MAX_PROMPTS + 1])
def test_too_many_prompts_and_none_are_refused(client: SegmentationClient, count: int) -> None:
    reason = f"has {count} prompts, expected 1 to {MAX_PROMPTS}"
    with pytest.raises(RequestRejected, match=f"text {reason}"):
        client.find(BOTH, ["left"] * count)
    with pytest.raises(RequestRejected, match=f"points {reason}"):
        client.find_at(BOTH, np.ones((count, 1, 3), np.float32))
    assert_is(client.find(BOTH, "left")[0], LEFT)


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        ([[(481, 5, ON)]], "the point 481, 5, which is not in the image of 480 x 360 pixels"),
        ([[(5, -1, ON)]], "the point 5, -1, which is not in the image"),
        ([[(NAN, 5, ON)]], "the point nan, 5, which is not in the image"),
        ([[(5, float("inf"), ON)]], "the point 5, inf, which is not in the image"),
        ([[(5, 5, OFF)]], "no point with label 1 among its 1; give one on the person"),
        ([[(5, 5, PADDING)]], "no point with label 1"),
        ([[(5, 5, 2)]], "the label 2, expected 1 on the person"),
        ([[(5, 5, NAN)]], "the label nan"),
        (np.ones((1, 0, 3)), "no point with label 1 among its 0"),
        (np.ones((1, MAX_POINTS + 1, 3)), "257 points a prompt, expected at most 256"),
    ],
)
def test_bad_points_are_refused(client: SegmentationClient, points: ArrayLike, reason: str) -> None:
    with pytest.raises(RequestRejected, match=f"choose_by_points: .*points has {reason}"):
        client.find_at(BOTH, points)
    assert_is(client.find_at(BOTH, CLICKS)[0], LEFT)


def test_an_error_costs_only_the_request_that_caused_it(served: EmbeddedServer) -> None:
    bad = BAD_IMAGES["truncated"][0]
    asked = [
        lambda client: client.find(BOTH, SAID),
        lambda client: client.find_at(BOTH, CLICKS),
        lambda client: client.find(BOTH, "x" * (MAX_CHARACTERS + 1)),
        lambda client: client.find(BOTH, ["left", " "]),
        lambda client: client.find_at(BOTH, [(NAN, 3)]),
        lambda client: client.find(bad, "left"),
    ]
    refused = (RequestRejected, RequestRejected, RequestRejected, InvalidImage)

    with SegmentationClient(served.grpc_url) as client:
        alone = [ask(client) for ask in asked[:2]]

        def send(number: int) -> list[Found] | Exception:
            try:
                return asked[number % len(asked)](client)
            except Exception as error:
                return error

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(send, range(8 * len(asked))))
    for number, answer in enumerate(answers):
        kind = number % len(asked)
        if kind < len(alone):
            assert isinstance(answer, list), answer
            assert_same(answer, alone[kind])
        else:
            assert type(answer) is refused[kind - len(alone)], answer


@pytest.mark.parametrize("fault", BAD_IMAGES)
def test_a_bad_image_is_refused_and_the_next_is_answered(
    client: SegmentationClient, fault: str
) -> None:
    image, reason = BAD_IMAGES[fault]
    for ask in (lambda: client.find(image, "left"), lambda: client.find_at(image, CLICKS)):
        with pytest.raises(InvalidImage, match="preprocess: ") as refused:
            ask()
        assert reason in str(refused.value)
    assert_is(client.find(BOTH, "left")[0], LEFT)


def test_an_image_of_no_pixels_is_refused_before_it_is_sent(client: SegmentationClient) -> None:
    with pytest.raises(InvalidImage, match=r"an empty array of shape \(0, 5, 3\)"):
        client.find(np.zeros((0, 5, 3), np.uint8), "left")


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (4000, 20), (20, 4000)])
@pytest.mark.parametrize("level", [0, 255])
def test_an_answer_has_the_size_of_the_image(
    client: SegmentationClient, height: int, width: int, level: int
) -> None:
    image = flat(height, width, level)
    found = [*client.find(image, "left"), *client.find_at(image, [(width / 2, height / 2)])]
    for one in found:
        assert one.image_mask.shape == (height, width)
        if level == 0:
            assert_nobody(one, (height, width))
        else:
            assert one.score > 0 and one.image_mask.any() and np.isfinite(one.keypoints).all()


def test_a_huge_image_is_answered_in_its_own_pixels(client: SegmentationClient) -> None:
    scale = 12
    huge = BOTH.repeat(scale, axis=0).repeat(scale, axis=1)
    by_text = client.find(huge, SAID[:2])
    by_points = client.find_at(huge, np.array(CLICKS) * scale)
    for found in (by_text, by_points):
        for person, one in zip((LEFT, RIGHT), found, strict=True):
            np.testing.assert_allclose(
                one.box_xyxy, MADE.boxes_xyxy[person] * scale, atol=1.5 * scale
            )
            assert one.image_mask.shape == huge.shape[:2]


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "1"])
def test_grey_and_transparent_images_are_answered(
    client: SegmentationClient, tmp_path: Path, mode: str
) -> None:
    path = tmp_path / "image.png"
    white = np.where(BOTH.any(axis=2, keepdims=True), 255, BOTH).astype(np.uint8)
    Image.fromarray(white).convert(mode).save(path)
    for person, found in zip((LEFT, RIGHT), client.find(path, SAID[:2]), strict=True):
        assert_is(found, person)


def test_the_words_of_a_repeated_text_come_from_the_cache(
    client: SegmentationClient, served: EmbeddedServer
) -> None:
    def hits_and_misses() -> tuple[int, int]:
        with InferenceServerClient(served.grpc_url) as server:
            (stats,) = server.get_inference_statistics(TEXT_ENCODER.name).model_stats
        found = stats.inference_stats
        return found.cache_hit.count, found.cache_miss.count

    hits, misses = hits_and_misses()
    first = client.find(BOTH, "left, said here alone")
    assert hits_and_misses() == (hits, misses + 1)
    assert_same(client.find(BOTH, "left, said here alone"), first)
    assert hits_and_misses() == (hits + 1, misses + 1)
    client.find(red_image().image_rgb, "left, said here alone")
    assert hits_and_misses() == (hits + 2, misses + 1), "of another image, too"
    assert_is(client.find(BOTH, "right, said here alone")[0], RIGHT)
    assert hits_and_misses() == (hits + 2, misses + 2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The folder of the images, COCO's keypoints, and a file of references."""
    return write_prompted(tmp_path_factory.mktemp("prompted"))


def typed(line: str) -> int:
    return main(shlex.split(line))


def test_check_finds_no_faults(repository: Path, capsys: Capture) -> None:
    assert typed(f"check --model-repository {repository}") == 0
    assert "no faults" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["clicks", "texts"])
def test_evaluate_measures_prompts(
    served: EmbeddedServer,
    data: tuple[Path, Path, Path],
    tmp_path: Path,
    kind: str,
    capsys: Capture,
) -> None:
    images, people, references = data
    annotations = people if kind == "clicks" else references
    asked = f"evaluate --system referring --images {images} --annotations {annotations}"
    files = f"--json {tmp_path / 'found.json'} --report {tmp_path / 'report'}"
    assert typed(f"{asked} {files} --url {served.grpc_url}") == 0
    assert f"{'right_person':{NAME_WIDTH}} 1.0000" in capsys.readouterr().out
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["right_person"] == 1 and found["oiou"] > 0.95 and found["pckh"] == 1
    assert (found["prompts"], found["images"], found["failed"]) == (4, 2, [])
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["accuracy"]["right_person"] == 1


def test_find_draws_and_writes_whom_texts_mean(
    served: EmbeddedServer, data: tuple[Path, Path, Path], tmp_path: Path, capsys: Capture
) -> None:
    image, out = data[0] / "0.png", tmp_path / "found"
    line = f'find "the one on the left" "the right one" {image} --out {out}'
    assert typed(f"{line} --url {served.grpc_url}") == 0
    said = capsys.readouterr().out
    assert "the one on the left: score 0.90\nthe right one: score 0.80\n" in said
    assert f"{image} -> {out / '0.png'}" in said
    entries = json.loads((out / "found.json").read_text())["found"]
    assert [one["prompt"] for one in entries] == ["the one on the left", "the right one"]
    for person, one in zip((LEFT, RIGHT), entries, strict=True):
        np.testing.assert_allclose(one["box_xyxy"], MADE.boxes_xyxy[person], atol=1)
        assert np.shape(one["keypoints"]) == (17, 3)
    drawn = np.array(Image.open(out / "0.png"))
    assert drawn.shape == BOTH.shape and (drawn != BOTH).any()


def test_find_draws_who_is_at_a_point(
    served: EmbeddedServer, data: tuple[Path, Path, Path], tmp_path: Path, capsys: Capture
) -> None:
    line = f"find {data[0] / '0.png'} --point 330,200 --not-at 120,150 --out {tmp_path / 'found'}"
    assert typed(f"{line} --url {served.grpc_url}") == 0
    assert "330,200; not 120,150: score 0.80" in capsys.readouterr().out
    (one,) = json.loads((tmp_path / "found" / "found.json").read_text())["found"]
    np.testing.assert_allclose(one["box_xyxy"], MADE.boxes_xyxy[RIGHT], atol=1)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ('" " IMAGE', "text 0 is empty; say something of the person"),
        ("IMAGE --point 9999,1", "prompt 0 of points has the point 9999, 1, which is not in"),
        ("left IMAGE.png", "No such file"),
    ],
)
def test_find_tells_a_mistake_in_one_line(
    served: EmbeddedServer,
    data: tuple[Path, Path, Path],
    tmp_path: Path,
    asked: str,
    said: str,
    capsys: Capture,
) -> None:
    line = asked.replace("IMAGE", str(data[0] / "0.png"))
    assert typed(f"find {line} --out {tmp_path / 'found'} --url {served.grpc_url}") == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not (tmp_path / "found").exists()


@pytest.mark.parametrize("ensemble", [REFERRING_PERSON, REFERRING_PERSON_FROM_POINTS])
def test_bench_measures_one_prompt_against_ten(
    served: EmbeddedServer,
    repository: Path,
    data: tuple[Path, Path, Path],
    tmp_path: Path,
    ensemble: Model,
    capsys: Capture,
) -> None:
    line = f"bench ensemble {ensemble.name} --prompts 1 10 --images {data[0]} --concurrency 1"
    brief = f"--rounds 1 --seconds 0.2 --threads 1 --results {tmp_path}"
    assert typed(f"{line} {brief} --model-repository {repository} --url {served.grpc_url}") == 0
    said = capsys.readouterr().out
    result = json.loads((tmp_path / "ensemble.json").read_text())
    for count in (1, 10):
        group = f"{ensemble.name}, {count} in a request"
        assert f"| {group} | server | 1 |" in said
        slices = [one for one in result["samples"] if one["group"] == group]
        assert [one["target"] for one in slices] == ["direct_one_caller", "server"]
        assert all(one["calls_ms"] and not one["failures"] for one in slices)
    assert typed(f"bench report --results {tmp_path}") == 0


def test_bench_asks_what_tries_a_release_where_no_prompts_are_given(
    served: EmbeddedServer,
    repository: Path,
    data: tuple[Path, Path, Path],
    tmp_path: Path,
    capsys: Capture,
) -> None:
    line = f"bench ensemble {REFERRING_PERSON.name} --images {data[0]} --concurrency 1"
    brief = f"--rounds 1 --seconds 0.2 --threads 1 --results {tmp_path}"
    assert typed(f"{line} {brief} --model-repository {repository} --url {served.grpc_url}") == 0
    assert f"| {REFERRING_PERSON.name} | server | 1 |" in capsys.readouterr().out
