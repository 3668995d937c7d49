"""Validation images: what is true over what a network finds, for a few images side by side."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from peopleseg.labels.coco import AnnotatedImage
from peopleseg.networks.checkpoint import Loaded
from peopleseg.networks.people.detection import detect
from peopleseg.pixels.geometry import INPUT_SIZE, Letterbox, clip_boxes
from peopleseg.pixels.lettering import FONT
from peopleseg.pixels.masks import THRESHOLD, encode_rle, grid_mask
from peopleseg.systems.people.contract import MASK_SIZE_HW
from peopleseg.systems.people.drawing import MASK_OPACITY, draw_people
from peopleseg.systems.people.person import Person
from peopleseg.systems.people.response import foreground_of
from peopleseg.systems.people.selection import Rois
from training.data.images import BrokenImage
from training.data.scene import Scene, read_scene
from training.data.transforms import whole_view
from training.validation.prediction import mask_predictor, network_input, segment

DRAWN_SCORE = 0.15  # boxes below it are not drawn, as by `peopleseg segment`
COUNTS = (1, 2, 3, 5)  # people of the images shown
ENOUGH_ROOM = 0.1  # part of the image that everybody's box should take to be seen well
CELL_PX = 400  # side of the square in which each image lies
TITLE_PX = 24  # height of the line above it
MARGIN_PX = 4
TINT = (255, 64, 64)  # RGB of people against background
PAPER, INK = 255, (0, 0, 0)


class Drawing(NamedTuple):
    """An image with people drawn over it, and what the line above it says."""

    image_rgb: NDArray[np.uint8]
    title: str


def choose_images(
    images: Sequence[AnnotatedImage], counts: Sequence[int] = COUNTS
) -> list[AnnotatedImage]:
    """An image for each number of people, the first in which none of them is very small.

    Where no image is left with that many people, one with about as many; with fewer images
    than counts, all of them. Images with crowds are for want of others only.
    """
    left, chosen = list(images), []
    for count in counts[: len(images)]:
        best = max(left, key=lambda image: _suits(image, count))
        left.remove(best)
        chosen.append(best)
    return chosen


@torch.no_grad()
def validation_sheet(loaded: Loaded, images: Sequence[AnnotatedImage]) -> NDArray[np.uint8]:
    """True people over found people, a column an image: (H, W, 3) uint8 RGB.

    A detector's are boxes, a mask head's the masks in the true boxes, the people UNet's are people
    against background. The networks are in evaluation mode and stay on their device. An image that
    does not decode is left out.
    """
    margin = np.full((2 * (TITLE_PX + CELL_PX), MARGIN_PX, 3), PAPER, dtype=np.uint8)
    parts = [margin]
    for image in images:
        try:
            scene = read_scene(image)
        except BrokenImage:
            continue
        parts += [comparison(*_drawings(loaded, image, scene)), margin]
    return np.concatenate(parts, axis=1)


def comparison(true: Drawing, found: Drawing) -> NDArray[np.uint8]:
    """A column of two titled squares, what is true over what is found, CELL_PX wide."""
    cells = [part for drawing in (true, found) for part in _cell(drawing)]
    return np.concatenate(cells, axis=0)


def _suits(image: AnnotatedImage, count: int) -> tuple[int, bool, float]:
    boxes = np.array([person.box_xyxy for person in image.people]).reshape(-1, 4)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) / (image.width * image.height)
    crowded = len(image.annotations) > len(boxes)
    return -abs(len(boxes) - count), not crowded, float(areas.min(initial=ENOUGH_ROOM))


def _drawings(loaded: Loaded, image: AnnotatedImage, scene: Scene) -> tuple[Drawing, Drawing]:
    image_rgb = np.ascontiguousarray(scene.image_rgb())
    box = Letterbox.fit(image.width, image.height)
    device = next(loaded.network.parameters()).device
    images = network_input(whole_view(INPUT_SIZE)(scene), device)
    if loaded.family == "people_unet":
        assert scene.masks is not None  # read_scene draws them
        true = scene.masks.numpy().any(axis=0)
        found = foreground_of(loaded.network(images)[0, 0].float().cpu().numpy(), box) > THRESHOLD
        return _foreground(image_rgb, true, "true"), _foreground(image_rgb, found, "found")
    truth = _true_people(image)
    if loaded.family == "yolov9":
        truth = [_box_alone(person.box_xyxy, person.score, image) for person in truth]
        people = _found_boxes(loaded, images, image, box)
    else:
        boxes = np.array([person.box_xyxy for person in truth], dtype=np.float32).reshape(-1, 4)
        rois = F.pad(torch.from_numpy(box.boxes_to_network(boxes)), (1, 0)).numpy()
        given = Rois(rois, np.ones(len(rois), dtype=np.float32))
        people = segment(mask_predictor(loaded), images, given, box)
    return _people(image_rgb, truth, "true"), _people(image_rgb, people, "found")


def _true_people(image: AnnotatedImage) -> list[Person]:
    """Everybody but the crowds and people whose box holds no pixel; some have a box alone."""
    people = []
    for annotation in image.people:
        box = clip_boxes(np.array([annotation.box_xyxy]), image.width, image.height)[0]
        if (box[2:] - box[:2]).min() < 1:
            continue
        if not annotation.masked:
            people.append(_box_alone(tuple(box.tolist()), 1.0, image))
            continue
        mask = annotation.mask(image.height, image.width)
        grid = grid_mask(mask, box, MASK_SIZE_HW).astype(np.uint8) * np.uint8(255)
        people.append(Person(tuple(box.tolist()), 1.0, grid, encode_rle(mask)))
    return people


def _found_boxes(
    loaded: Loaded, images: torch.Tensor, image: AnnotatedImage, box: Letterbox
) -> list[Person]:
    found = detect(loaded.network, images, box, DRAWN_SCORE)
    boxes = box.boxes_to_image(found.rois[:, 1:]).tolist()
    return [
        _box_alone(tuple(one), float(score), image)
        for one, score in zip(boxes, found.scores, strict=True)
    ]


def _box_alone(
    box_xyxy: tuple[float, float, float, float], score: float, image: AnnotatedImage
) -> Person:
    nothing = np.zeros((image.height, image.width), dtype=np.uint8)
    return Person(box_xyxy, score, np.zeros(MASK_SIZE_HW, dtype=np.uint8), encode_rle(nothing))


def _people(image_rgb: NDArray[np.uint8], people: Sequence[Person], what: str) -> Drawing:
    count = "1 person" if len(people) == 1 else f"{len(people)} people"
    return Drawing(draw_people(image_rgb, people), f"{what}: {count}")


def _foreground(image_rgb: NDArray[np.uint8], mask: NDArray[np.bool_], what: str) -> Drawing:
    drawn = image_rgb.copy()
    blended = drawn[mask] * (1 - MASK_OPACITY) + np.array(TINT) * MASK_OPACITY
    drawn[mask] = np.rint(blended).astype(np.uint8)
    return Drawing(drawn, f"{what}: people on {mask.mean():.0%}")


def _cell(drawing: Drawing) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    title = np.full((TITLE_PX, CELL_PX, 3), PAPER, dtype=np.uint8)
    baseline = (MARGIN_PX, TITLE_PX - 2 * MARGIN_PX)
    cv2.putText(title, drawing.title, baseline, FONT, 0.5, INK, 1, cv2.LINE_AA)
    height, width = drawing.image_rgb.shape[:2]
    return title, Letterbox.fit(width, height, CELL_PX).apply(drawing.image_rgb, CELL_PX)
