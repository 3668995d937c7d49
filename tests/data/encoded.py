"""Encoded pictures, as clients send them."""

import cv2

from peopleseg.coco import load_pictures
from tests.data.people_pictures import people_picture, real_photos


def encoded_picture(seed: int, people: int) -> bytes:
    """A made-up picture of 320 x 240 pixels with at most so many people, as JPEG."""
    image_rgb = people_picture(seed, count=people).image_rgb
    return cv2.imencode(".jpg", cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR))[1].tobytes()


def some_pictures(count: int) -> list[bytes]:
    """Real photos with up to three people where they are at hand, else made-up ones."""
    photos = real_photos()
    if photos is None:
        return [encoded_picture(seed, people=3) for seed in range(count)]
    images, annotations = photos
    pictures = [p for p in load_pictures(annotations, images) if 1 <= len(p.people) <= 3]
    return [picture.path.read_bytes() for picture in pictures[:count]]
