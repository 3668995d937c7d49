"""Guess the label maps of many images."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from peopleseg.errors import InvalidInput, WrongUsage
from peopleseg.labels.coco import AnnotatedImage, load_images
from peopleseg.labels.files import write_atomically
from peopleseg.labels.label_maps import LABEL_SUFFIX, UNKNOWN
from peopleseg.pixels.geometry import Letterbox
from peopleseg.pixels.image_files import find_images
from peopleseg.pixels.images import decode_image
from peopleseg.pixels.masks import THRESHOLD, decode_rle
from peopleseg.systems.people.pipeline import PeoplePipeline
from peopleseg.systems.semantic.contract import BACKGROUND, VOC_CLASSES
from peopleseg.systems.semantic.palette import palette_png
from training.semantic.guess_command import Options
from training.semantic.guessing import COCO_OF_VOC, PERHAPS, PERSON, SURE, Object, guess
from training.teachers.nanodet import NanoDet
from training.teachers.teacher import open_teacher

_LOG = logging.getLogger(__name__)
_OBJECTS = {name: number for name, number in COCO_OF_VOC.items() if name != "person"}


def run(args: Options) -> int:
    """Write the label maps. Returns 1 when an image failed. Raises PeoplesegError, OSError."""
    torch.set_num_threads(args.threads)
    teacher = open_teacher(args.teacher, "nanodet")
    assert isinstance(teacher, NanoDet)
    people_in = _people(args)
    failed = written = 0
    for path in tqdm(list(_left(args)), unit="image", disable=None):
        try:
            data = path.read_bytes()
            image_rgb = decode_image(data)
            people = people_in(path, data, image_rgb.shape[:2])
        except (InvalidInput, OSError) as error:
            failed += 1
            _LOG.error("%s: %s", path, error)
            continue
        labels = guess(image_rgb, _objects(teacher, image_rgb), people)
        write_atomically(args.out / f"{path.stem}{LABEL_SUFFIX}", palette_png(labels))
        written += 1
    print(f"{args.out}: {written} label maps written")
    return 1 if failed else 0


def _left(args: Options) -> Iterator[Path]:
    """The images that are to get a label map."""
    try:
        images = find_images(args.images, leave_out=args.out)
    except FileNotFoundError as error:
        raise WrongUsage(f"--images {args.images}: {error}") from error
    done = {file.stem for file in args.out.glob(f"*{LABEL_SUFFIX}")}
    if args.leave_out is not None:
        done |= {file.stem for file in args.leave_out.glob(f"*{LABEL_SUFFIX}")}
    return (path for path in images[: args.limit] if path.stem not in done)


def _objects(teacher: NanoDet, image_rgb: NDArray[np.uint8]) -> Iterator[Object]:
    """All but the people."""
    height, width = image_rgb.shape[:2]
    box, size = Letterbox.fit(width, height, teacher.dense_size), teacher.dense_size
    square = torch.from_numpy(box.apply(image_rgb, size).transpose(2, 0, 1)[None] / np.float32(255))
    (found,) = teacher.objects(square.float(), list(_OBJECTS.values()))
    for name, of_class in zip(_OBJECTS, found, strict=True):
        boxes = box.boxes_to_image(of_class.boxes_xyxy.numpy())
        for box_xyxy, score in zip(boxes.tolist(), of_class.scores.tolist(), strict=True):
            yield Object(VOC_CLASSES.index(name), score, box_xyxy)


People = Callable[[Path, bytes, tuple[int, ...]], NDArray[np.uint8]]


def _people(args: Options) -> People:
    """Of an image, (H, W) of PERSON, UNKNOWN and BACKGROUND."""
    if args.annotations is not None:
        by_name = {one.path.stem: one for one in load_images(args.annotations, args.images)}
        return lambda path, data, size_hw: _annotated(by_name, path, size_hw)
    pipeline = PeoplePipeline(args.model_repository, threads=args.threads)
    return lambda path, data, size_hw: _found(pipeline, data)


def _annotated(
    by_name: dict[str, AnnotatedImage], path: Path, size_hw: tuple[int, ...]
) -> NDArray[np.uint8]:
    """Raises InvalidInput for an image that is not annotated, or at another size."""
    image = by_name.get(path.stem)
    if image is None or (image.height, image.width) != size_hw:
        raise InvalidInput("it is not among the annotations, or of another size there")
    people = np.full(size_hw, BACKGROUND, np.uint8)
    for one in image.annotations:
        if one.masked and one.crowd:
            people[one.mask(image.height, image.width) > 0] = UNKNOWN
        elif not one.masked:
            x1, y1, x2, y2 = map(round, one.box_xyxy)
            people[max(0, y1) : y2, max(0, x1) : x2] = UNKNOWN
    for one in image.masked_people:
        people[one.mask(image.height, image.width) > 0] = PERSON
    return people


def _found(pipeline: PeoplePipeline, data: bytes) -> NDArray[np.uint8]:
    """By the served networks: sure where a person's mask is, not where the two networks differ."""
    foreground = pipeline.foreground(data)
    people = np.where(foreground > THRESHOLD, UNKNOWN, BACKGROUND).astype(np.uint8)
    found = pipeline.segment(data, min_score=PERHAPS)
    for score, rle in sorted(zip(found.scores, found.rles, strict=True), key=lambda one: one[0]):
        people[decode_rle(rle) > 0] = PERSON if score >= SURE else UNKNOWN
    return people
