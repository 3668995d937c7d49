"""An image with everybody in it, as tensors that torchvision's v2 transforms take."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from peopleseg.labels.coco import AnnotatedImage, Annotation, box_pixels
from peopleseg.networks.torchvision_ops import declare_missing_ops
from training.data.images import read_rgb

declare_missing_ops()

from torchvision import tv_tensors  # noqa: E402  (after declare_missing_ops)

# In Scene.ignored. UNKNOWN: people may be here, and no mask tells where. That is the boxes of those
# without a mask and, where not everybody is annotated, all but the boxes of those with one.
CROWD, OUTSIDE, UNKNOWN = 1, 2, 3

_NO_BOXES = np.empty((0, 4), dtype=np.float32)


class Scene(NamedTuple):
    """An image of H x W pixels, or a view of one, with N people (crowds are not among them).

    As a tuple of torchvision's types it goes through any v2 transform. A box stays whole when a
    view cuts its person off, which tells how much of the person is seen: `samples.cut` cuts it.
    """

    image: tv_tensors.Image  # uint8 (3, H, W) RGB
    boxes: tv_tensors.BoundingBoxes  # float32 (N, 4) xyxy pixels, may reach outside
    short_sides_px: Tensor  # float32 (N,) of the boxes in the image as it was annotated
    masks: tv_tensors.Mask | None  # uint8 (M, H, W) of 0 and 1; None: read without masks
    ignored: tv_tensors.Mask | None  # uint8 (1, H, W): CROWD, OUTSIDE of the image, UNKNOWN or 0
    masked: Tensor  # bool (N,), M of them true: whom the masks are of, in this order
    ignored_boxes: tv_tensors.BoundingBoxes  # float32 (R, 4) xyxy: others may be in them

    @property
    def size_hw(self) -> tuple[int, int]:
        """Pixels."""
        return self.image.shape[-2], self.image.shape[-1]

    def image_rgb(self) -> NDArray[np.uint8]:
        """The image as (H, W, 3); shares its memory."""
        return self.image.numpy().transpose(1, 2, 0)

    def mask_arrays(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """masks and ignored as (M, H, W) and (H, W); they share their memory.

        Raises ValueError when the scene was read without masks.
        """
        if self.masks is None or self.ignored is None:
            raise ValueError("the scene has no masks; read it with with_masks=True")
        return self.masks.numpy(), self.ignored.numpy()[0]

    def viewed(
        self,
        image_rgb: NDArray[np.uint8],
        to_view: Callable[[Tensor], Tensor],
        masks: NDArray[np.uint8] | None,
        ignored: NDArray[np.uint8] | None,
    ) -> "Scene":
        """The same people in another image; to_view: of boxes (n, 4), pixels."""
        return make_scene(
            image_rgb,
            to_view(self.boxes.as_subclass(Tensor)),
            self.short_sides_px,
            masks,
            ignored,
            self.masked,
            to_view(self.ignored_boxes.as_subclass(Tensor)),
        )


def make_scene(
    image_rgb: NDArray[np.uint8],
    boxes_xyxy: NDArray[np.float32] | Tensor,
    short_sides_px: Tensor,
    masks: NDArray[np.uint8] | None,
    ignored: NDArray[np.uint8] | None,
    masked: Tensor | None = None,
    ignored_xyxy: NDArray[np.float32] | Tensor = _NO_BOXES,
) -> Scene:
    """image_rgb: (H, W, 3); boxes_xyxy: (N, 4); masks: (M, H, W); ignored: (1, H, W); masked: (N,),
    by default all; ignored_xyxy: (R, 4)."""
    size_hw = image_rgb.shape[:2]
    boxes = _bounding_boxes(boxes_xyxy, size_hw)
    return Scene(
        tv_tensors.Image(torch.from_numpy(image_rgb).permute(2, 0, 1)),
        boxes,
        short_sides_px,
        None if masks is None else tv_tensors.Mask(torch.from_numpy(masks)),
        None if ignored is None else tv_tensors.Mask(torch.from_numpy(ignored)),
        torch.ones(len(boxes), dtype=torch.bool) if masked is None else masked,
        _bounding_boxes(ignored_xyxy, size_hw),
    )


def read_scene(image: AnnotatedImage, *, with_masks: bool = True) -> Scene:
    """Read an image and draw its people's masks. Raises BrokenImage.

    Without masks it is a third faster, and enough for a detector.
    """
    image_rgb = read_rgb(image)
    height, width = image_rgb.shape[:2]
    people = image.people
    boxes = _boxes(people)
    return make_scene(
        image_rgb,
        boxes,
        torch.from_numpy((boxes[:, 2:] - boxes[:, :2]).min(axis=1)),
        _drawn(image.masked_people, height, width) if with_masks else None,
        _ignored(image) if with_masks else None,
        torch.tensor([person.masked for person in people], dtype=torch.bool),
        _ignored_boxes(image),
    )


def _bounding_boxes(
    boxes_xyxy: NDArray[np.float32] | Tensor, size_hw: tuple[int, ...]
) -> tv_tensors.BoundingBoxes:
    return tv_tensors.BoundingBoxes(
        torch.as_tensor(boxes_xyxy, dtype=torch.float32).reshape(-1, 4),
        format="XYXY",
        canvas_size=size_hw,
        clamping_mode=None,
    )


def _boxes(annotations: Sequence[Annotation]) -> NDArray[np.float32]:
    boxes = [annotation.box_xyxy for annotation in annotations]
    return np.array(boxes, dtype=np.float32).reshape(-1, 4)


def _ignored_boxes(image: AnnotatedImage) -> NDArray[np.float32]:
    """Of the crowds; the whole image where not everybody is annotated."""
    if not image.everybody:
        return np.array([[0, 0, image.width, image.height]], dtype=np.float32)
    return _boxes([annotation for annotation in image.annotations if annotation.crowd])


def _ignored(image: AnnotatedImage) -> NDArray[np.uint8]:
    """(1, height, width) of CROWD, UNKNOWN and 0; known masks may lie over it."""
    size_hw = image.height, image.width
    ignored = np.full(size_hw, 0 if image.everybody else UNKNOWN, dtype=np.uint8)
    for person in image.masked_people:  # who else is in their boxes is taken to be annotated
        ignored[box_pixels(person.box_xyxy, size_hw)] = 0
    for annotation in image.annotations:
        if not annotation.masked:
            ignored[box_pixels(annotation.box_xyxy, size_hw)] = UNKNOWN
    for crowd in image.annotations:
        if crowd.crowd and crowd.masked:
            ignored[crowd.mask(*size_hw) > 0] = CROWD
    return ignored[np.newaxis]


def _drawn(annotations: list[Annotation], height: int, width: int) -> NDArray[np.uint8]:
    """(N, height, width) of 0 and 1."""
    masks = np.empty((len(annotations), height, width), dtype=np.uint8)
    for mask, annotation in zip(masks, annotations, strict=True):
        mask[:] = annotation.mask(height, width)
    return masks
