"""What the referring networks train on: a square image, prompts, and whom each means."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from peopleseg.labels.keypoints import COUNT
from training.data.images import BrokenImage
from training.data.samples import split_broken, stacked_images
from training.referring.images import ReferredPerson
from training.referring.targets import RefTargets
from training.referring.views import View

PADDING = -1.0  # label of a point that is none
UNKNOWN = 255  # in a mask


class Prompt(NamedTuple):
    """A text, or points; x, y are in pixels of the square."""

    text: str | None
    points: NDArray[np.float32]  # (k, 3) x, y, label: 1 on the person, 0 not; k = 0 with a text


class RefSample(NamedTuple):
    image: Tensor  # uint8 (3, S, S) RGB
    prompts: list[Prompt]  # P of them
    targets: RefTargets  # P


class RefBatch(NamedTuple):
    images: Tensor  # uint8 (B, 3, S, S) RGB
    image_of: Tensor  # int64 (P,) which image each prompt is about
    text: list[str | None]  # P
    points: Tensor  # float32 (P, K, 3) x, y in pixels of the square, label 1, 0, or -1 padding
    targets: RefTargets
    skipped: list[str]  # a line for each broken image


def target_of(person: ReferredPerson, view: View, mask: NDArray[np.uint8] | None) -> RefTargets:
    """Of one person, P = 1; mask: (S, S) of 0 and 1 in the square, None where it is not known."""
    size = view.size
    x1, y1, x2, y2 = (float(value) for value in view.box(person.person.box_xyxy) / size)
    keypoints, visible = _keypoints(person, view)
    area = person.area_px * view.zoom**2 / size**2
    if mask is None:
        mask_tensor = torch.full((1, size, size), UNKNOWN, dtype=torch.uint8)
    else:
        mask_tensor = torch.from_numpy(mask)[None]
    return RefTargets(
        boxes_cxcywh=torch.tensor([[(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]]),
        keypoints=keypoints[None],
        visible=visible[None],
        masks=mask_tensor,
        mask_known=torch.tensor([mask is not None]),
        areas=torch.tensor([area], dtype=torch.float32),
    )


def collate(samples: Sequence[RefSample | BrokenImage]) -> RefBatch:
    """B = 0 and P = 0 when every image is broken; K is 1 at least."""
    whole, skipped = split_broken(samples)
    prompts = [prompt for sample in whole for prompt in sample.prompts]
    counts = torch.tensor([len(sample.prompts) for sample in whole], dtype=torch.int64)
    return RefBatch(
        images=stacked_images(whole),
        image_of=torch.repeat_interleave(torch.arange(len(whole)), counts),
        text=[prompt.text for prompt in prompts],
        points=_padded([prompt.points for prompt in prompts]),
        targets=concatenated([sample.targets for sample in whole], size=0),
        skipped=skipped,
    )


def concatenated(targets: Sequence[RefTargets], size: int) -> RefTargets:
    """P of all together; P = 0 of none, in a square of `size` pixels a side."""
    return RefTargets(*(map(torch.cat, zip(*targets or [_nobody(size)], strict=True))))


def _nobody(size: int) -> RefTargets:
    return RefTargets(
        boxes_cxcywh=torch.empty((0, 4)),
        keypoints=torch.empty((0, COUNT, 2)),
        visible=torch.empty((0, COUNT)),
        masks=torch.empty((0, size, size), dtype=torch.uint8),
        mask_known=torch.empty(0, dtype=torch.bool),
        areas=torch.empty(0),
    )


def _keypoints(person: ReferredPerson, view: View) -> tuple[Tensor, Tensor]:
    """(17, 2) in parts of the square and (17,) whether each is known and in the view; else 0."""
    if person.keypoints is None:
        return torch.zeros((COUNT, 2)), torch.zeros(COUNT)
    points = view.keypoints(person.keypoints)
    shares = points[:, :2] / view.size
    known = (points[:, 2] > 0) & ((shares >= 0) & (shares <= 1)).all(axis=1)
    return torch.from_numpy(shares * known[:, None]), torch.from_numpy(known.astype(np.float32))


def _padded(points: Sequence[NDArray[np.float32]]) -> Tensor:
    most = max((len(one) for one in points), default=0)
    padded = np.zeros((len(points), max(1, most), 3), np.float32)
    padded[..., 2] = PADDING
    for row, one in zip(padded, points, strict=True):
        row[: len(one)] = one
    return torch.from_numpy(padded)
