"""Mask R-CNN (He et al. 2017, arXiv:1703.06870) on ResNet-50 with FPN, as torchvision builds it."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from benchmarks.peers.mask_rcnn.ops import supply_missing_ops
from peopleseg.networks.checkpoint import NETWORK, CheckpointError, read_checkpoint
from peopleseg.pixels.geometry import INPUT_SIZE
from peopleseg.systems.people.contract import MAX_PEOPLE
from peopleseg.systems.people.evaluation.average_precision import AP_MIN_SCORE

supply_missing_ops()

from torchvision.models.detection import MaskRCNN  # noqa: E402  (after supply_missing_ops)
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone  # noqa: E402
from torchvision.models.detection.image_list import ImageList  # noqa: E402

FAMILY = "mask_rcnn"
CLASSES = 2  # background, person
PERSON = 1
MASK_SIZE = 28  # cells a side of a mask over its box
NORM_GROUPS = 32


class Features(NamedTuple):
    """What the backbone makes of a batch."""

    images: ImageList  # normalised, of the network's size
    pyramid: dict[str, Tensor]


class Found(NamedTuple):
    """The people of one image, best score first."""

    boxes_xyxy: Tensor  # [n, 4] pixels of the square
    scores: Tensor  # [n]


class MaskRCNNNetwork(nn.Module):
    """For people, from random weights; images are squares of image_size pixels.

    The backbone has group norm in place of batch norm, which is what training a detector from
    scratch in small batches needs (He et al. 2019, Rethinking ImageNet Pre-training,
    arXiv:1811.08883). rois_per_image: of a training step, people and background together.
    """

    def __init__(self, image_size: int = INPUT_SIZE, rois_per_image: int = 512) -> None:
        super().__init__()
        self.dims = {"image_size": image_size, "rois_per_image": rois_per_image}
        backbone = resnet_fpn_backbone(
            backbone_name="resnet50",
            weights=None,
            norm_layer=partial(nn.GroupNorm, NORM_GROUPS),
            trainable_layers=5,
        )
        self.model = MaskRCNN(
            backbone,
            num_classes=CLASSES,
            min_size=image_size,
            max_size=image_size,
            box_batch_size_per_image=rois_per_image,
            box_score_thresh=AP_MIN_SCORE,
            box_detections_per_img=MAX_PEOPLE,
        )

    def forward(
        self, images: Tensor, boxes_xyxy: list[Tensor], masks: list[Tensor]
    ) -> dict[str, Tensor]:
        """Losses of images [B, 3, S, S] in [0, 1] whose people have boxes [n, 4] and masks.

        masks: of each image uint8 [n, S, S]; n may be 0. The network has to be in training mode.
        """
        targets = [
            {"boxes": boxes, "labels": boxes.new_full((len(boxes),), PERSON).long(), "masks": own}
            for boxes, own in zip(boxes_xyxy, masks, strict=True)
        ]
        return self.model(list(images), targets)

    def features(self, images: Tensor) -> Features:
        """images [B, 3, S, S] in [0, 1]."""
        listed, _ = self.model.transform(list(images))
        return Features(listed, self.model.backbone(listed.tensors))

    def detect(self, features: Features) -> list[Found]:
        """The people of each image, at most MAX_PEOPLE, in evaluation mode."""
        heads, sizes = self.model.roi_heads, features.images.image_sizes
        proposals, _ = self.model.rpn(features.images, features.pyramid)
        pooled = heads.box_head(heads.box_roi_pool(features.pyramid, proposals, sizes))
        responses = heads.postprocess_detections(*heads.box_predictor(pooled), proposals, sizes)
        return [Found(boxes, scores) for boxes, scores, _ in zip(*responses, strict=True)]

    def mask_probabilities(self, features: Features, boxes_xyxy: list[Tensor]) -> Tensor:
        """[N, 28, 28] of all the boxes, image by image."""
        heads, sizes = self.model.roi_heads, features.images.image_sizes
        pooled = heads.mask_roi_pool(features.pyramid, boxes_xyxy, sizes)
        return heads.mask_predictor(heads.mask_head(pooled))[:, PERSON].sigmoid()


def load_mask_rcnn(path: Path) -> MaskRCNNNetwork:
    """The network of a checkpoint, in evaluation mode. Raises CheckpointError, OSError."""
    checkpoint = read_checkpoint(path)
    family = checkpoint.get("network", {}).get("family")
    if family != FAMILY:
        raise CheckpointError(f"{path} holds {family or 'no network'}, expected a {FAMILY}")
    network = MaskRCNNNetwork(**checkpoint["network"]["dims"])
    prefix = f"{NETWORK}."
    network.load_state_dict(
        {
            key.removeprefix(prefix): value
            for key, value in checkpoint["state_dict"].items()
            if key.startswith(prefix)
        }
    )
    return network.eval()
