"""YOLOv9 files in the published deploy (gelan) and training (yolov9) layouts, written here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from peopleseg.networks.people.yolov9 import YOLOv9
from tests.data.published import assert_numbered, numbered, randomise, written
from training.pretrained.state_dict import KeysDoNotFit, WeightsError
from training.pretrained.yolov9 import import_yolov9, keep_class

State = dict[str, Tensor]


class Published(NamedTuple):
    """A published model: the number of each layer with weights, and our number of it."""

    main: Mapping[int, int]
    detect: int
    auxiliary: Mapping[int, int] = {}


def same(*numbers: int) -> dict[int, int]:
    return {number: number for number in numbers}


_GELAN = same(*range(10), 12, 15, 16, 18, 19, 21)
_GELAN_E = same(*range(1, 16), 17, 19, 20, 22, 23, 25, 26, 28, 29, 32, 35, 36, 38, 39, 41)
# Image passed on, backbone 1-9, pyramid 10-22, CBLinear 23-25, stem 26-27, second backbone 28-37.
_MC_MAIN = {1: 0, 2: 1, 3: 2, 4: 3, 5: 4, 6: 5, 7: 6, 8: 7, 9: 8, 10: 9} | {
    13: 12,
    16: 15,
    17: 16,
    19: 18,
    20: 19,
    22: 21,
}
_MC_AUXILIARY = {
    23: 0,
    24: 1,
    25: 2,
    26: 3,
    27: 4,
    28: 5,
    29: 6,
    31: 8,
    32: 9,
    34: 11,
    35: 12,
    37: 14,
}
# Two backbones 0-28, auxiliary pyramid 29-35, main pyramid 36-48.
_E_MAIN = {n: n for n in _GELAN_E if n < 29} | {
    36: 29,
    39: 32,
    42: 35,
    43: 36,
    45: 38,
    46: 39,
    48: 41,
}
TRAINING = {
    **dict.fromkeys("ts", Published(_GELAN, 29, {22: 0, 25: 3, 28: 6})),
    **dict.fromkeys("mc", Published(_MC_MAIN, 38, _MC_AUXILIARY)),
    "e": Published(_E_MAIN, 49, {29: 0, 32: 3, 35: 6}),
}
DEPLOY = {**dict.fromkeys("tsmc", Published(_GELAN, 22)), "e": Published(_GELAN_E, 42)}


def as_published(ours: State, layout: Published, detect: tuple[int, int]) -> State:
    """Our weights under the published names. detect: our numbers of the two detection heads."""
    names = {f"layers.{own}.": f"model.{number}." for number, own in layout.main.items()}
    names |= {f"auxiliary.{own}.": f"model.{number}." for number, own in layout.auxiliary.items()}
    head, main = f"model.{layout.detect}", f"layers.{detect[0]}"
    if layout.auxiliary:
        auxiliary = f"auxiliary.{detect[1]}"
        names |= {f"{main}.cv2.": f"{head}.cv4.", f"{main}.cv3.": f"{head}.cv5."}
        names |= {f"{auxiliary}.cv2.": f"{head}.cv2.", f"{auxiliary}.cv3.": f"{head}.cv3."}
        names |= {f"{main}.dfl_positions": f"{head}.dfl2.conv.weight"}
        names |= {f"{auxiliary}.dfl_positions": f"{head}.dfl.conv.weight"}
    else:
        names |= {f"{main}.cv2.": f"{head}.cv2.", f"{main}.cv3.": f"{head}.cv3."}
        names |= {f"{main}.dfl_positions": f"{head}.dfl.conv.weight"}
    renamed = {}
    for key, value in ours.items():
        old, new = next((o, n) for o, n in names.items() if key.startswith(o))
        shape = (1, 16, 1, 1) if "dfl" in key else value.shape
        renamed[new + key.removeprefix(old)] = value.reshape(shape)
    assert len(renamed) == len(ours)
    return renamed


def heads_of(variant: str) -> tuple[int, int]:
    """Our numbers of the main and the auxiliary detection head."""
    return 42 if variant == "e" else 22, 15 if variant in "mc" else 7


def layout_of(variant: str, *, auxiliary: bool) -> Published:
    return (TRAINING if auxiliary else DEPLOY)[variant]


def published(network: YOLOv9) -> State:
    auxiliary = len(network.auxiliary) > 0
    layout = layout_of(network.variant, auxiliary=auxiliary)
    return as_published(network.state_dict(), layout, heads_of(network.variant))


def random_network(variant: str = "t", **dims: Any) -> YOLOv9:
    torch.manual_seed(0)
    network = YOLOv9(variant, **dims).eval()
    randomise(network)
    for detect in (network.detect, *network.auxiliary[-1:]):
        for branch in detect.cv3:
            torch.nn.init.normal_(branch[-1].bias)
    return network


def assert_same_response(a: YOLOv9, b: YOLOv9) -> None:
    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        for ours, theirs in zip(a(images)[:2], b(images)[:2], strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("auxiliary", [False, True])
def test_an_imported_detector_computes_the_same(tmp_path: Path, auxiliary: bool) -> None:
    original = random_network(classes=80, auxiliary=auxiliary)
    imported = import_yolov9(written(tmp_path / "yolo.pt", {"model": published(original)}))
    assert not imported.training
    assert imported.dims == original.dims
    assert_same_response(imported, original)


def test_the_auxiliary_branch_of_a_training_file_comes_along(tmp_path: Path) -> None:
    original = random_network(classes=3, auxiliary=True)
    imported = import_yolov9(written(tmp_path / "yolo.pt", published(original)))
    images = torch.rand(2, 3, 64, 64)
    maps = [network.train()(images).auxiliary for network in (imported, original)]
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*maps, strict=True))


@pytest.mark.parametrize("auxiliary", [False, True])
@pytest.mark.parametrize("variant", "tsmce")
def test_every_published_layer_finds_its_place(
    tmp_path: Path, variant: str, auxiliary: bool
) -> None:
    ours = numbered(lambda: YOLOv9(variant, 25, auxiliary=auxiliary))
    for key in ours:
        if key.endswith("dfl_positions"):
            ours[key] = torch.arange(16.0)
    layout = layout_of(variant, auxiliary=auxiliary)
    state = as_published(ours, layout, heads_of(variant))
    imported = import_yolov9(written(tmp_path / "yolo.pt", state))
    assert (imported.variant, imported.classes, imported.class_width) == (variant, 25, None)
    assert_numbered(imported, ours)


def test_half_precision_is_widened(tmp_path: Path) -> None:
    original = random_network(classes=2)
    halves = {k: v.half() if v.is_floating_point() else v for k, v in published(original).items()}
    imported = import_yolov9(written(tmp_path / "yolo.pt", halves))
    assert {p.dtype for p in imported.parameters()} == {torch.float32}
    assert torch.equal(
        imported.state_dict()["layers.0.conv.weight"], halves["model.0.conv.weight"].float()
    )


def test_another_width_of_the_class_branch_is_found(tmp_path: Path) -> None:
    original = random_network(classes=80, class_width=80)
    imported = import_yolov9(written(tmp_path / "yolo.pt", published(original)))
    assert imported.dims == original.dims
    assert_same_response(imported, original)


@pytest.mark.parametrize("variant", ["t", "s"])
@pytest.mark.parametrize("index", [0, 6])
def test_one_class_is_kept_with_its_scores_and_all_boxes(variant: str, index: int) -> None:
    network = random_network(variant, classes=80, auxiliary=True)
    one = keep_class(network, index)
    assert one.classes == 1 and one.dims["auxiliary"] and not one.training
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        every, kept = network(images).predictions, one(images).predictions
        assert kept.shape[1] == 5
        torch.testing.assert_close(kept[:, :4], every[:, :4])
        torch.testing.assert_close(kept[:, 4], every[:, 4 + index])
        raw, raw_kept = network.train()(images).auxiliary, one.train()(images).auxiliary
    for level, level_kept in zip(raw, raw_kept, strict=True):
        torch.testing.assert_close(level_kept[:, 64], level[:, 64 + index])
    YOLOv9(**one.dims).load_state_dict(one.state_dict())


@pytest.mark.parametrize("index", [-1, 3])
def test_a_class_that_is_not_there_is_refused(index: int) -> None:
    with pytest.raises(WeightsError, match=f"class {index} is not one of 0 to 2"):
        keep_class(random_network(classes=3), index)


@pytest.mark.parametrize("auxiliary", [False, True])
def test_entries_that_do_not_fit_are_listed_by_their_published_names(
    tmp_path: Path, auxiliary: bool
) -> None:
    state = published(random_network(auxiliary=auxiliary))
    del state["model.4.cv2.0.m.1.cv1.conv2.bn.weight"]
    state["model.15.cv9.conv.weight"] = torch.zeros(1)
    state["model.8.cv4.conv.weight"] = torch.zeros(1, 2, 3, 4)
    with pytest.raises(KeysDoNotFit) as refused:
        import_yolov9(written(tmp_path / "yolo.pt", state))
    assert refused.value.missing == ["model.4.cv2.0.m.1.cv1.conv2.bn.weight"]
    assert refused.value.unexpected == ["model.15.cv9.conv.weight"]
    assert list(refused.value.mismatched) == ["model.8.cv4.conv.weight"]


def test_a_training_file_without_its_main_head_is_refused(tmp_path: Path) -> None:
    state = published(random_network(auxiliary=True))
    rest = {key: value for key, value in state.items() if ".cv5." not in key}
    with pytest.raises(WeightsError, match=r"no model\.29\.cv5\.0\.2\.weight"):
        import_yolov9(written(tmp_path / "yolo.pt", rest))


def test_other_distances_of_the_bins_are_refused(tmp_path: Path) -> None:
    state = published(random_network())
    state["model.22.dfl.conv.weight"] = torch.arange(16.0).view(1, 16, 1, 1) / 2
    with pytest.raises(WeightsError, match=r"model\.22\.dfl\.conv\.weight is \[0\.0, 0\.5"):
        import_yolov9(written(tmp_path / "yolo.pt", state))


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("model.23.conv.weight", r"is 23, where published YOLOv9 detectors have 22 \(t/s/m/c\)"),
        ("encoder.conv.weight", "is None, where"),
    ],
)
def test_another_networks_file_is_refused(tmp_path: Path, key: str, words: str) -> None:
    with pytest.raises(WeightsError, match=words):
        import_yolov9(written(tmp_path / "yolo.pt", {key: torch.zeros(4, 3, 3, 3)}))


def test_unknown_widths_are_refused(tmp_path: Path) -> None:
    state = published(random_network())
    state["model.0.conv.weight"] = torch.zeros(48, 3, 3, 3)
    with pytest.raises(WeightsError, match="a stem of 48 channels"):
        import_yolov9(written(tmp_path / "yolo.pt", state))
