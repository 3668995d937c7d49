"""Learning rates over epochs, and which parameters get which."""

import math

import pytest
import torch
from torch import nn

from training.optimisation import (
    BackboneSettings,
    OptimizerSettings,
    ScheduleSettings,
    build_optimizer,
    build_schedule,
    parameter_groups,
)

STEPS_PER_EPOCH, MAX_EPOCHS = 5, 8


def network() -> nn.ModuleDict:
    """Two stages and a head, each with weights, a norm and biases."""
    return nn.ModuleDict(
        {
            name: nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
            for name in ("shallow", "deep", "head")
        }
    )


def weight(part: nn.Module) -> torch.Tensor:
    """Of its convolution."""
    return part.get_parameter("0.weight")


def groups_of(
    module: nn.ModuleDict,
    backbone: BackboneSettings,
    optimizer: OptimizerSettings = OptimizerSettings(),  # noqa: B008  (frozen)
) -> list[dict]:
    return parameter_groups(module, [module["shallow"], module["deep"]], optimizer, backbone)


def rates(schedule: ScheduleSettings, learning_rate: float = 2.0) -> list[float]:
    """The rate of every step of a whole training."""
    groups = parameter_groups(
        network(), [], OptimizerSettings(learning_rate=learning_rate), BackboneSettings()
    )
    optimizer = build_optimizer(OptimizerSettings(learning_rate=learning_rate), groups)
    scheduler = build_schedule(
        schedule, optimizer, steps_per_epoch=STEPS_PER_EPOCH, max_epochs=MAX_EPOCHS
    )
    found = []
    for _ in range(STEPS_PER_EPOCH * MAX_EPOCHS):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_cosine_falls_from_the_rate_to_the_final_factor() -> None:
    found = rates(ScheduleSettings("cosine", final_factor=0.1))
    steps = STEPS_PER_EPOCH * MAX_EPOCHS
    for step, rate in enumerate(found):
        cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
        assert rate == pytest.approx(2 * (0.1 + 0.9 * cosine))
    assert ScheduleSettings("cosine", final_factor=0.1).factor(MAX_EPOCHS, MAX_EPOCHS) == 0.1


def test_the_warmup_is_linear_and_the_cosine_begins_after_it() -> None:
    found = rates(ScheduleSettings("cosine", warmup_epochs=2, final_factor=0))
    warm, falling = found[: 2 * STEPS_PER_EPOCH], found[2 * STEPS_PER_EPOCH :]
    assert warm == pytest.approx([2 * step / len(warm) for step in range(len(warm))])
    assert falling == pytest.approx(
        [1 + math.cos(math.pi * step / len(falling)) for step in range(len(falling))]
    )


def test_a_cosine_of_its_own_length_stays_at_its_end() -> None:
    schedule = ScheduleSettings("cosine", final_factor=0.25, epochs=4)
    assert [schedule.factor(epoch, MAX_EPOCHS) for epoch in (2, 4, 6)] == [0.625, 0.25, 0.25]


def test_steps_multiply_the_rate_after_their_epochs() -> None:
    found = rates(ScheduleSettings("step", milestones=(2, 6), gamma=0.5))
    epochs = [2.0] * 2 + [1.0] * 4 + [0.5] * 2
    assert found == pytest.approx([rate for rate in epochs for _ in range(STEPS_PER_EPOCH)])


def test_exponential_multiplies_the_rate_by_gamma_in_every_epoch() -> None:
    found = rates(ScheduleSettings("exponential", gamma=0.9))
    assert found == pytest.approx([2 * 0.9 ** (i / STEPS_PER_EPOCH) for i in range(len(found))])


def test_a_constant_rate_stays() -> None:
    assert set(rates(ScheduleSettings("constant"))) == {2.0}


def test_norms_and_biases_do_not_decay() -> None:
    module = network()
    groups = groups_of(module, BackboneSettings(), OptimizerSettings(weight_decay=0.3))
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert len(decay) == sum(len(group["params"]) for group in groups)  # each in one group
    assert decay == {id(p): 0.3 if p.ndim == 4 else 0.0 for p in module.parameters()}


def test_frozen_parameters_are_in_no_group() -> None:
    module = network()
    module["deep"].requires_grad_(False)
    grouped = {id(p) for group in groups_of(module, BackboneSettings()) for p in group["params"]}
    assert grouped == {id(p) for name in ("shallow", "head") for p in module[name].parameters()}


def test_the_backbone_has_its_own_factor() -> None:
    module = network()
    factors = {
        id(p): group["factor"]
        for group in groups_of(module, BackboneSettings(learning_rate_factor=0.1))
        for p in group["params"]
    }
    assert {factors[id(p)] for p in module["head"].parameters()} == {1.0}
    assert {factors[id(p)] for p in module["deep"].parameters()} == {0.1}


def test_the_deepest_stage_is_unfrozen_first() -> None:
    backbone = BackboneSettings("progressive", 0.1, first_epoch=2, every_epochs=3)
    assert backbone.first_epochs(3) == [8, 5, 2]
    assert BackboneSettings("all").first_epochs(3) == [0, 0, 0]


def test_a_stage_does_not_change_before_its_epoch_and_does_from_then_on() -> None:
    torch.manual_seed(0)
    module = network()
    settings = OptimizerSettings("adamw", learning_rate=0.1)
    backbone = BackboneSettings("progressive", first_epoch=1, every_epochs=1)
    optimizer = build_optimizer(settings, groups_of(module, backbone, settings))
    scheduler = build_schedule(
        ScheduleSettings("constant"), optimizer, steps_per_epoch=1, max_epochs=3
    )
    changed = []
    for _ in range(3):
        before = {name: weight(part).clone() for name, part in module.items()}
        for parameter in module.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        scheduler.step()
        changed.append({n for n, part in module.items() if not weight(part).equal(before[n])})
    assert changed == [{"head"}, {"head", "deep"}, {"head", "deep", "shallow"}]


@pytest.mark.parametrize(("name", "kind"), [("adamw", "AdamW"), ("adam", "Adam"), ("sgd", "SGD")])
def test_the_optimiser_is_the_one_named(name, kind) -> None:
    settings = OptimizerSettings(name, learning_rate=0.5, momentum=0.8)
    optimizer = build_optimizer(settings, groups_of(network(), BackboneSettings()))
    assert type(optimizer).__name__ == kind
    assert {group["lr"] for group in optimizer.param_groups} == {0.5}
    if name == "sgd":
        assert {(g["momentum"], g["nesterov"]) for g in optimizer.param_groups} == {(0.8, True)}
