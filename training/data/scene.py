"""A picture with everybody in it, as tensors that torchvision's v2 transforms take."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from peopleseg.coco import Annotation, Picture
from peopleseg.networks.torchvision_ops import declare_missing_ops
from training.data.pictures import BrokenPicture, read_rgb

declare_missing_ops()

from torchvision import tv_tensors  # noqa: E402  (after declare_missing_ops)

CROWD, OUTSIDE = 1, 2  # in Scene.ignored


class Scene(NamedTuple):
    """A picture of H x W pixels, or a view of one, with N people (crowds are not among them).

    As a tuple of torchvision's types it goes through any v2 transform. A box stays whole when a
    view cuts its person off, which tells how much of the person is seen: `samples.cut` cuts it.
    """

    image: tv_tensors.Image  # uint8 (3, H, W) RGB
    boxes: tv_tensors.BoundingBoxes  # float32 (N, 4) xyxy pixels, may reach outside
    short_sides_px: Tensor  # float32 (N,) of the boxes in the picture as it was annotated
    masks: tv_tensors.Mask | None  # uint8 (N, H, W) of 0 and 1; None: read without masks
    ignored: tv_tensors.Mask | None  # uint8 (1, H, W): CROWD, OUTSIDE of the picture, else 0

    @property
    def size_hw(self) -> tuple[int, int]:
        """Pixels."""
        return self.image.shape[-2], self.image.shape[-1]

    def image_rgb(self) -> NDArray[np.uint8]:
        """The image as (H, W, 3); shares its memory."""
        return self.image.numpy().transpose(1, 2, 0)

    def mask_arrays(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """masks and ignored as (N, H, W) and (H, W); they share their memory.

        Raises ValueError when the scene was read without masks.
        """
        if self.masks is None or self.ignored is None:
            raise ValueError("the scene has no masks; read it with with_masks=True")
        return self.masks.numpy(), self.ignored.numpy()[0]


def make_scene(
    image_rgb: NDArray[np.uint8],
    boxes_xyxy: NDArray[np.float32] | Tensor,
    short_sides_px: Tensor,
    masks: NDArray[np.uint8] | None,
    ignored: NDArray[np.uint8] | None,
) -> Scene:
    """image_rgb: (H, W, 3); boxes_xyxy: (N, 4); masks: (N, H, W); ignored: (1, H, W)."""
    boxes = tv_tensors.BoundingBoxes(
        torch.as_tensor(boxes_xyxy, dtype=torch.float32).reshape(-1, 4),
        format="XYXY",
        canvas_size=image_rgb.shape[:2],
        clamping_mode=None,
    )
    return Scene(
        tv_tensors.Image(torch.from_numpy(image_rgb).permute(2, 0, 1)),
        boxes,
        short_sides_px,
        None if masks is None else tv_tensors.Mask(torch.from_numpy(masks)),
        None if ignored is None else tv_tensors.Mask(torch.from_numpy(ignored)),
    )


def read_scene(picture: Picture, *, with_masks: bool = True) -> Scene:
    """Read a picture and draw its people's masks. Raises BrokenPicture.

    Without masks it is a third faster, and enough for a detector.
    """
    image_rgb = read_rgb(picture.path)
    height, width = image_rgb.shape[:2]
    if (width, height) != (picture.width, picture.height):
        raise BrokenPicture(
            f"{picture.path} decodes to {width} x {height} pixels, its annotations are for "
            f"{picture.width} x {picture.height}"
        )
    people = picture.people
    crowds = [annotation for annotation in picture.annotations if annotation.crowd]
    boxes = np.array([person.box_xyxy for person in people], dtype=np.float32).reshape(-1, 4)
    short_sides_px = torch.from_numpy((boxes[:, 2:] - boxes[:, :2]).min(axis=1))
    if not with_masks:
        return make_scene(image_rgb, boxes, short_sides_px, None, None)
    crowd = _drawn(crowds, height, width).any(axis=0, keepdims=True).astype(np.uint8) * CROWD
    return make_scene(image_rgb, boxes, short_sides_px, _drawn(people, height, width), crowd)


def _drawn(annotations: list[Annotation], height: int, width: int) -> NDArray[np.uint8]:
    """(N, height, width) of 0 and 1."""
    masks = np.empty((len(annotations), height, width), dtype=np.uint8)
    for mask, annotation in zip(masks, annotations, strict=True):
        mask[:] = annotation.mask(height, width)
    return masks
