"""Optimisers and learning-rate schedules, by name and number."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn


@dataclass(frozen=True)
class OptimizerSettings:
    name: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: float = 1e-4  # the highest of the schedule
    weight_decay: float = 1e-2  # of convolution and linear weights; norms and biases have none
    momentum: float = 0.937  # SGD's, with Nesterov's step


@dataclass(frozen=True)
class ScheduleSettings:
    """The learning rate as a factor over epochs; it changes with every optimiser step."""

    name: Literal["cosine", "step", "exponential", "constant"] = "cosine"
    warmup_epochs: float = 0.0  # linear from 0
    final_factor: float = 0.01  # cosine: where it ends
    milestones: Sequence[int] = (30, 60, 90)  # step: epochs after which the rate is multiplied
    gamma: float = 0.1  # step: by this; exponential: every epoch by this
    epochs: int | None = None  # the cosine's length; None: the trainer's max_epochs

    def factor(self, epoch: float, max_epochs: int) -> float:
        """The learning rate's factor after `epoch` epochs (fractions count)."""
        length = self.epochs or max_epochs
        if epoch < self.warmup_epochs:
            return epoch / self.warmup_epochs
        if self.name == "cosine":
            done = (epoch - self.warmup_epochs) / max(length - self.warmup_epochs, 1e-9)
            falling = (1 + math.cos(math.pi * min(done, 1.0))) / 2
            return self.final_factor + (1 - self.final_factor) * falling
        if self.name == "step":
            return self.gamma ** sum(epoch >= milestone for milestone in self.milestones)
        return self.gamma**epoch if self.name == "exponential" else 1.0


@dataclass(frozen=True)
class BackboneSettings:
    """How the pretrained part of a network is trained."""

    train: Literal["all", "frozen", "progressive"] = "all"
    learning_rate_factor: float = 1.0
    # progressive: the deepest stage trains from the first epoch on, one more every few epochs
    first_epoch: int = 5
    every_epochs: int = 3

    def first_epochs(self, stages: int) -> list[int]:
        """The epoch from which each stage trains, shallow to deep."""
        if self.train != "progressive":
            return [0] * stages
        return [self.first_epoch + self.every_epochs * i for i in reversed(range(stages))]


def build_optimizer(
    settings: OptimizerSettings, groups: Iterable[dict[str, Any]]
) -> torch.optim.Optimizer:
    """The optimiser over parameter groups of `parameter_groups`."""
    groups = list(groups)
    if settings.name == "sgd":
        return torch.optim.SGD(
            groups, lr=settings.learning_rate, momentum=settings.momentum, nesterov=True
        )
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[settings.name]
    return kind(groups, lr=settings.learning_rate)


def parameter_groups(
    network: nn.Module,
    stages: Sequence[nn.Module],
    optimizer: OptimizerSettings,
    backbone: BackboneSettings,
) -> list[dict[str, Any]]:
    """Groups of trained parameters, each with its `factor` of the rate and `first_epoch`.

    stages: the backbone's, shallow to deep. Frozen parameters are in no group.
    """
    in_stages = {id(p) for stage in stages for p in stage.parameters()}
    others = [p for p in network.parameters() if id(p) not in in_stages]
    parts = [(others, 1.0, 0)]
    for stage, first_epoch in zip(stages, backbone.first_epochs(len(stages)), strict=True):
        parts.append((list(stage.parameters()), backbone.learning_rate_factor, first_epoch))
    groups = []
    for parameters, factor, first_epoch in parts:
        trained = [p for p in parameters if p.requires_grad]
        for decay, chosen in (
            (optimizer.weight_decay, [p for p in trained if p.ndim > 1]),
            (0.0, [p for p in trained if p.ndim <= 1]),
        ):
            if chosen:
                groups.append(
                    {
                        "params": chosen,
                        "weight_decay": decay,
                        "factor": factor,
                        "first_epoch": first_epoch,
                    }
                )
    return groups


def build_schedule(
    settings: ScheduleSettings,
    optimizer: torch.optim.Optimizer,
    *,
    steps_per_epoch: int,
    max_epochs: int,
) -> torch.optim.lr_scheduler.LambdaLR:
    """A factor for every optimiser step; a group's rate is 0 before its `first_epoch`."""

    def of_group(group: dict[str, Any]) -> Callable[[int], float]:
        def factor(step: int) -> float:
            epoch = step / steps_per_epoch
            trains = epoch >= group["first_epoch"]
            return group["factor"] * settings.factor(epoch, max_epochs) if trains else 0.0

        return factor

    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, [of_group(group) for group in optimizer.param_groups]
    )
