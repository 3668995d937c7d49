"""Train Mask R-CNN by `peopleseg train`, on the data and with the metrics of our own networks."""

from collections.abc import Mapping

from torch import Tensor
from torchmetrics import Metric

from benchmarks.peers.mask_rcnn.data import InstanceBatch, MaskRCNNData
from benchmarks.peers.mask_rcnn.network import FAMILY, MaskRCNNNetwork
from peopleseg.pixels.geometry import INPUT_SIZE, Letterbox
from training.data.detection import DetectionValidationBatch
from training.data.images import DataError
from training.optimisation import BackboneSettings, OptimizerSettings, ScheduleSettings
from training.tasks.base import Task
from training.validation.metrics import BoxAveragePrecision


class MaskRCNN(Task):
    """torchvision's Mask R-CNN for people, from scratch.

    image_size has to be the data's `size`; rois_per_image: of a training step.
    """

    family = FAMILY
    monitor = "box_ap50"
    network: MaskRCNNNetwork

    def __init__(
        self,
        image_size: int = INPUT_SIZE,
        rois_per_image: int = 512,
        optimizer: OptimizerSettings = OptimizerSettings(),  # noqa: B008  (frozen)
        schedule: ScheduleSettings = ScheduleSettings(),  # noqa: B008
        backbone: BackboneSettings = BackboneSettings(),  # noqa: B008
    ) -> None:
        super().__init__(optimizer, schedule, backbone)
        self.network = MaskRCNNNetwork(image_size, rois_per_image)
        self.average_precision: BoxAveragePrecision | None = None

    def setup(self, stage: str) -> None:
        data, image_size = self.data(), self.network.dims["image_size"]
        if not isinstance(data, MaskRCNNData) or data.size != image_size:
            raise DataError(
                f"the network is for squares of {image_size} pixels, the data are a "
                f"{type(data).__name__} of {getattr(data, 'size', 'other')} pixels; expected a "
                "MaskRCNNData with data.size the same as model.image_size"
            )
        self.images = {image.id: image for image in data.val_images}
        self.average_precision = BoxAveragePrecision(data.val_images)

    def loss_terms(self, batch: InstanceBatch) -> dict[str, Tensor]:
        terms = self.network(batch.images.float() / 255, batch.boxes_xyxy, batch.masks)
        named = {name.removeprefix("loss_"): value for name, value in terms.items()}
        return {**named, "loss": sum(terms.values())}

    def validation_step(self, batch: DetectionValidationBatch, batch_idx: int) -> None:
        assert self.average_precision is not None
        if not len(batch.images):
            return
        size = self.network.dims["image_size"]
        found = self.network.detect(self.network.features(batch.images.float() / 255))
        for image_id, people in zip(batch.image_ids, found, strict=True):
            image = self.images[image_id]
            letterbox = Letterbox.fit(image.width, image.height, size)
            boxes = letterbox.clip_to_content(people.boxes_xyxy.float().cpu().numpy())
            in_image = self.to_tensor(letterbox.boxes_to_image(boxes))
            self.average_precision.update(image_id, in_image, people.scores)

    def metrics(self) -> Mapping[str, Metric]:
        assert self.average_precision is not None
        return {"box_ap": self.average_precision}
