"""Images for the people UNet: which pixels are people."""

from typing import Any

from peopleseg.labels.coco import AnnotatedImage
from peopleseg.pixels.geometry import INPUT_SIZE
from training.data.module import PeopleData
from training.data.samples import ForegroundSample, collate_foreground, foreground_sample
from training.data.scene import read_scene


class ForegroundData(PeopleData):
    """Training canvases of `size` pixels; validation is on 640 pixels, which the network shrinks
    to its working size as it does when served."""

    def __init__(self, *args: Any, size: int = INPUT_SIZE, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.augment = self.augmented_view(size)
        self.whole = self.view(INPUT_SIZE)

    def training_sample(self, image: AnnotatedImage, epoch: int) -> ForegroundSample:
        return foreground_sample(self.augment(read_scene(image)))

    def validation_sample(self, image: AnnotatedImage, epoch: int) -> ForegroundSample:
        return foreground_sample(self.whole(read_scene(image)))

    collate = staticmethod(collate_foreground)
    collate_validation = staticmethod(collate_foreground)
