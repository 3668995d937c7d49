"""YOLOv9's auxiliary branch: as published, in training only, and easily dropped."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from peopleseg.networks.people.yolov9 import YOLOv9
from peopleseg.networks.people.yolov9_layers import VARIANTS

META = torch.device("meta")
BACKBONE_LAYERS = 9  # of t, s, m and c


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def on_meta(make: Callable[[], nn.Module]) -> Any:
    with META:
        return make()


def small(variant: str = "t", *, classes: int = 1) -> YOLOv9:
    torch.manual_seed(0)
    return YOLOv9(variant, classes, auxiliary=True)


TRAINING_COUNTS = [
    ("t", 3_717_680),
    ("s", 9_804_512),
    ("m", 32_868_344),
    ("c", 51_182_080),
    ("e", 69_529_664),
]


@pytest.mark.parametrize(("variant", "expected"), TRAINING_COUNTS)
def test_the_training_model_has_the_published_count(variant: str, expected: int) -> None:
    assert count(on_meta(lambda: YOLOv9(variant, 80, auxiliary=True))) == expected


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_deploy_weights_have_the_same_names_with_and_without_the_branch(variant: str) -> None:
    deploy = on_meta(lambda: YOLOv9(variant)).state_dict()
    training = on_meta(lambda: YOLOv9(variant, auxiliary=True)).state_dict()
    rest = {key: value for key, value in training.items() if not key.startswith("auxiliary.")}
    assert len(rest) < len(training)
    assert {k: v.shape for k, v in rest.items()} == {k: v.shape for k, v in deploy.items()}


@pytest.mark.parametrize("variant", VARIANTS)
def test_both_branches_give_maps_at_the_three_strides_in_training(variant: str) -> None:
    network = on_meta(lambda: YOLOv9(variant, 3, auxiliary=True)).train()
    output = network(torch.empty(2, 3, 64, 96, device=META))
    expected = [(2, 4 * 16 + 3, 64 // stride, 96 // stride) for stride in (8, 16, 32)]
    assert [tuple(m.shape) for m in output.predictions] == expected
    assert [tuple(m.shape) for m in output.auxiliary] == expected


def test_a_network_without_the_branch_has_no_such_output() -> None:
    network = on_meta(lambda: YOLOv9("t")).train()
    assert network(torch.empty(1, 3, 64, 64, device=META)).auxiliary is None


def test_evaluation_does_not_run_the_branch() -> None:
    network = small().eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = network(image)
        for parameter in network.auxiliary.parameters():
            parameter.fill_(torch.nan)
        after = network(image)
    assert before.auxiliary is None and after.auxiliary is None
    assert torch.equal(before.predictions, after.predictions)


def test_the_branch_changes_nothing_of_the_main_output_in_training() -> None:
    network = small().train()
    deploy = network.without_auxiliary()
    assert deploy.training
    image = torch.rand(2, 3, 64, 64)
    for ours, alone in zip(network(image).predictions, deploy(image).predictions, strict=True):
        assert torch.equal(ours, alone)


def test_dropping_the_branch_leaves_a_deploy_model_and_the_original_whole() -> None:
    network = small(classes=5).eval()
    deploy = network.without_auxiliary()
    assert count(deploy) == count(YOLOv9("t", 5)) < count(network)
    assert deploy.dims == network.dims | {"auxiliary": False}
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(deploy(image).predictions, network(image).predictions)
    YOLOv9(**deploy.dims).load_state_dict(deploy.state_dict())
    YOLOv9(**network.dims).load_state_dict(network.state_dict())


@pytest.mark.parametrize("variant", ["t", "m"])
def test_the_auxiliary_loss_trains_the_backbone_and_the_branch_alone(variant: str) -> None:
    network = small(variant).train()
    maps: list[Tensor] = network(torch.rand(2, 3, 64, 64)).auxiliary
    torch.stack([level.square().mean() for level in maps]).sum().backward()
    for index, layer in enumerate(network.layers):
        reached = [p.grad is not None for p in layer.parameters() if p.requires_grad]
        assert all(reached) if index < BACKBONE_LAYERS else not any(reached), f"layer {index}"
    branch = [p for p in network.auxiliary.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in branch)


def test_every_image_is_detected_by_itself() -> None:
    network = small("t").train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()  # the one layer that mixes the images of a batch
    images = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        together = network(images).auxiliary
        for i in range(3):
            alone = network(images[i : i + 1]).auxiliary
            for all_levels, level in zip(together, alone, strict=True):
                torch.testing.assert_close(all_levels[i : i + 1], level, atol=1e-4, rtol=1e-4)


# The published code's width of the class branch, and the one that gives the paper's 2.0 M.
@pytest.mark.parametrize(("class_width", "expected"), [(None, 2_442_640), (80, 2_036_560)])
def test_the_class_branch_has_the_width_asked_for(class_width: int | None, expected: int) -> None:
    assert count(on_meta(lambda: YOLOv9("t", 80, class_width=class_width))) == expected


@pytest.mark.parametrize(("class_width", "width"), [(None, 64), (10, 64), (100, 100)])
def test_the_class_branch_is_never_narrower_than_its_first_level(
    class_width: int | None, width: int
) -> None:
    network = on_meta(lambda: YOLOv9("t", auxiliary=True, class_width=class_width))
    for detect in (network.detect, network.auxiliary[-1]):
        assert detect.class_width == width
        assert {branch[-1].in_channels for branch in detect.cv3} == {width}


def test_the_dims_build_the_same_network() -> None:
    dims: dict[str, Any] = {
        "variant": "s",
        "classes": 4,
        "auxiliary": True,
        "class_width": 150,
        "canvas": 416,
    }
    network = on_meta(lambda: YOLOv9(**dims))
    assert network.dims == dims
    again = on_meta(lambda: YOLOv9(**network.dims))
    assert count(again) == count(network)
