"""What the network of a checkpoint finds in an image, through the steps that are served."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from peopleseg.networks.checkpoint import Loaded
from peopleseg.networks.people.feature_head import MASK_SIZE, ROI_PADDING
from peopleseg.networks.people.person_segmenter import PersonSegmenter
from peopleseg.pixels.geometry import Letterbox
from peopleseg.systems.people.contract import MASK_CLASSES
from peopleseg.systems.people.person import Person
from peopleseg.systems.people.response import people_of
from peopleseg.systems.people.roi_align import widened
from peopleseg.systems.people.selection import Rois
from training.data.features import roi_features
from training.data.scene import Scene
from training.validation.part import Unmeasurable

ROIS_AT_ONCE = 16  # a head's memory grows with them


class MaskPredictor(NamedTuple):
    """A mask head together with the frozen networks that it reads."""

    run: Callable[[Tensor, Tensor], Tensor]  # images and at most ROIS_AT_ONCE rois to logits
    mask_size_hw: tuple[int, int]
    padding: float  # of a box at each edge, in parts of its side

    def mask_logits(self, images: Tensor, rois: Tensor) -> Tensor:
        """images [B, 3, 640, 640] in [0, 1] and rois [N, 5], padded already, to [N, 3, h, w]."""
        if len(rois) == 0:
            return images.new_zeros((0, len(MASK_CLASSES), *self.mask_size_hw))
        return torch.cat([self.run(images, part) for part in rois.split(ROIS_AT_ONCE)]).float()


def mask_predictor(loaded: Loaded) -> MaskPredictor:
    """The mask head of a checkpoint. Raises Unmeasurable when it lacks a network that it reads."""
    head: Any = loaded.network  # of the class that the family says
    detector: Any = loaded.companions.get("detector")
    if loaded.family == "hierarchical_head":
        people_unet: Any = loaded.companions.get("people_unet")
        segmenter = PersonSegmenter(head, people_unet, detector)
        return MaskPredictor(
            lambda images, rois: segmenter(images, rois).mask_logits, head.mask_size_hw, 0.0
        )
    if detector is None:
        raise Unmeasurable(
            f"a {loaded.family} reads a detector's features; give one with --detector"
        )

    return MaskPredictor(
        lambda images, rois: head(roi_features(detector, images, rois)),
        (MASK_SIZE, MASK_SIZE),
        ROI_PADDING,
    )


def network_input(scene: Scene, device: torch.device) -> Tensor:
    """A letterboxed scene's image as [1, 3, 640, 640] in [0, 1]."""
    return scene.image.as_subclass(Tensor)[None].to(device).float() / 255


def segment(
    predictor: MaskPredictor, images: Tensor, found: Rois, letterbox: Letterbox
) -> list[Person]:
    """The people in the boxes of one image, in image pixels."""
    rois = widened(found.rois, predictor.padding)
    rois[:, 1:] = letterbox.clip_to_content(rois[:, 1:])
    logits = predictor.mask_logits(images, torch.from_numpy(rois).to(images.device))
    people = people_of(logits.cpu().numpy(), rois, found.scores, letterbox)
    boxes = letterbox.boxes_to_image(found.rois[:, 1:]).tolist()
    return [
        Person(tuple(box), float(score), mask, rle)
        for box, score, mask, rle in zip(
            boxes, people.scores, people.masks, people.rles, strict=True
        )
    ]
