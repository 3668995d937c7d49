"""Train Mask R-CNN by `peopleseg train`, on the data and with the metrics of our own networks."""

from typing import Any

import torch
from torch import Tensor

from benchmarks.peers.mask_rcnn.data import InstanceBatch, MaskRCNNData
from benchmarks.peers.mask_rcnn.network import FAMILY, MaskRCNNNetwork
from peopleseg.pixels.geometry import INPUT_SIZE, Letterbox
from training.data.detection import DetectionValidationBatch
from training.data.images import DataError
from training.tasks.detector import BoxTask


class MaskRCNN(BoxTask):
    """torchvision's Mask R-CNN for people, from scratch.

    image_size has to be the data's `size`; rois_per_image: of a training step.
    """

    family = FAMILY
    network: MaskRCNNNetwork

    def __init__(
        self,
        image_size: int = INPUT_SIZE,
        rois_per_image: int = 512,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.network = MaskRCNNNetwork(image_size, rois_per_image)

    def setup(self, stage: str) -> None:
        data, image_size = self.data(), self.network.dims["image_size"]
        if not isinstance(data, MaskRCNNData) or data.size != image_size:
            raise DataError(
                f"the network is for squares of {image_size} pixels, the data are a "
                f"{type(data).__name__} of {getattr(data, 'size', 'other')} pixels; expected a "
                "MaskRCNNData with data.size the same as model.image_size"
            )
        super().setup(stage)

    def loss_terms(self, batch: InstanceBatch) -> dict[str, Tensor]:
        terms = self.network(batch.images.float() / 255, batch.boxes_xyxy, batch.masks)
        named = {name.removeprefix("loss_"): value for name, value in terms.items()}
        return {**named, "loss": sum(terms.values())}

    def validation_step(self, batch: DetectionValidationBatch, batch_idx: int) -> None:
        if not len(batch.images):
            return
        size = self.network.dims["image_size"]
        found = self.network.detect(self.network.features(batch.images.float() / 255))
        for image_id, people in zip(batch.image_ids, found, strict=True):
            image = self.average_precision.images[image_id]
            letterbox = Letterbox.fit(image.width, image.height, size)
            boxes = letterbox.clip_to_content(people.boxes_xyxy.float().cpu().numpy())
            in_image = torch.from_numpy(letterbox.boxes_to_image(boxes)).to(self.device)
            self.average_precision.update(image_id, in_image, people.scores)
