"""What is asked of an ensemble under load."""

import numpy as np
import pytest

from benchmarks.speed.ensemble import groups_of
from peopleseg.errors import WrongUsage
from peopleseg.systems.known import ENSEMBLES
from peopleseg.systems.shared.contract import IMAGE
from tests.data.encoded import encoded_image

IMAGES = [encoded_image(seed, people=1) for seed in range(2)]
PROMPTS = {
    "person_segmentation_from_boxes": "boxes",
    "referring_person": "text",
    "referring_person_from_points": "points",
}


@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_without_prompts_asked_is_what_tries_a_release(ensemble: str) -> None:
    (group,) = groups_of(ENSEMBLES[ensemble], IMAGES, None)
    assert group.name == ensemble
    for request, image in zip(group.requests, IMAGES, strict=True):
        expected = ENSEMBLES[ensemble].sample_inputs(image)
        assert request.inputs.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_array_equal(request.inputs[name], values)


@pytest.mark.parametrize(("ensemble", "prompts"), PROMPTS.items())
def test_as_many_prompts_are_asked_as_are_wanted(ensemble: str, prompts: str) -> None:
    groups = groups_of(ENSEMBLES[ensemble], IMAGES, (10, 1, 10))
    assert [group.name for group in groups] == [
        f"{ensemble}, {count} in a request" for count in (1, 10)
    ]
    for group, count in zip(groups, (1, 10), strict=True):
        for request, image in zip(group.requests, IMAGES, strict=True):
            sample = ENSEMBLES[ensemble].sample_inputs(image)
            assert request.inputs[IMAGE.name] == sample[IMAGE.name]
            rows = request.inputs[prompts]
            assert rows.shape == (count, *sample[prompts].shape[1:])
            for number, row in enumerate(rows):
                np.testing.assert_array_equal(row, sample[prompts][number % len(sample[prompts])])


def test_what_reads_an_image_alone_is_asked_for_no_prompts() -> None:
    for ensemble in ENSEMBLES.keys() - PROMPTS.keys():
        with pytest.raises(WrongUsage, match=f"{ensemble} reads an image alone; leave --prompts"):
            groups_of(ENSEMBLES[ensemble], IMAGES, (1,))
