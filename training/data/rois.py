"""Images for the mask heads: people's boxes with label maps."""

from dataclasses import dataclass
from typing import Any

import torch

from peopleseg.labels.coco import AnnotatedImage
from peopleseg.pixels.geometry import INPUT_SIZE
from peopleseg.systems.people.contract import MASK_SIZE_HW
from training.data.module import PeopleData
from training.data.samples import RoiSample, collate_rois, roi_sample
from training.data.scene import read_scene


@dataclass(frozen=True)
class RoiSettings:
    mask_size_hw: tuple[int, int] = MASK_SIZE_HW  # cells of a label map over its box
    most_people: int = 10  # of one image in a training step, chosen anew every epoch
    padding: float = 0.0  # around a box, in parts of its sides
    box_jitter: float = 0.0  # standard deviation of an edge in training, in parts of the side
    mistakes: float = 0.0  # of the detector: rois of nobody in a step, in parts of those of people


class RoiData(PeopleData):
    """Canvases of 640 pixels with people's boxes.

    Trained on are images of people with a mask and, for the detector's mistakes, all others that
    have everybody.
    """

    def __init__(
        self,
        *args: Any,
        roi: RoiSettings = RoiSettings(),  # noqa: B008  (frozen)
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.roi = roi
        self.augment = self.augmented_view(INPUT_SIZE)
        self.whole = self.view(INPUT_SIZE)

    def usable(self, image: AnnotatedImage) -> bool:
        return bool(image.masked_people) or (self.roi.mistakes > 0 and image.everybody)

    def training_sample(self, image: AnnotatedImage, epoch: int) -> RoiSample:
        random = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
        return roi_sample(
            self.augment(read_scene(image)),
            self.roi.mask_size_hw,
            self.roi.most_people,
            random,
            padding=self.roi.padding,
            box_jitter=self.roi.box_jitter,
            mistakes=self.roi.mistakes,
        )

    def validation_sample(self, image: AnnotatedImage, epoch: int) -> RoiSample:
        scene = self.whole(read_scene(image))
        return roi_sample(scene, self.roi.mask_size_hw, None, padding=self.roi.padding)

    collate = staticmethod(collate_rois)
    collate_validation = staticmethod(collate_rois)
