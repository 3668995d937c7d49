"""Counts and shapes of the published networks (on the meta device, which computes nothing)."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from peopleseg.networks.people.hierarchical import VARIANTS, EnhancedUNet, PersonMaskHead
from peopleseg.networks.people.mask_head import combine
from peopleseg.networks.people.people_unet import PeopleUNet, people_unet
from peopleseg.networks.people.roi_align import roi_align
from peopleseg.networks.people.yolov9 import YOLOv9
from peopleseg.networks.people.yolov9_blocks import Conv, RepConv
from peopleseg.systems.people.roi_align import RoiAligner
from tests.data.published import randomise

META = torch.device("meta")


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def on_meta(make: Callable[[], nn.Module]) -> Any:
    with META:
        return make().eval()


def assert_close(a: Tensor, b: Tensor, tolerance: float = 1e-4) -> None:
    torch.testing.assert_close(a, b, atol=tolerance, rtol=tolerance)


# --- YOLOv9

YOLO_COUNTS = [
    ("t", 80, 2_442_640),
    ("t", 25, 1_918_123),
    ("s", 80, 7_226_208),
    ("s", 25, 7_204_923),
    ("m", 80, 20_113_912),
    ("c", 80, 25_498_752),
    ("c", 25, 25_456_347),
    ("e", 80, 58_114_432),
    ("e", 25, 58_072_027),
]


@pytest.mark.parametrize(("variant", "classes", "expected"), YOLO_COUNTS)
def test_yolov9_has_the_published_count(variant, classes, expected):
    assert count(on_meta(lambda: YOLOv9(variant, classes))) == expected


# As published, with every BatchNorm folded into its convolution: weights and one bias a channel.
FUSED_COUNTS = [
    ("t", 80, 2_407_632),
    ("s", 80, 7_105_888),
    ("m", 80, 19_968_588),
    ("c", 80, 25_288_768),
    ("e", 80, 57_345_920),
    ("e", 25, 57_303_515),
]


@pytest.mark.parametrize(("variant", "classes", "expected"), FUSED_COUNTS)
def test_fused_yolov9_has_the_published_count(variant, classes, expected):
    network = YOLOv9(variant, classes).eval().fuse()
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not any(isinstance(m, RepConv) for m in network.modules())
    # A folded BatchNorm leaves a bias of the two numbers a channel that it had.
    assert count(network) - sum(norm.num_features for norm in norms) == expected


@pytest.mark.parametrize(("classes", "rows"), [(80, 84), (25, 29), (1, 5)])
def test_yolov9_e_gives_its_features_and_predictions_at_640(classes, rows):
    network = on_meta(lambda: YOLOv9("e", classes))
    output = network(torch.empty(1, 3, 640, 640, device=META))
    assert network.feature_layer == 34
    assert output.features.shape == (1, 1024, 80, 80)
    assert output.predictions.shape == (1, rows, 8400)


@pytest.mark.parametrize(("variant", "channels"), [("t", 160), ("s", 320), ("m", 600), ("c", 1024)])
def test_the_features_are_the_stride_8_concat(variant, channels):
    network = on_meta(lambda: YOLOv9(variant))
    output = network(torch.empty(2, 3, 640, 640, device=META))
    assert network.feature_layer == 14 and network.feature_channels == channels
    assert output.features.shape == (2, channels, 80, 80)
    assert output.predictions.shape == (2, 5, 8400)


def test_an_unknown_variant_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'x' is not one of t, s, m, c, e"):
        YOLOv9("x")


def test_a_fused_repconv_is_the_same_function():
    torch.manual_seed(0)
    block = RepConv(6).eval()
    randomise(block)
    x = torch.randn(2, 6, 9, 7)
    with torch.no_grad():
        fused = block.fused()
        assert sum(isinstance(m, nn.Conv2d) for m in fused.modules()) == 1
        assert_close(fused(x), block(x))


def test_a_fused_yolov9_is_the_same_function():
    torch.manual_seed(0)
    network = YOLOv9("t").eval()
    randomise(network)
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        plain = network(image)
        fused = network.fuse()(image)
    assert_close(fused.features, plain.features, 1e-3)
    assert_close(fused.predictions, plain.predictions, 1e-3)


def test_one_certain_bin_decodes_to_its_distance():
    detect: Any = YOLOv9("t").eval().layers[-1]
    maps = [torch.zeros(1, 4 * 16 + 1, 64 // s, 64 // s) for s in detect.strides]
    level = maps[1]  # stride 16; cell column 2, row 1, centred at (40, 24)
    level[0, :64, 1, 2] = -100
    for side, distance in enumerate((1, 0, 2, 1)):  # left, top, right, bottom, in cells
        level[0, side * 16 + distance, 1, 2] = 100
    level[0, 64, 1, 2] = 2.0
    predictions = detect.decode(maps)[0]
    anchor = 64 + 1 * 4 + 2
    x1, y1, x2, y2 = 40 - 16, 24 - 0, 40 + 32, 24 + 16
    expected = [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, torch.tensor(2.0).sigmoid()]
    assert_close(predictions[:, anchor], torch.tensor(expected))


def test_conv_halves_with_stride_two():
    assert Conv(3, 8, 3, 2).eval()(torch.zeros(1, 3, 10, 14)).shape == (1, 8, 5, 7)


# --- the people UNet

UNET_COUNTS = [
    ("b0", 6_251_469, 358),
    ("b1", 8_757_105, 506),
    ("b3", 13_159_033, 572),
    ("b7", 67_095_329, 1198),
]


@pytest.mark.parametrize(("variant", "parameters", "encoder_entries"), UNET_COUNTS)
def test_people_unet_has_the_published_count(variant, parameters, encoder_entries):
    network = on_meta(lambda: people_unet(variant))
    assert count(network) == parameters
    assert sum(key.startswith("encoder.") for key in network.state_dict()) == encoder_entries


@pytest.mark.parametrize("shrink", [1, 2])
def test_people_unet_gives_one_logit_a_pixel(shrink):
    network = on_meta(lambda: PeopleUNet("b0", shrink))
    assert network(torch.empty(2, 3, 640, 640, device=META)).shape == (2, 1, 640, 640)


def test_people_unet_normalises_inside():
    network = PeopleUNet("b0").eval()
    image = torch.rand(1, 3, 64, 64)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = (image - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    with torch.no_grad():
        assert_close(network(image), network.unet(normalised))


def test_an_unknown_encoder_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'b2' is not one of b0, b1, b3, b7"):
        people_unet("b2")


# --- the hierarchical head

OUTPUT_CONV = 4  # weights of the published 1x1 convolution from x to (x, -x), a negation here
MODEL_COUNTS = [  # whole model, frozen UNet, trained head
    ("b0", 19_995_836, 6_251_469, 13_744_363),
    ("b1", 22_501_472, 8_757_105, 13_744_363),
    ("b1_enhanced", 24_153_948, 8_757_105, 15_396_839),
    ("b7", 80_839_696, 67_095_329, 13_744_363),
    ("b7_enhanced", 130_056_704, 67_095_329, 62_961_371),
]


@pytest.mark.parametrize(("variant", "whole", "frozen", "trained"), MODEL_COUNTS)
def test_the_whole_model_has_the_published_count(variant, whole, frozen, trained):
    unet = on_meta(lambda: people_unet(VARIANTS[variant].people_unet))
    head = on_meta(lambda: PersonMaskHead(variant))
    assert (count(unet), count(head)) == (frozen, trained)
    assert whole == frozen + trained + OUTPUT_CONV


HEAD_COUNTS = [  # whole head and its two-class UNet, by base channels and depth
    ("b0", 64, 3, 11_689_067, 6_305_506),
    ("b1_enhanced", 72, 3, 13_341_543, 7_957_982),
    ("b7_enhanced", 96, 4, 60_906_075, 55_522_514),
]


@pytest.mark.parametrize(("variant", "base", "depth", "whole", "unet"), HEAD_COUNTS)
def test_the_head_has_the_published_counts(variant, base, depth, whole, unet):
    assert (VARIANTS[variant].base_channels, VARIANTS[variant].depth) == (base, depth)
    head = on_meta(lambda: PersonMaskHead(variant)).segmentation_head
    assert count(head) == whole
    assert count(head.base_head.bg_vs_fg_unet) == unet
    assert count(head.base_head.shared_features) == 2_952_960
    assert count(head.base_head.upsample_bg_fg) == 418
    assert count(head.base_head.fg_gate) == 41_536
    assert count(head.base_head.target_vs_nontarget_branch) == 1_612_772
    assert count(head.contour_branch) == 184_769
    assert count(head.distance_decoder) == 591_106


OTHER_UNETS = [(96, 3, 14_067_794), (64, 4, 30_117_739 - 11_689_067 + 6_305_506)]


@pytest.mark.parametrize(("base", "depth", "expected"), OTHER_UNETS)
def test_enhanced_unet_grows_as_published(base, depth, expected):
    assert count(on_meta(lambda: EnhancedUNet(256, base, depth))) == expected


def test_extractor_and_combiner_have_the_published_counts():
    head = on_meta(lambda: PersonMaskHead("b0"))
    assert count(head.rgb_feature_extractor) == 1_988_992
    assert count(head.feature_combiner) == 66_304


@pytest.mark.parametrize("channels", [160, 1024])
def test_the_fused_combiner_reads_the_yolov9_features_too(channels):
    combiner = on_meta(lambda: PersonMaskHead("b0", feature_channels=channels)).feature_combiner
    assert combiner.in_channels == 256 + 2 + channels and combiner.out_channels == 256
    assert combiner.kernel_size == (1, 1)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("refine", [True, False])
def test_the_head_answers_at_twice_the_rois_size(variant, refine):
    head = on_meta(lambda: PersonMaskHead(variant, feature_channels=160))
    output = head(
        torch.empty(3, 3, 64, 48, device=META),
        torch.empty(3, 1, 64, 48, device=META),
        torch.empty(3, 160, 32, 24, device=META),
        refine=refine,
    )
    assert output.mask_logits.shape == (3, 3, 128, 96)
    assert output.person_logits.shape == output.target_logits.shape == (3, 2, 128, 96)
    if refine:
        assert output.contour_logits.shape == output.distance.shape == (3, 1, 128, 96)
    else:
        assert output.contour_logits is None and output.distance is None


def test_an_unknown_head_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'b2' is not one of b0, b1, b1_enhanced, b7, b7_enhanced"):
        PersonMaskHead("b2")


def test_the_head_answers_each_roi_by_itself():
    torch.manual_seed(0)
    head = PersonMaskHead("b0", feature_channels=4).eval()
    randomise(head)
    inputs = torch.rand(2, 3, 16, 12), torch.randn(2, 1, 16, 12), torch.randn(2, 4, 8, 6)
    with torch.no_grad():
        both = head(*inputs).mask_logits
        for row in range(2):
            alone = head(*(x[row : row + 1] for x in inputs)).mask_logits
            assert_close(both[row : row + 1], alone, 1e-3)


def test_combine_follows_its_formula():
    person, target = torch.randn(2, 2, 3, 4), torch.randn(2, 2, 3, 4)
    background, foreground = person[:, 0], person[:, 1]
    p = foreground.exp() / (background.exp() + foreground.exp())
    expected = (background, foreground + target[:, 0] * p, foreground + target[:, 1] * p)
    assert_close(combine(person, target), torch.stack(expected, dim=1))


# --- RoIAlign

ROIS = torch.tensor(
    [
        [1, 3.3, 5.1, 77.7, 91.2],
        [0, 0, 0, 128, 128],
        [1, 100, 90, 128, 128],
        [0, 60.2, 61.7, 60.9, 63.1],
        [0, -20, -30, 40, 50],
    ]
)


def slow_roi_align(maps: Tensor, roi: Tensor, size_hw: tuple[int, int], scale: float) -> Tensor:
    """One roi of one-channel maps, bin by bin."""
    image, (x1, y1, x2, y2) = maps[int(roi[0]), 0], (roi[1:] * scale - 0.5).tolist()
    height, width = image.shape

    def at(y: float, x: float) -> float:
        if not (-1 <= y <= height and -1 <= x <= width):
            return 0.0
        y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
        top, left = int(y), int(x)
        bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
        a, b = y - top, x - left
        upper = image[top, left] * (1 - b) + image[top, right] * b
        lower = image[bottom, left] * (1 - b) + image[bottom, right] * b
        return float(upper * (1 - a) + lower * a)

    aligned = torch.zeros(size_hw)
    bin_h, bin_w = (y2 - y1) / size_hw[0], (x2 - x1) / size_hw[1]
    for j in range(size_hw[0]):
        for i in range(size_hw[1]):
            samples = [
                at(y1 + (j + dy) * bin_h, x1 + (i + dx) * bin_w)
                for dy in (0.25, 0.75)
                for dx in (0.25, 0.75)
            ]
            aligned[j, i] = sum(samples) / 4
    return aligned


@pytest.mark.parametrize("scale", [1.0, 1 / 8])
def test_roi_align_equals_the_slow_obvious_version(scale):
    torch.manual_seed(0)
    side = int(128 * scale)
    maps = torch.randn(2, 1, side, side)
    aligned = roi_align(maps, ROIS, (7, 5), scale)
    for row, roi in enumerate(ROIS):
        assert_close(aligned[row, 0], slow_roi_align(maps, roi, (7, 5), scale), 1e-3)


def test_roi_align_for_training_equals_the_one_for_serving():
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (2, 3, 640, 640), dtype=torch.uint8)
    logit, features = torch.randn(2, 1, 640, 640), torch.randn(2, 5, 80, 80).half()
    served = RoiAligner().align(pixels.numpy(), logit.numpy(), features.numpy(), ROIS.numpy())
    assert_close(torch.from_numpy(served.roi_rgb), roi_align(pixels.float(), ROIS, (64, 48)), 1e-2)
    assert_close(torch.from_numpy(served.roi_logit), roi_align(logit, ROIS, (64, 48)), 1e-3)
    trained = roi_align(features.float(), ROIS, (32, 24), 1 / 8)
    assert_close(torch.from_numpy(served.roi_features).float(), trained, 5e-3)


def test_a_detector_on_a_smaller_canvas_answers_in_the_images_pixels() -> None:
    torch.manual_seed(0)
    small = YOLOv9("t", canvas=320).eval()
    randomise(small)
    plain = YOLOv9("t").eval()
    plain.load_state_dict(small.state_dict())
    images = torch.rand(2, 3, 640, 640)
    with torch.no_grad():
        found = small(images)
        expected = plain(small.resized(images))
    assert found.features.shape == (2, 160, 40, 40) and found.predictions.shape == (2, 5, 2100)
    torch.testing.assert_close(found.features, expected.features)
    torch.testing.assert_close(found.predictions[:, :4], 2 * expected.predictions[:, :4])
    torch.testing.assert_close(found.predictions[:, 4:], expected.predictions[:, 4:])
    torch.testing.assert_close(small.features(images), found.features)
    assert YOLOv9(**small.dims).dims == small.dims


def test_a_canvas_does_not_change_what_a_detector_trains_on() -> None:
    assert YOLOv9("t", canvas=320).train()(torch.rand(1, 3, 64, 64)).predictions[0].shape[2:] == (
        8,
        8,
    )
    with pytest.raises(ValueError, match="canvas is 400; expected a multiple of 32"):
        YOLOv9("t", canvas=400)
