"""Encoded images, as clients send them."""

import cv2
import numpy as np
from numpy.typing import NDArray

from peopleseg.labels.coco import load_images
from tests.data.people_images import people_image, real_photos


def encoded_image(seed: int, people: int) -> bytes:
    """A made-up image of 320 x 240 pixels with at most so many people, as JPEG."""
    return encoded(people_image(seed, count=people).image_rgb)


def encoded(image_rgb: NDArray[np.uint8]) -> bytes:
    """(H, W, 3) as JPEG."""
    return cv2.imencode(".jpg", cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR))[1].tobytes()


def astronaut() -> bytes:
    """A photo of one person, as JPEG."""
    import skimage.data

    return encoded(skimage.data.astronaut())


def some_images(count: int) -> list[bytes]:
    """The astronaut, then photos of one to three people where at hand, else made-up ones."""
    photos = real_photos()
    if photos is None:
        others = [encoded_image(seed, people=3) for seed in range(1, count)]
    else:
        images, annotations = photos
        annotated_images = [p for p in load_images(annotations, images) if 1 <= len(p.people) <= 3]
        others = [image.path.read_bytes() for image in annotated_images[: count - 1]]
    return [astronaut(), *others]
