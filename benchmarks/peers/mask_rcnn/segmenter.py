"""Mask R-CNN as something that answers like our server, so that the same metrics measure both."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch.nn import functional as F

from benchmarks.peers.mask_rcnn.network import Features, MaskRCNNNetwork
from peopleseg.pixels.geometry import Letterbox, clip_boxes
from peopleseg.pixels.images import decode_image
from peopleseg.pixels.masks import decode_rle, encode_rle, paste_mask
from peopleseg.systems.people.contract import MASK_SIZE_HW
from peopleseg.systems.people.evaluation.average_precision import AP_MIN_SCORE
from peopleseg.systems.people.person import Person
from peopleseg.systems.people.selection import SMALLEST_SIDE_PX

FOREGROUND_SCORE = 0.5  # people above it are the foreground


@dataclass(frozen=True)
class _Seen:
    """One image, once through the network."""

    image: bytes
    letterbox: Letterbox
    features: Features
    people: list[Person]


class MaskRCNNSegmenter:
    """Answers like a SegmentationClient; the network is in evaluation mode and stays on its device.

    It masks who enters an AP, people of a score of at least AP_MIN_SCORE. As the server, it answers
    with masks of 128 x 96 cells, and those pasted into the image; the 28 x 28 cells are
    interpolated to that grid.
    """

    def __init__(self, network: MaskRCNNNetwork) -> None:
        self.network = network
        self.device = next(network.parameters()).device
        self._last: _Seen | None = None  # the three requests come one after the other

    def segment(self, image: bytes, *, min_score: float | None = None) -> list[Person]:
        """Everybody in the image who is masked, of at least min_score."""
        return [person for person in self._see(image).people if person.score >= (min_score or 0)]

    def segment_from_boxes(self, image: bytes, boxes_xyxy: ArrayLike) -> list[Person]:
        """One person a box, by the mask branch alone."""
        seen = self._see(image)
        boxes = np.asarray(boxes_xyxy, dtype=np.float32).reshape(-1, 4)
        return self._people(seen.features, seen.letterbox, boxes, np.ones(len(boxes)))

    def foreground(self, image: bytes) -> NDArray[np.uint8]:
        """(H, W) 255 where anybody of a score above FOREGROUND_SCORE is, else 0."""
        seen = self._see(image)
        sure = [person.rle for person in seen.people if person.score > FOREGROUND_SCORE]
        return union_of(sure, (seen.letterbox.height, seen.letterbox.width))

    @torch.inference_mode()
    def _see(self, image: bytes) -> _Seen:
        if self._last is None or self._last.image is not image:
            image_rgb, size = decode_image(image), self.network.dims["image_size"]
            letterbox = Letterbox.fit(image_rgb.shape[1], image_rgb.shape[0], size)
            square = torch.from_numpy(letterbox.apply(image_rgb, size)).permute(2, 0, 1)
            features = self.network.features(square[None].to(self.device).float() / 255)
            boxes, scores = self._boxes(features, letterbox)
            people = self._people(features, letterbox, boxes, scores)
            self._last = _Seen(image, letterbox, features, people)
        return self._last

    def _boxes(
        self, features: Features, letterbox: Letterbox
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Boxes (n, 4) in image pixels and scores (n,)."""
        found = self.network.detect(features)[0]
        in_square = found.boxes_xyxy.float().cpu().numpy()
        boxes = clip_boxes(letterbox.boxes_to_image(in_square), letterbox.width, letterbox.height)
        scores = found.scores.float().cpu().numpy()
        large = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) >= SMALLEST_SIDE_PX
        chosen = large & (scores >= AP_MIN_SCORE)
        return boxes[chosen], scores[chosen]

    @torch.inference_mode()
    def _people(
        self,
        features: Features,
        letterbox: Letterbox,
        boxes_xyxy: NDArray[np.float32],
        scores: NDArray[np.floating],
    ) -> list[Person]:
        if not len(boxes_xyxy):
            return []
        in_square = torch.from_numpy(letterbox.boxes_to_network(boxes_xyxy)).to(self.device)
        cells = self.network.mask_probabilities(features, [in_square])
        grids = F.interpolate(cells[:, None], MASK_SIZE_HW, mode="bilinear", align_corners=False)
        masks = (grids[:, 0] * 255).round().byte().cpu().numpy()
        size_hw = (letterbox.height, letterbox.width)
        return [
            Person(
                tuple(box.tolist()), float(score), mask, encode_rle(paste_mask(mask, box, size_hw))
            )
            for box, score, mask in zip(boxes_xyxy, scores, masks, strict=True)
        ]


def union_of(rles: Iterable[dict], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W) 255 where any of the masks is, else 0."""
    union = np.zeros(size_hw, dtype=np.uint8)
    for rle in rles:
        union |= decode_rle(rle)
    return union * np.uint8(255)
