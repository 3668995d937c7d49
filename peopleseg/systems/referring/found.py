"""A response of the referring system, as callers of the client and of the pipeline see it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peopleseg.pixels.masks import decode_rle


@dataclass(frozen=True, eq=False)
class Found:
    """The person whom a prompt means; of score 0, without box and mask, where there is nobody."""

    box_xyxy: tuple[float, float, float, float]  # image pixels
    score: float  # [0, 1]
    keypoints: NDArray[np.float32]  # (17, 3): x, y in image pixels, visibility; COCO's order
    rle: dict[str, Any]  # COCO compressed RLE at the image's size

    @property
    def image_mask(self) -> NDArray[np.bool_]:
        """(H, W) True where the image shows this person. Decoded anew at each access."""
        return decode_rle(self.rle).astype(np.bool_)


def found_in(response: Mapping[str, NDArray[Any]]) -> list[Found]:
    """One for each prompt, in their order."""
    return [
        Found((x1, y1, x2, y2), score, keypoints, json.loads(rle))
        for (x1, y1, x2, y2), score, keypoints, rle in zip(
            response["boxes"].tolist(),
            response["scores"].tolist(),
            response["keypoints"],
            response["rles"],
            strict=True,
        )
    ]
