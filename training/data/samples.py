"""What each network trains on, made from a scene, and batches of it.

An image that breaks on decode stands in the list of samples as its BrokenImage; the batch leaves
it out and names it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from peopleseg.pixels.masks import grid_mask
from training.data.images import SMALLEST_SIDE_PX, BrokenImage
from training.data.scene import CROWD, OUTSIDE, UNKNOWN, Scene

BACKGROUND, TARGET, NON_TARGET = 0, 1, 2  # in a roi's label map
PERSON = 1  # in a whole image's labels, beside BACKGROUND
IGNORED = 255  # in both: what it is is not known

SMALLEST_VISIBLE = 0.3  # part of a person's box that a view must show
SMALLEST_SEEN_PX = 4.0  # side of the seen part, for a detector
SMALLEST_ROI_PX = 8.0  # and for a roi
MOST_JITTER = 0.3  # of an edge, in parts of the side: a box never turns inside out

Sample = TypeVar("Sample")


class DetectionSample(NamedTuple):
    image: Tensor  # uint8 (3, S, S) RGB
    boxes_xyxy: Tensor  # float32 (n, 4), pixels, within the image
    ignored_xyxy: Tensor  # float32 (r, 4): what is found there and is none of the n is not judged


class ForegroundSample(NamedTuple):
    image: Tensor  # uint8 (3, S, S) RGB
    labels: Tensor  # uint8 (S, S): PERSON, BACKGROUND or IGNORED


class RoiSample(NamedTuple):
    image: Tensor  # uint8 (3, S, S) RGB
    boxes_xyxy: Tensor  # float32 (n, 4), pixels, within the image
    labels: Tensor  # uint8 (n, h, w): BACKGROUND, TARGET, NON_TARGET or IGNORED
    people_xyxy: Tensor  # float32 (p, 4): where people are or may be; elsewhere is nobody
    mistakes: float  # of the detector, rois of nobody to add, in parts of the rois of people


class DetectionBatch(NamedTuple):
    images: Tensor  # uint8 (B, 3, S, S) RGB
    boxes_xyxy: list[Tensor]  # of each image, float32 (n, 4)
    ignored_xyxy: list[Tensor]  # of each image, float32 (r, 4), see DetectionSample
    skipped: list[str]  # a line for each broken image


class ForegroundBatch(NamedTuple):
    images: Tensor  # uint8 (B, 3, S, S) RGB
    labels: Tensor  # uint8 (B, S, S)
    skipped: list[str]


class RoiBatch(NamedTuple):
    images: Tensor  # uint8 (B, 3, S, S) RGB
    rois: Tensor  # float32 (N, 5) batch index, x1, y1, x2, y2
    labels: Tensor  # uint8 (N, h, w)
    people_xyxy: list[Tensor]  # of each image, float32 (p, 4), see RoiSample
    mistakes: float  # see RoiSample
    skipped: list[str]


def detection_sample(scene: Scene) -> DetectionSample:
    """Everybody whom the scene shows well enough to be found, and the regions to ignore."""
    kept, boxes, ignored = seen_boxes(scene)
    return DetectionSample(_plain(scene.image), boxes[kept], ignored)


def foreground_sample(scene: Scene) -> ForegroundSample:
    """People against background; crowds, where people may be whose masks are not known, and what
    lies outside of the image are ignored."""
    masks, ignored = scene.mask_arrays()
    labels = np.where(ignored > 0, IGNORED, BACKGROUND).astype(np.uint8)
    labels[masks.any(axis=0)] = PERSON
    return ForegroundSample(_plain(scene.image), torch.from_numpy(labels))


def roi_sample(
    scene: Scene,
    mask_size_hw: tuple[int, int],
    most_people: int | None,
    random: torch.Generator | None = None,
    *,
    padding: float = 0.0,
    box_jitter: float = 0.0,
    mistakes: float = 0.0,
) -> RoiSample:
    """At most `most_people` people with their label maps, read at the centres of the box's cells.

    They are the first ones that have a mask, as published, or with `random` any. People whose box
    was under SMALLEST_SIDE_PX in the image are no targets, but are others to their neighbours, as
    crowds are. Where people may be without a mask, and no known mask is, cells are IGNORED.
    padding: added at each edge, in parts of the side; box_jitter: standard deviation of each edge
    after that, in parts of the side, drawn from torch's global generator without `random`.
    """
    masks, ignored = scene.mask_arrays()
    anybody = masks.any(axis=0) | (ignored == CROWD)
    unknown = ignored == UNKNOWN
    boxes = scene.boxes.as_subclass(Tensor)[scene.masked]
    seen = cut(boxes, scene.size_hw)
    large = scene.short_sides_px[scene.masked] >= SMALLEST_SIDE_PX
    usable = well_seen(boxes, seen, SMALLEST_ROI_PX) & large
    chosen = usable.nonzero()[:, 0]
    if random is not None:
        chosen = chosen[torch.randperm(len(chosen), generator=random)]
    chosen = chosen[:most_people]
    rois = _cut_to_content(_widened(seen[chosen], padding, box_jitter, random), ignored)
    labels = np.zeros((len(chosen), *mask_size_hw), dtype=np.uint8)
    for label, index, roi in zip(labels, chosen.tolist(), rois.numpy(), strict=True):
        label[grid_mask(unknown, roi, mask_size_hw)] = IGNORED
        label[grid_mask(anybody, roi, mask_size_hw)] = NON_TARGET
        label[grid_mask(masks[index], roi, mask_size_hw)] = TARGET
    people = torch.cat(seen_boxes(scene)[1:])
    return RoiSample(_plain(scene.image), rois, torch.from_numpy(labels), people, mistakes)


def collate_detection(samples: Sequence[DetectionSample | BrokenImage]) -> DetectionBatch:
    """B = 0 when every image is broken."""
    whole, skipped = split_broken(samples)
    return DetectionBatch(
        stacked_images(whole),
        [s.boxes_xyxy for s in whole],
        [s.ignored_xyxy for s in whole],
        skipped,
    )


def collate_foreground(samples: Sequence[ForegroundSample | BrokenImage]) -> ForegroundBatch:
    """B = 0 when every image is broken."""
    whole, skipped = split_broken(samples)
    labels = [s.labels for s in whole] or [torch.empty((0, 0), dtype=torch.uint8)]
    return ForegroundBatch(stacked_images(whole), torch.stack(labels)[: len(whole)], skipped)


def collate_rois(samples: Sequence[RoiSample | BrokenImage]) -> RoiBatch:
    """B = 0 when every image is broken; N = 0 also when nobody is seen in any."""
    whole, skipped = split_broken(samples)
    rois = [F.pad(s.boxes_xyxy, (1, 0), value=index) for index, s in enumerate(whole)]
    labels = [s.labels for s in whole] or [torch.empty((0, 0, 0), dtype=torch.uint8)]
    return RoiBatch(
        stacked_images(whole),
        torch.cat(rois or [torch.empty((0, 5))]),
        torch.cat(labels),
        [s.people_xyxy for s in whole],
        max((s.mistakes for s in whole), default=0.0),
        skipped,
    )


def cut(boxes_xyxy: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """(N, 4) boxes cut to an image."""
    height, width = size_hw
    return boxes_xyxy.clamp(min=0).minimum(boxes_xyxy.new_tensor([width, height, width, height]))


def well_seen(whole_xyxy: Tensor, seen_xyxy: Tensor, smallest_px: float) -> Tensor:
    """(N,) whether enough is seen of each box, both (N, 4)."""
    whole, seen = _sides(whole_xyxy), _sides(seen_xyxy)
    large = seen.amin(dim=1) >= smallest_px
    return large & (seen.prod(dim=1) >= SMALLEST_VISIBLE * whole.prod(dim=1))


def seen_boxes(scene: Scene) -> tuple[Tensor, Tensor, Tensor]:
    """Who is seen well enough to be found (N,), all boxes (N, 4) and the ignored ones (R, 4), cut.

    What is seen of the others is ignored as well: it is neither a fair target nor background.
    """
    boxes = scene.boxes.as_subclass(Tensor)
    seen = cut(boxes, scene.size_hw)
    kept = well_seen(boxes, seen, SMALLEST_SEEN_PX)
    ignored = cut(scene.ignored_boxes.as_subclass(Tensor), scene.size_hw)
    ignored = torch.cat((ignored, seen[~kept]))
    return kept, seen, ignored[_sides(ignored).amin(dim=1) > 0]


def _widened(
    boxes: Tensor, padding: float, box_jitter: float, random: torch.Generator | None
) -> Tensor:
    """Padded and jittered boxes, as a detector might find them; they may reach outside."""
    boxes = boxes + padding * _sides(boxes).repeat(1, 2) * boxes.new_tensor([-1, -1, 1, 1])
    if box_jitter == 0:
        return boxes
    shift = box_jitter * torch.randn(boxes.shape, generator=random)
    return boxes + shift.clamp(-MOST_JITTER, MOST_JITTER) * _sides(boxes).repeat(1, 2)


def _cut_to_content(boxes: Tensor, ignored: NDArray[np.uint8]) -> Tensor:
    """Boxes cut to the part of the square that the image covers, as the server's are."""
    left, top, width, height = cv2.boundingRect((ignored != OUTSIDE).astype(np.uint8))
    low, high = [left, top] * 2, [left + width, top + height] * 2
    return boxes.clamp(boxes.new_tensor(low), boxes.new_tensor(high))


def _sides(boxes_xyxy: Tensor) -> Tensor:
    return boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]


def _plain(image: Tensor) -> Tensor:
    """As an ordinary tensor: torchvision's type would follow it through the network."""
    return image.as_subclass(Tensor)


def split_broken(samples: Sequence[Sample | BrokenImage]) -> tuple[list[Sample], list[str]]:
    """The whole samples, and a line for each broken one."""
    whole = [sample for sample in samples if not isinstance(sample, BrokenImage)]
    return whole, [str(sample) for sample in samples if isinstance(sample, BrokenImage)]


def stacked_images(samples: Sequence[Any]) -> Tensor:
    """uint8 (B, 3, S, S) of samples with an `image`; S is 0 without any."""
    images = [sample.image for sample in samples]
    return torch.stack(images or [torch.empty((3, 0, 0), dtype=torch.uint8)])[: len(images)]
