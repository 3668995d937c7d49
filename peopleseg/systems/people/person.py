"""The people of a response, one by one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peopleseg.pixels.masks import decode_rle
from peopleseg.systems.people.response import People


@dataclass(frozen=True, eq=False)
class Person:
    """Where one person is in the image that was sent."""

    box_xyxy: tuple[float, float, float, float]  # image pixels, within the image
    score: float  # [0, 1]; 1 where the caller brought the box
    mask: NDArray[np.uint8]  # (h, w) probability x 255 of being this person, over the box
    rle: dict[str, Any]  # COCO compressed RLE at the image's size: {"size": [H, W], "counts": str}

    @property
    def image_mask(self) -> NDArray[np.bool_]:
        """(H, W) True where the image shows this person. Decoded anew at each access."""
        return decode_rle(self.rle).astype(np.bool_)


def people_in(response: Mapping[str, NDArray[Any]]) -> People:
    """The people of a response's tensors."""
    rles = [json.loads(rle) for rle in response["rles"]]
    return People(response["boxes"], response["scores"], response["masks"], rles)


def persons(people: People) -> list[Person]:
    """The same people one by one, in their order."""
    return [
        Person((x1, y1, x2, y2), score, mask, rle)
        for (x1, y1, x2, y2), score, mask, rle in zip(
            people.boxes.tolist(), people.scores.tolist(), people.masks, people.rles, strict=True
        )
    ]
