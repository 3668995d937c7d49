"""Measure the network of a checkpoint on label maps, at the images' own sizes, as it is served."""

import sys
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from peopleseg.errors import InvalidInput
from peopleseg.labels.label_maps import LabelledImage
from peopleseg.pixels.images import prepare
from peopleseg.systems.semantic.evaluation.metrics import Confusion
from peopleseg.systems.semantic.response import in_image
from training.validation.part import Unmeasurable

SIZE = 512  # side of the square that a network sees, pixels


def confusion_of(
    network: nn.Module,
    names: Sequence[str],
    images: Sequence[LabelledImage],
    *,
    device: torch.device | str = "cpu",
    size: int | None = None,
) -> Confusion:
    """What a network finds in all images against their labels. Moves it to `device`.

    network: [B, 3, size, size] in [0, 1] to class logits of that size. An image that does not
    decode is named on stderr and left out. Raises Unmeasurable where none does, AnnotationError
    for a broken label map or one of other classes.
    """
    network.to(device)
    total = Confusion(names)
    for image, found in _class_maps(network, images, torch.device(device), size or SIZE):
        total.add(image.label_map(len(names)), found)
    if not total.images:
        raise Unmeasurable(f"none of {len(images)} images can be measured")
    return total


@torch.inference_mode()
def class_map(
    network: nn.Module, image: bytes, device: torch.device, size: int
) -> NDArray[np.uint8]:
    """(H, W) of the encoded image: the likeliest class of each pixel. Raises InvalidInput."""
    pixels, letterbox = prepare(image, size=size)
    logits = network(torch.from_numpy(pixels).to(device).float() / 255)
    return in_image(logits[0].argmax(dim=0).to(torch.uint8).cpu().numpy(), letterbox)


def _class_maps(
    network: nn.Module, images: Sequence[LabelledImage], device: torch.device, size: int
) -> Iterator[tuple[LabelledImage, NDArray[np.uint8]]]:
    # disable=None: no bar where nobody watches, in a log or a pipe
    for image in tqdm(images, unit="image", leave=False, disable=None):
        try:
            found = class_map(network, image.read(), device, size)
        except (InvalidInput, OSError) as broken:
            tqdm.write(f"left out: {image.path}: {broken}", file=sys.stderr)
            continue
        yield image, found
