"""Prompts that point: clicks, points and scribbles on a person, and points on what is not.

Coordinates are continuous x, y in pixels of the mask: the centre of pixel (column i, row j) is
(i + 0.5, j + 0.5).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from peopleseg.labels.keypoints import INDEX, VISIBLE
from peopleseg.labels.referring import SCRIBBLE_POINTS

TRIES = 64  # curves through random points of a mask, before the fallback
DEEP = 0.7  # a click is at least this deep in the mask, in parts of its deepest pixel
TORSO = ("left_shoulder", "right_shoulder", "right_hip", "left_hip")
TORSO_MIDDLE = 0.7  # of the way from the torso's middle to its corners is surely on the person

Points = NDArray[np.float32]  # (n, 2) x, y
Mask = NDArray[np.uint8]  # (H, W) of 0 and 1

# Of a cubic Bezier curve: the weight of each of 4 control points at uniform steps, (12, 4).
_T = np.linspace(0, 1, SCRIBBLE_POINTS)[:, None]
_BEZIER = np.hstack(((1 - _T) ** 3, 3 * _T * (1 - _T) ** 2, 3 * _T**2 * (1 - _T), _T**3))


def points_on(mask: Mask, count: int, random: np.random.Generator) -> Points:
    """`count` random points of a mask that has one at least."""
    rows, columns = np.nonzero(mask)
    chosen = random.integers(0, len(rows), count)
    return np.stack((columns[chosen], rows[chosen]), axis=1).astype(np.float32) + 0.5


def click_on(mask: Mask, random: np.random.Generator) -> Points:
    """(1, 2) a point deep inside a mask, as people click."""
    depth = _depth(mask)
    return points_on((depth >= DEEP * depth.max()).astype(np.uint8), 1, random)


def scribble_on(mask: Mask, random: np.random.Generator, *, tries: int = TRIES) -> Points:
    """(12, 2) a cubic Bezier curve through 4 random points of a mask, all 12 in it (RefHuman).

    A curve leaves a thin mask. After so many tries it is one through 4 points of the largest disc
    in the mask, which holds all of it.
    """
    controls = points_on(mask, 4 * tries, random).reshape(tries, 4, 2)
    curves = (_BEZIER @ controls).astype(np.float32)  # (tries, 12, 2)
    columns, rows = np.floor(curves).astype(np.int64).transpose(2, 0, 1)
    inside = (mask[rows, columns] > 0).all(axis=1)
    if inside.any():
        return curves[int(inside.argmax())]
    return _scribble_in_disc(mask, random)


def points_on_torso(
    keypoints: NDArray[np.floating], count: int, random: np.random.Generator
) -> Points | None:
    """(count, 2) points between the visible corners of the torso, for who has no mask.

    keypoints: (17, 3) x, y, visibility. None where fewer than three corners are seen.
    """
    corners = torso_of(keypoints)
    if corners is None:
        return None
    weights = random.dirichlet(np.ones(len(corners)), count)
    return (weights @ corners).astype(np.float32)


def scribble_on_torso(
    keypoints: NDArray[np.floating], random: np.random.Generator
) -> Points | None:
    """(12, 2) a curve between the visible corners of the torso; None as `points_on_torso`."""
    controls = points_on_torso(keypoints, 4, random)
    return None if controls is None else (_BEZIER @ controls).astype(np.float32)


def torso_of(keypoints: NDArray[np.floating]) -> NDArray[np.float64] | None:
    """(3 or 4, 2) its visible corners, drawn to their middle: what is between is on the person.

    None where fewer are seen.
    """
    corners = keypoints[[INDEX[name] for name in TORSO]]
    seen = corners[corners[:, 2] == VISIBLE, :2].astype(np.float64)
    if len(seen) < 3:
        return None
    middle = seen.mean(axis=0)
    return middle + TORSO_MIDDLE * (seen - middle)


def _scribble_in_disc(mask: Mask, random: np.random.Generator) -> Points:
    depth = _depth(mask)
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    # To the centre of the nearest pixel that is not of the mask: half a pixel less is surely in it.
    radius = max(float(depth[row, column]) - 1, 0.0)
    angles, spread = random.uniform(0, 2 * np.pi, 4), radius * np.sqrt(random.random(4))
    controls = np.stack((np.cos(angles), np.sin(angles)), axis=1) * spread[:, None]
    return (_BEZIER @ controls + (column + 0.5, row + 0.5)).astype(np.float32)


def _depth(mask: Mask) -> NDArray[np.float32]:
    """How far each pixel is from what is not of the mask; beyond the image is none of it."""
    bordered = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=[0])
    return cv2.distanceTransform(bordered, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
