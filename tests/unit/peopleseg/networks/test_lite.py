"""The networks for CPUs: shapes, independence of rows, and what they may cost."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from peopleseg.networks.people.lite_head import LiteMaskHead
from peopleseg.networks.people.mask_head import MaskHead, combine
from peopleseg.networks.people.people_unet import PeopleUNet
from peopleseg.networks.people.person_mask_head import PEOPLE_UNETS, person_mask_head
from peopleseg.networks.people.yolov9 import YOLOv9
from tests.data.published import randomise
from tests.unit.peopleseg.networks.test_networks import META, assert_close, on_meta

ROIS = 2


def roi_inputs(height: int = 64, width: int = 48, channels: int = 160) -> tuple[torch.Tensor, ...]:
    return (
        torch.rand(ROIS, 3, height, width),
        torch.randn(ROIS, 1, height, width),
        torch.randn(ROIS, channels, height // 2, width // 2),
    )


def operations(head: MaskHead) -> int:
    """Of one roi, on the meta device."""
    inputs = [x[:1].to(META) for x in roi_inputs()]
    with FlopCounterMode(display=False) as counter:
        head(*inputs)
    return int(counter.get_total_flops())


def test_the_lite_head_costs_at_most_an_eighth_of_the_published_one():
    lite = on_meta(lambda: person_mask_head("lite", feature_channels=160))
    full = on_meta(lambda: person_mask_head("b0", feature_channels=160))
    assert operations(lite) * 8 <= operations(full)


@pytest.mark.parametrize("variant", PEOPLE_UNETS)
def test_every_head_is_built_by_its_dims(variant: str):
    head = on_meta(
        lambda: person_mask_head(variant, reads_person_logit=False, roi_size_hw=(32, 24))
    )
    assert head.dims["variant"] == variant
    assert on_meta(lambda: person_mask_head(**head.dims)).dims == head.dims
    assert head.mask_size_hw == (64, 48)


def test_an_unknown_head_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'b2' is not one of b0, .*b7_enhanced, lite"):
        person_mask_head("b2")


@pytest.mark.parametrize("reads_person_logit", [True, False])
@pytest.mark.parametrize("channels", [0, 160])
def test_the_lite_head_answers_at_twice_the_rois_size(channels: int, reads_person_logit: bool):
    head = LiteMaskHead(channels, reads_person_logit).eval()
    rgb, logit, features = roi_inputs()
    output = head(
        rgb, logit if reads_person_logit else None, features if channels else None, refine=True
    )
    assert output.mask_logits.shape == (ROIS, 3, 128, 96)
    assert output.person_logits.shape == output.target_logits.shape == (ROIS, 2, 128, 96)
    assert output.contour_logits is None and output.distance is None
    assert_close(output.mask_logits, combine(output.person_logits, output.target_logits))


def test_the_lite_head_uses_each_input_and_each_roi_by_itself():
    torch.manual_seed(0)
    head = LiteMaskHead(4).eval()
    randomise(head)
    inputs = roi_inputs(32, 24, channels=4)
    with torch.no_grad():
        both = head(*inputs).mask_logits
        for row in range(ROIS):
            alone = head(*(x[row : row + 1] for x in inputs)).mask_logits
            assert_close(both[row : row + 1], alone, 1e-3)
        for changed in range(3):
            others = [x + 1.0 * (i == changed) for i, x in enumerate(inputs)]
            assert (head(*others).mask_logits - both).abs().max() > 1e-2, changed


def test_the_lite_head_takes_rois_that_do_not_halve_three_times():
    head = LiteMaskHead(160, roi_size_hw=(80, 60)).eval()
    assert head(*roi_inputs(80, 60)).mask_logits.shape == (ROIS, 3, 160, 120)


@pytest.mark.parametrize("shrink", [1, 2])
def test_the_lite_unet_answers_at_the_images_size(shrink: int):
    unet = on_meta(lambda: PeopleUNet("lite", shrink))
    assert unet(torch.empty(2, 3, 640, 640, device=META)).shape == (2, 1, 640, 640)
    assert on_meta(lambda: PeopleUNet(**unet.dims)).dims == unet.dims


def test_the_lite_unets_encoder_computes_what_the_detectors_does():
    torch.manual_seed(0)
    detector, unet = YOLOv9("t").eval(), PeopleUNet("lite").eval()
    randomise(detector)
    unet.unet.start_from_detector(detector)
    seen: list[torch.Tensor] = []
    unet.unet.context.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        unet(images)
        torch.testing.assert_close(seen[0], detector(images).features)


def test_features_alone_are_those_of_the_whole_detector():
    torch.manual_seed(0)
    detector = YOLOv9("t").eval()
    randomise(detector)
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(detector.features(images), detector(images).features)


def test_the_lite_unet_takes_no_other_detector():
    with pytest.raises(ValueError, match="encoder is YOLOv9-t's, the detector given YOLOv9-s"):
        PeopleUNet("lite").unet.start_from_detector(YOLOv9("s"))
