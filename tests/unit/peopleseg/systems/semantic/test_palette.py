"""Pascal VOC's colours."""

import io

import numpy as np
import pytest
from PIL import Image

from peopleseg.pixels.images import decode_image
from peopleseg.systems.semantic.palette import palette, palette_png


@pytest.mark.parametrize(
    ("number", "rgb"),
    [  # as the VOC development kit lists them
        (0, (0, 0, 0)),
        (1, (128, 0, 0)),
        (2, (0, 128, 0)),
        (3, (128, 128, 0)),
        (4, (0, 0, 128)),
        (7, (128, 128, 128)),
        (8, (64, 0, 0)),
        (15, (192, 128, 128)),
        (20, (0, 64, 128)),
        (255, (224, 224, 192)),
    ],
)
def test_a_class_has_vocs_colour(number: int, rgb: tuple[int, int, int]) -> None:
    assert tuple(palette()[number].tolist()) == rgb


def test_no_two_classes_have_one_colour() -> None:
    assert len(np.unique(palette(), axis=0)) == 256


@pytest.mark.parametrize("size_hw", [(1, 1), (3, 200), (16, 16)])
def test_the_png_is_the_numbers_and_is_seen_in_colours(size_hw: tuple[int, int]) -> None:
    classes = np.arange(256, dtype=np.uint8).repeat(20)[: size_hw[0] * size_hw[1]].reshape(size_hw)
    png = palette_png(classes)
    image = Image.open(io.BytesIO(png))
    assert image.mode == "P"
    np.testing.assert_array_equal(np.array(image), classes)
    np.testing.assert_array_equal(decode_image(png), palette()[classes])
