"""Train the network that finds a person's joints in a crop."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanMetric, Metric

from peopleseg.networks.checkpoint import CheckpointError, load_network
from peopleseg.networks.people.narrow_people_unet import NarrowPeopleUNet
from peopleseg.networks.people.people_unet import PeopleUNet
from peopleseg.networks.referring.pose import PersonPose
from peopleseg.systems.referring.evaluation.oks import oks
from peopleseg.systems.referring.evaluation.pckh import keypoints_right
from training.pretrained.imagenet_encoder import load_imagenet_encoder
from training.referring.pose_data import PoseBatch
from training.tasks.base import Task

SIGMA_CELLS = 1.25  # of the Gaussian around a joint that its heatmap learns
OKS, PCKH = "oks", "pckh"


class PoseEstimation(Task):
    """Heatmaps by cross-entropy against a Gaussian around each joint whose place is known, and the
    joint's visibility.

    encoder_weights: "imagenet", from an installed package or timm's hub. encoder_from: the
    checkpoint of a people UNet with the same encoder, to begin with. start_from: a checkpoint of
    the same network. visibility: how much it counts.
    """

    family = "person_pose"
    monitor = OKS
    drawn = False
    network: PersonPose

    def __init__(
        self,
        encoder: Literal["lite0", "lite1", "mobilenetv2"] = "lite0",
        size_hw: tuple[int, int] = (224, 160),
        width: int = 96,
        start_from: Path | None = None,
        encoder_weights: Literal["imagenet"] | None = None,
        encoder_from: Path | None = None,
        visibility: float = 0.5,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.network = PersonPose(encoder, size_hw, width)
        if encoder_weights is not None and start_from is None:
            load_imagenet_encoder(self.network, encoder)
        if encoder_from is not None:
            start_encoder(self.network, Path(encoder_from))
        self.start_from(start_from)
        self.visibility = visibility
        self.oks, self.right = MeanMetric(), MeanMetric()

    def backbone_stages(self) -> Sequence[nn.Module]:
        return self.network.encoder_stages  # type: ignore[no-any-return]

    def loss_terms(self, batch: PoseBatch) -> dict[str, Tensor]:
        pose = self.network(batch.images.float() / 255)
        entropies = place_entropies(pose.heatmaps.float(), batch.places)
        known = batch.known
        terms = {
            "places": (entropies * known).sum() / known.sum().clamp(min=1),
            "visibility": self.visibility
            * F.binary_cross_entropy_with_logits(pose.visibility.float(), known.float()),
        }
        return {**terms, "loss": terms["places"] + terms["visibility"]}

    def validation_step(self, batch: PoseBatch, batch_idx: int) -> None:
        if not len(batch.images):
            return
        heatmaps = self.network(batch.images.float() / 255).heatmaps
        size_wh = batch.places.new_tensor(self.network.size_hw[::-1])
        found = (self.network.places(heatmaps.float()) * size_wh).cpu().numpy()
        true, known = (batch.places * size_wh).cpu().numpy(), batch.known.cpu().numpy()
        for own, place, there, area in zip(found, true, known, batch.areas.tolist(), strict=True):
            if there.any():
                self.oks.update(float(oks(own[None], place, there, area)[0]))
            right, judged = keypoints_right(own, place, there)
            if judged:
                self.right.update(right / judged, weight=judged)

    def metrics(self) -> Mapping[str, Metric]:
        return {OKS: self.oks, PCKH: self.right}

    def on_validation_epoch_end(self) -> None:
        """With how well a teacher itself does on the same people."""
        super().on_validation_epoch_end()
        if not self.trainer.sanity_checking:
            teacher = getattr(self.data(), "teacher_measured", {})
            self.measured |= teacher
            self.log_dict(teacher)


def place_entropies(heatmaps: Tensor, places: Tensor) -> Tensor:
    """Cross-entropy of each heatmap against a Gaussian around the joint's place, less the
    Gaussian's own entropy: 0 where they are the same.

    heatmaps: [B, J, h, w] logits; places: [B, J, 2] in parts of the sides. Returns [B, J].
    """
    rows, columns = heatmaps.shape[2:]
    along_x = _gaussian(places[..., 0] * columns, columns)
    along_y = _gaussian(places[..., 1] * rows, rows)
    target = (along_y[..., :, None] * along_x[..., None, :]).flatten(2)
    logits = heatmaps.flatten(2).log_softmax(dim=2)
    return F.kl_div(logits, target, reduction="none").sum(dim=2)


def _gaussian(centre: Tensor, cells: int) -> Tensor:
    """[..., cells] that sum to 1: a Gaussian around a place in cells."""
    middle = torch.arange(cells, device=centre.device) + 0.5
    return (-((middle - centre[..., None]) ** 2) / (2 * SIGMA_CELLS**2)).softmax(dim=-1)


def start_encoder(network: PersonPose, checkpoint: Path) -> None:
    """Take the encoder of a people UNet's checkpoint. Raises CheckpointError."""
    loaded = load_network(checkpoint).network
    unet = loaded.unet if isinstance(loaded, PeopleUNet) else None
    if not isinstance(unet, NarrowPeopleUNet) or loaded.variant != network.variant:
        raise CheckpointError(
            f"{checkpoint} has no encoder {network.variant}; name the checkpoint of a people UNet "
            "of that variant"
        )
    network.encoder.load_state_dict(unet.encoder.state_dict())
