"""Measuring on label maps: networks that know the truth by its colour, alone and together."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from peopleseg.labels.coco_file import AnnotationError
from peopleseg.labels.label_maps import LabelledImage
from peopleseg.networks.checkpoint import Loaded
from peopleseg.networks.semantic.deeplab import DeepLab
from peopleseg.pixels.images import prepare
from peopleseg.systems.semantic.contract import VOC_CLASSES
from peopleseg.systems.semantic.response import in_image
from tests.data.red_labels import PERSON, RedClasses, red_labels
from training.validation.part import Measured, Unmeasurable
from training.validation.semantic.evaluation import class_map
from training.validation.semantic.part import PART
from training.validation.semantic.together import Together, together


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[LabelledImage]:
    return red_labels(tmp_path_factory.mktemp("red"))


def loaded(network: nn.Module, *names: str) -> Loaded:
    return Loaded("deeplab", {"classes": list(VOC_CLASSES)}, network, {}, trained_on=names)


def measure(network: nn.Module, images: list[LabelledImage], size: int = 256) -> Measured:
    return PART.evaluate(loaded(network), images, size=size)


def test_a_network_that_knows_is_right_at_the_images_own_sizes(images: list[LabelledImage]) -> None:
    measured = measure(RedClasses(), images)
    assert set(PART.metrics) < measured.metrics.keys()
    assert measured.metrics["miou_present"] > 0.99 and measured.metrics["pixel_accuracy"] > 0.99
    known = sum(int((image.label_map(21) != 255).sum()) for image in images)
    assert measured.behind.pixels.sum() == known and measured.behind.images == len(images)
    assert math.isnan(measured.metrics["iou dog"]) and measured.metrics["iou person"] > 0.99


def test_its_contrary_is_wrong_everywhere(images: list[LabelledImage]) -> None:
    metrics = measure(RedClasses(-1.0), images).metrics
    assert metrics["miou_present"] < 0.05 and metrics["pixel_accuracy"] < 0.05


def test_all_is_the_sum_of_each(images: list[LabelledImage]) -> None:
    torch.manual_seed(0)
    network = DeepLab().eval()
    parts = [measure(network, [image], 64).behind for image in images]
    whole = measure(network, images, 64).behind
    np.testing.assert_array_equal(whole.pixels, sum(part.pixels for part in parts))
    np.testing.assert_array_equal(whole.seen_in, sum(part.seen_in for part in parts))


def test_a_class_map_is_made_as_the_server_makes_it(images: list[LabelledImage]) -> None:
    torch.manual_seed(0)
    network, data = DeepLab().eval(), images[0].read()
    pixels, letterbox = prepare(data, size=96)
    with torch.no_grad():
        square = network(torch.from_numpy(pixels) / 255)[0].argmax(dim=0)
    expected = in_image(square.numpy().astype(np.uint8), letterbox)
    np.testing.assert_array_equal(class_map(network, data, torch.device("cpu"), 96), expected)
    assert expected.shape == images[0].label_map(21).shape


def test_an_image_that_breaks_is_named_and_left_out(
    images: list[LabelledImage], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "half.png"
    broken.write_bytes(images[0].path.read_bytes()[:-20])
    with_broken = [*images, replace(images[0], path=broken)]
    assert measure(RedClasses(), with_broken).behind.images == len(images)
    assert "half.png" in capsys.readouterr().err
    with pytest.raises(Unmeasurable, match="none of 1 images"):
        measure(RedClasses(), with_broken[-1:])


def test_labels_of_more_classes_than_the_network_has_are_refused(
    images: list[LabelledImage],
) -> None:
    few = Loaded("deeplab", {"classes": ["background", "dog"]}, RedClasses(), {})
    with pytest.raises(AnnotationError, match=f"the class {PERSON}; expected 0 to 1"):
        PART.evaluate(few, images, size=64)


def test_together_is_the_mean_of_the_probabilities() -> None:
    torch.manual_seed(0)
    networks = [DeepLab("optimised").eval(), DeepLab("original").eval()]
    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        expected = torch.stack([one(images).softmax(dim=1) for one in networks]).mean(dim=0)
        found = Together(networks)(images)
    torch.testing.assert_close(found.softmax(dim=1), expected)
    torch.testing.assert_close(found.exp(), expected)


def test_of_two_that_contradict_each_other_the_surer_one_counts(
    images: list[LabelledImage],
) -> None:
    pair = together([loaded(RedClasses(9.0), "a"), loaded(RedClasses(-1.0), "b", "a")])
    assert pair.trained_on == ("a", "b")
    assert PART.evaluate(pair, images, size=64).metrics["miou_present"] > 0.9


def test_what_does_not_fit_is_not_taken_together() -> None:
    alone = loaded(RedClasses())
    with pytest.raises(Unmeasurable, match="two or more"):
        together([alone])
    other = replace(alone, dims={"classes": ["background", "dog"]})
    with pytest.raises(Unmeasurable, match="background, dog; name checkpoints of the same"):
        together([alone, other])
