"""The original hierarchical checkpoints, written here by the published layout."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from peopleseg.networks.people.hierarchical import VARIANTS, PersonMaskHead
from peopleseg.networks.people.people_unet import PeopleUNet, people_unet
from tests.data.published import assert_numbered, numbered, randomise, written
from training.pretrained.hierarchical import import_hierarchical
from training.pretrained.state_dict import KeysDoNotFit, WeightsError

State = dict[str, Tensor]

CONSTANTS = {
    "pretrained_unet.model.norm_mean": torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1),
    "pretrained_unet.model.norm_std": torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1),
    "pretrained_unet.output_conv.weight": torch.tensor([1.0, -1.0]).view(2, 1, 1, 1),
    "pretrained_unet.output_conv.bias": torch.zeros(2),
}

# Of every sequence in the published head, the members that have weights.
PUBLISHED_MEMBERS = {
    "rgb_feature_extractor": {0, 1, 3, 4, 5, 7, 8, 9, 11, 12, 13},
    "segmentation_head.base_head.shared_features": {0, 1, 4, 6},
    "segmentation_head.base_head.bg_vs_fg_unet.encoders": {0, 1, 2},
    "segmentation_head.base_head.bg_vs_fg_unet.encoders.0": {0, 1, 3, 4},
    "segmentation_head.base_head.bg_vs_fg_unet.encoders.1": {0, 1, 2, 3},
    "segmentation_head.base_head.bg_vs_fg_unet.encoders.2": {0, 1, 2, 3},
    "segmentation_head.base_head.bg_vs_fg_unet.bottleneck": {0, 1, 2, 3, 5},
    "segmentation_head.base_head.bg_vs_fg_unet.upconvs": {0, 1},
    "segmentation_head.base_head.bg_vs_fg_unet.decoders": {0, 1},
    "segmentation_head.base_head.bg_vs_fg_unet.decoders.0": {0, 1, 3, 4},
    "segmentation_head.base_head.bg_vs_fg_unet.final": {0, 1, 3},
    "segmentation_head.base_head.upsample_bg_fg": {0, 1, 3},
    "segmentation_head.base_head.target_vs_nontarget_branch": {0, 1, 3, 4, 6, 8, 9},
    "segmentation_head.base_head.fg_gate": {0, 3, 5},
    "segmentation_head.contour_branch.contour_branch": {0, 1, 3, 4, 6},
    "segmentation_head.distance_decoder.distance_head": {0, 1, 3, 4},
}
PUBLISHED_ENTRIES = (
    "feature_combiner.weight",
    "feature_combiner.bias",
    "rgb_feature_extractor.3.norm2.running_var",
    "segmentation_head.base_head.bg_vs_fg_unet.bottleneck_conv.weight",
    "segmentation_head.base_head.bg_vs_fg_unet.encoders.0.3.conv1.weight",
    "segmentation_head.base_head.target_vs_nontarget_branch.1.conv.weight",
    "segmentation_head.base_head.target_vs_nontarget_branch.6.fc1.weight",
    "segmentation_head.base_head.target_vs_nontarget_branch.6.fc2.weight",
    "segmentation_head.distance_decoder.threshold",
)


@pytest.fixture(scope="module")
def networks() -> tuple[PersonMaskHead, PeopleUNet]:
    torch.manual_seed(0)
    made = PersonMaskHead("b0").eval(), PeopleUNet("b0").eval()
    for network in made:
        randomise(network)
    return made


@pytest.fixture
def weights(networks: tuple[PersonMaskHead, PeopleUNet]) -> State:
    head, unet = networks
    return published(head.state_dict(), unet.unet.state_dict())


@pytest.fixture
def cheap() -> State:
    """The same names and shapes, in a small file."""
    return published(numbered(lambda: PersonMaskHead("b0")), numbered(lambda: people_unet("b0")))


def published(head: State, unet: State) -> State:
    below = {f"pretrained_unet.model.model.{key}": value for key, value in unet.items()}
    return below | CONSTANTS | head


def checkpoint(folder: Path, weights: State) -> Path:
    content: dict[str, Any] = {
        "epoch": 41,
        "model_state_dict": weights,
        "optimizer_state_dict": {"state": {}, "param_groups": [{"lr": 1e-4}]},
        "scheduler_state_dict": {"last_epoch": 41},
        "best_miou": 0.8545,
        "config": {"model": {"roi_size": [64, 48]}, "name": "rgb_hierarchical_unet_v2"},
    }
    return written(folder / "best_model_b0_64x48_0.8545.pth", content)


def members(keys: Iterable[str], prefix: str) -> set[int]:
    rests = (key.removeprefix(f"{prefix}.") for key in keys if key.startswith(f"{prefix}."))
    return {int(rest.partition(".")[0]) for rest in rests}


def head_outputs(head: nn.Module) -> list[Tensor]:
    torch.manual_seed(1)
    roi_rgb, roi_logit = torch.rand(2, 3, 16, 12), torch.randn(2, 1, 16, 12)
    with torch.no_grad():
        return list(head(roi_rgb, roi_logit, refine=True))


def test_our_names_are_the_published_ones(cheap: State) -> None:
    for sequence, expected in PUBLISHED_MEMBERS.items():
        assert members(cheap, sequence) == expected, sequence
    assert [key for key in PUBLISHED_ENTRIES if key not in cheap] == []
    assert cheap["segmentation_head.distance_decoder.threshold"].shape == ()


def test_an_imported_head_and_its_unet_compute_the_same(
    tmp_path: Path, networks: tuple[PersonMaskHead, PeopleUNet], weights: State
) -> None:
    head, unet = networks
    imported = import_hierarchical(checkpoint(tmp_path, weights))
    assert (imported.head.variant, imported.people_unet.variant) == ("b0", "b0")
    assert not imported.head.training and not imported.people_unet.training
    pairs = zip(head_outputs(imported.head)[:5], head_outputs(head)[:5], strict=True)
    for ours, theirs in pairs:
        assert torch.equal(ours, theirs)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(imported.people_unet(images), unet(images))


def test_the_roi_size_is_the_one_asked_for(tmp_path: Path, cheap: State) -> None:
    path = checkpoint(tmp_path, cheap)
    assert import_hierarchical(path).head.roi_size_hw == (64, 48)
    assert import_hierarchical(path, (80, 60)).head.roi_size_hw == (80, 60)


@pytest.mark.parametrize("variant", ["b1", "b1_enhanced", "b7_enhanced"])
def test_the_variant_is_found_by_the_shapes(tmp_path: Path, variant: str) -> None:
    head = numbered(lambda: PersonMaskHead(variant))
    unet = numbered(lambda: people_unet(VARIANTS[variant].people_unet))
    imported = import_hierarchical(checkpoint(tmp_path, published(head, unet)))
    assert imported.head.variant == variant
    assert_numbered(imported.head, head)
    assert_numbered(imported.people_unet.unet, unet)


def test_a_combination_that_was_never_published_is_refused(tmp_path: Path) -> None:
    head = numbered(lambda: PersonMaskHead("b1_enhanced"))
    unet = numbered(lambda: people_unet("b0"))
    with pytest.raises(WeightsError, match=r"\('b0', 72, 3\) is none of .* b0 \('b0', 64, 3\)"):
        import_hierarchical(checkpoint(tmp_path, published(head, unet)))


def test_class_logits_in_the_other_order_are_turned_round(
    tmp_path: Path, networks: tuple[PersonMaskHead, PeopleUNet], weights: State
) -> None:
    weights["pretrained_unet.output_conv.weight"] = torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1)
    imported = import_hierarchical(checkpoint(tmp_path, weights)).head
    trained = networks[0]
    roi_rgb, roi_logit = torch.rand(2, 3, 16, 12), torch.randn(2, 1, 16, 12)
    with torch.no_grad():  # the trained head read (-x, x), which is (x, -x) of the negated logit
        expected = trained(roi_rgb, -roi_logit).mask_logits
        torch.testing.assert_close(imported(roi_rgb, roi_logit).mask_logits, expected)
        assert not torch.allclose(trained(roi_rgb, roi_logit).mask_logits, expected)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("pretrained_unet.model.norm_mean", torch.full((1, 3, 1, 1), 0.5)),
        ("pretrained_unet.model.norm_std", torch.full((1, 3, 1, 1), 0.5)),
        ("pretrained_unet.output_conv.weight", torch.tensor([1.0, 0.5]).view(2, 1, 1, 1)),
        ("pretrained_unet.output_conv.weight", torch.ones(3, 1, 1, 1)),
        ("pretrained_unet.output_conv.bias", torch.tensor([0.0, 0.1])),
    ],
)
def test_another_constant_is_refused_by_name(
    tmp_path: Path, cheap: State, key: str, value: Tensor
) -> None:
    with pytest.raises(WeightsError, match=f"{key} is "):
        import_hierarchical(checkpoint(tmp_path, cheap | {key: value}))


@pytest.mark.parametrize("key", CONSTANTS)
def test_a_missing_constant_is_listed(tmp_path: Path, cheap: State, key: str) -> None:
    del cheap[key]
    with pytest.raises(KeysDoNotFit) as refused:
        import_hierarchical(checkpoint(tmp_path, cheap))
    assert refused.value.missing == [key]


def test_entries_that_do_not_fit_are_listed(tmp_path: Path, cheap: State) -> None:
    del cheap["segmentation_head.contour_branch.contour_branch.0.weight"]
    cheap["segmentation_head.boundary_refiner.weight"] = torch.zeros(1)
    cheap["feature_combiner.weight"] = torch.zeros(256, 259, 1, 1)
    with pytest.raises(KeysDoNotFit) as refused:
        import_hierarchical(checkpoint(tmp_path, cheap))
    assert refused.value.missing == ["segmentation_head.contour_branch.contour_branch.0.weight"]
    assert refused.value.unexpected == ["segmentation_head.boundary_refiner.weight"]
    assert refused.value.mismatched == {
        "feature_combiner.weight": ((256, 259, 1, 1), (256, 258, 1, 1))
    }


def test_a_unet_of_its_own_is_no_hierarchical_checkpoint(tmp_path: Path) -> None:
    state = numbered(lambda: people_unet("b0"))
    with pytest.raises(WeightsError, match=r"pretrained_unet.* has 0 entries encoder"):
        import_hierarchical(written(tmp_path / "unet.pth", state))
