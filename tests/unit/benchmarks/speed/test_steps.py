"""The ensemble's steps called one by one give the pipeline's answer, and their bytes are right."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.speed.steps import ENSEMBLE, Stepwise
from peopleseg.systems.known import ENSEMBLES
from peopleseg.systems.people.pipeline import PeoplePipeline
from peopleseg.systems.wiring import steps_of
from tests.data.small_repository import READS, write_head, write_images, write_small_repository


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_repository(tmp_path_factory.mktemp("small") / "repository")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    images, _ = write_images(tmp_path_factory.mktemp("images"), count=1)
    return (images / "0.png").read_bytes()


@pytest.mark.parametrize("reads", [READS, READS[:2], READS[:1]])
def test_the_response_is_the_pipeline_s(
    repository: Path, image: bytes, reads: tuple[str, ...]
) -> None:
    write_head(repository, 7, reads=reads)
    pipeline = PeoplePipeline(repository, threads=1, versions={"hierarchical_head": 7})
    runs, tensors = Stepwise(pipeline).run(image)
    assert list(runs) == list(steps_of(ENSEMBLES[ENSEMBLE], {"hierarchical_head": reads}))
    expected = pipeline.segment(image)
    for name in ("boxes", "scores", "masks"):
        np.testing.assert_array_equal(tensors[name], getattr(expected, name))
    assert [json.loads(rle) for rle in tensors["rles"]] == expected.rles
    assert len(expected.boxes) == 1


def test_bytes_are_those_of_the_tensors(repository: Path, image: bytes) -> None:
    runs, tensors = Stepwise(PeoplePipeline(repository, threads=1)).run(image)
    pixels, letterbox = 3 * 640 * 640, 6 * 4
    assert runs["preprocess"][1:] == (len(image), pixels + letterbox)
    assert runs["yolov9"].read_bytes == pixels
    assert runs["people_unet"][1:] == (pixels, 640 * 640 * 4)
    response = sum(tensors[name].nbytes for name in ("boxes", "scores", "masks"))
    assert runs["postprocess"].written_bytes == response + len(tensors["rles"][0])
    assert all(run.ms > 0 for run in runs.values())
