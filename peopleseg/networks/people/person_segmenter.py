"""The networks of one pipeline in one module: images and rois to masks, as served, in torch."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from peopleseg.networks.people.mask_head import HeadOutput, MaskHead
from peopleseg.networks.people.people_unet import PeopleUNet
from peopleseg.networks.people.roi_align import align_map, roi_align
from peopleseg.networks.people.yolov9 import YOLOv9
from peopleseg.systems.people.contract import ROI_FEATURE_SIZE_HW


class Maps(NamedTuple):
    """What the frozen networks make of images; None where the head does not read it."""

    person_logit: Tensor | None  # [B, 1, 640, 640]
    features: Tensor | None  # [B, C, h, w]
    predictions: Tensor | None  # [B, 5, anchors], when asked for


class PersonSegmenter(nn.Module):
    """A mask head with the frozen networks whose outputs it reads.

    people_unet: needed by a head with UNet channels. detector: needed by the fused head, for its
    features. Both stay in evaluation mode and get no gradients.
    """

    def __init__(
        self,
        head: MaskHead,
        people_unet: PeopleUNet | None = None,
        detector: YOLOv9 | None = None,
    ) -> None:
        super().__init__()
        for name, companion, needed in (
            ("people UNet", people_unet, head.reads_person_logit),
            ("detector", detector, bool(head.feature_channels)),
        ):
            if needed and companion is None:
                raise ValueError(f"this mask head reads the outputs of a {name}; give one")
        self.head = head
        self.people_unet = people_unet if head.reads_person_logit else None
        self.detector = detector if head.feature_channels else None
        for companion in (self.people_unet, self.detector):
            if companion is not None:
                companion.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> "PersonSegmenter":
        """Training mode for the head alone."""
        self.training = mode
        self.head.train(mode)
        return self

    def forward(
        self, images: Tensor, rois: Tensor, *, refine: bool = False, maps: Maps | None = None
    ) -> HeadOutput:
        """Masks of all rois.

        images: [B, 3, 640, 640] RGB in [0, 1]. rois: [N, 5], batch index and xyxy in network
        pixels; N may be 0 in evaluation mode. `refine` also runs the head's training-only branches.
        maps: of these images, where they are there already.
        """
        with torch.no_grad():
            inputs = self.head_inputs(images, rois, maps)
        return self.head(*inputs, refine=refine)  # type: ignore[no-any-return]

    @torch.no_grad()
    def maps(self, images: Tensor, *, predictions: bool = False) -> Maps:
        """What the frozen networks make of images. `predictions` needs a detector."""
        person_logit = None if self.people_unet is None else self.people_unet(images)
        if self.detector is None:
            return Maps(person_logit, None, None)
        if not predictions:
            return Maps(person_logit, self.detector.features(images), None)
        found = self.detector(images)
        return Maps(person_logit, found.features, found.predictions)

    def head_inputs(
        self, images: Tensor, rois: Tensor, maps: Maps | None = None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """roi_rgb, roi_logit and roi_features, None where the head does not read them."""
        person_logit, features, _ = maps or self.maps(images)
        roi_rgb = roi_align(images, rois, self.head.roi_size_hw)
        roi_logit = roi_features = None
        if person_logit is not None:
            roi_logit = align_map(person_logit, images, rois, self.head.roi_size_hw)
        if features is not None:
            roi_features = align_map(features, images, rois, ROI_FEATURE_SIZE_HW)
        return roi_rgb, roi_logit, roi_features
