"""Train the network that chooses a person by what a text says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MeanMetric, Metric

from peopleseg.networks.referring.chooser import WORD_CHANNELS, PersonChooser
from peopleseg.networks.referring.pose import REGIONS
from peopleseg.systems.referring.describing import length_of
from training.referring.chooser_data import ChooserBatch
from training.tasks.base import Task

RIGHT, CHANCE = "right_choice", "chance"
DEEPEST = 320  # channels of the last map of lite0, which looks tell


class PersonChoice(Task):
    """Cross-entropy over the people of each image.

    person: numbers told of each, by default those by a pose network with lite0. start_from: a
    checkpoint of the same network. right_choice is the share of texts whose person has the highest
    logit among the people annotated, chance that of a die.
    """

    family = "person_chooser"
    monitor = RIGHT
    drawn = False
    network: PersonChooser

    def __init__(
        self,
        person: int = length_of(DEEPEST + 3 * len(REGIONS)),
        width: int = 128,
        layers: int = 3,
        dropout: float = 0.1,
        start_from: Path | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.network = PersonChooser(person, WORD_CHANNELS, width, layers, dropout=dropout)
        self.start_from(start_from)
        self.right, self.chance = MeanMetric(), MeanMetric()

    def loss_terms(self, batch: ChooserBatch) -> dict[str, Tensor]:
        logits = self.network(batch.words, batch.token_mask, batch.people)
        return {"loss": F.cross_entropy(logits.float(), batch.targets)}

    def validation_step(self, batch: ChooserBatch, batch_idx: int) -> None:
        logits = self.network(batch.words, batch.token_mask, batch.people)
        self.right.update((logits.argmax(dim=1) == batch.targets).float())
        self.chance.update(1 / (batch.people[..., 0] > 0).sum(dim=1))

    def metrics(self) -> Mapping[str, Metric]:
        return {RIGHT: self.right, CHANCE: self.chance}
