import math

import pytest
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from training.losses.refinement import (
    boundary_loss,
    boundary_weight_map,
    contour_loss,
    contour_target,
    contour_weight,
    distance_loss,
    distance_target,
)

SIZE_HW = (24, 18)


def label_maps() -> list[Tensor]:
    """Random ones, blobs, nobody, only the target, and a target of one pixel; [1, H, W] each."""
    torch.manual_seed(0)
    noise = F.interpolate(torch.randn(1, 3, 6, 5), size=SIZE_HW, mode="bilinear")
    one_pixel = torch.zeros(1, *SIZE_HW, dtype=torch.long)
    one_pixel[0, 10, 0] = 1
    return [
        torch.randint(0, 3, (1, *SIZE_HW)),
        noise.argmax(dim=1),
        torch.zeros_like(one_pixel),
        torch.ones_like(one_pixel),
        one_pixel,
    ]


def slow_boundary_weights(labels: Tensor) -> Tensor:
    """Dilation differs from erosion, for any class; [H, W]."""
    square = torch.ones(3, 3, dtype=torch.bool).numpy()
    boundary = torch.zeros(labels.shape, dtype=torch.bool)
    for label in range(3):
        mask = (labels == label).numpy()
        dilated = ndimage.binary_dilation(mask, square)
        eroded = ndimage.binary_erosion(mask, square, border_value=1)
        boundary |= torch.from_numpy(dilated ^ eroded)
    return torch.where(boundary, 2.0, 1.0)


def slow_contour(labels: Tensor, width: int) -> Tensor:
    """Outline pixels one by one, then each pixel with an outline within the square; [H, W]."""
    height, columns = labels.shape
    target = (labels == 1).int().tolist()
    outline = [
        (y, x)
        for y in range(height)
        for x in range(columns)
        if (x + 1 < columns and target[y][x] != target[y][x + 1])
        or (y + 1 < height and target[y][x] != target[y + 1][x])
    ]
    contour = torch.zeros(height, columns)
    for y, x in outline:
        top, left = max(y - width + 1, 0), max(x - width + 1, 0)
        contour[top : y + width, left : x + width] = 1
    return contour


def slow_distance(labels: Tensor) -> Tensor:
    distance = (labels == 1).double().numpy()
    for _ in range(5):
        reached = ndimage.maximum_filter(distance, size=3, mode="constant", cval=0)
        distance = distance + (1 - distance) * reached * 0.5
    return torch.from_numpy(distance).float()


@pytest.mark.parametrize("labels", label_maps())
def test_boundary_weights_equal_dilation_minus_erosion(labels: Tensor) -> None:
    torch.testing.assert_close(boundary_weight_map(labels)[0], slow_boundary_weights(labels[0]))


@pytest.mark.parametrize("labels", label_maps())
@pytest.mark.parametrize(("enlarged", "width"), [(1, 1), (3, 1), (4, 2), (6, 3)])
def test_the_contour_equals_the_slow_obvious_version(
    labels: Tensor, enlarged: int, width: int
) -> None:
    # 1.5 sqrt(24 x 18 enlarged^2 / 3072) = 0.56, 1.69, 2.25, 3.37
    labels = labels.repeat_interleave(enlarged, 1).repeat_interleave(enlarged, 2)
    torch.testing.assert_close(contour_target(labels)[0], slow_contour(labels[0], width))


def test_the_contour_of_the_published_mask_size_is_five_pixels_wide() -> None:
    labels = torch.zeros(1, 128, 96, dtype=torch.long)
    labels[:, :, 48:] = 1
    assert contour_target(labels)[0, 64].nonzero().flatten().tolist() == [45, 46, 47, 48, 49]


@pytest.mark.parametrize("labels", label_maps())
def test_the_distance_map_equals_the_slow_obvious_version(labels: Tensor) -> None:
    torch.testing.assert_close(distance_target(labels)[0], slow_distance(labels[0]))


def test_the_distance_map_falls_from_the_target_and_ends_after_five_pixels() -> None:
    labels = torch.zeros(1, 3, 20, dtype=torch.long)
    labels[:, :, :4] = 1
    row = distance_target(labels)[0, 1]
    assert (row[:4] == 1).all() and (row[9:] == 0).all()
    assert (row[3:9].diff() < 0).all() and row[8] > 0


@pytest.mark.parametrize("labels", label_maps())
def test_the_losses_equal_their_definitions_pixel_by_pixel(labels: Tensor) -> None:
    logits, contour, distance = (torch.randn(1, c, *SIZE_HW) for c in (3, 1, 1))
    terms = [0.0, 0.0, 0.0]
    weights, outline = slow_boundary_weights(labels[0]), slow_contour(labels[0], 1)
    expected_distance = slow_distance(labels[0])
    for y in range(SIZE_HW[0]):
        for x in range(SIZE_HW[1]):
            values = logits[0, :, y, x].tolist()
            entropy = math.log(sum(map(math.exp, values))) - values[labels[0, y, x]]
            terms[0] += weights[y, x].item() * entropy
            probability = 1 / (1 + math.exp(-contour[0, 0, y, x].item()))
            terms[1] -= math.log(probability if outline[y, x] else 1 - probability)
            terms[2] += abs(distance[0, 0, y, x].item() - expected_distance[y, x].item())
    pixels = SIZE_HW[0] * SIZE_HW[1]
    found = boundary_loss(logits, labels), contour_loss(contour, labels)
    assert [t.item() for t in found] == pytest.approx([t / pixels for t in terms[:2]], rel=1e-4)
    found_distance = distance_loss(distance, labels).item()
    assert found_distance == pytest.approx(terms[2] / pixels, rel=1e-4)


def test_no_term_exceeds_ten() -> None:
    labels = torch.zeros(1, *SIZE_HW, dtype=torch.long)
    wrong = torch.zeros(1, 3, *SIZE_HW)
    wrong[:, 1] = 1e4
    far = torch.full((1, 1, *SIZE_HW), 1e4, requires_grad=True)
    losses = boundary_loss(wrong, labels), contour_loss(far, labels), distance_loss(far, labels)
    assert [loss.item() for loss in losses] == [10, 10, 10]
    torch.stack(losses[1:]).sum().backward()
    assert far.grad is not None and torch.isfinite(far.grad).all()


def test_batches_cost_the_mean_of_their_samples() -> None:
    labels = torch.cat(label_maps())
    logits, one = torch.randn(len(labels), 3, *SIZE_HW), torch.randn(len(labels), 1, *SIZE_HW)
    for loss, output in ((boundary_loss, logits), (contour_loss, one), (distance_loss, one)):
        alone = [loss(output[i : i + 1], labels[i : i + 1]).item() for i in range(len(labels))]
        assert loss(output, labels).item() == pytest.approx(sum(alone) / len(alone), rel=1e-5)


@pytest.mark.parametrize("labels", label_maps())
def test_gradients_are_finite(labels: Tensor) -> None:
    logits = torch.randn(1, 3, *SIZE_HW, requires_grad=True)
    one = torch.randn(1, 1, *SIZE_HW, requires_grad=True)
    total = boundary_loss(logits, labels) + contour_loss(one, labels) + distance_loss(one, labels)
    total.backward()
    for output in (logits, one):
        assert output.grad is not None and torch.isfinite(output.grad).all() and output.grad.any()


def test_the_contours_weight_falls_with_the_resolution_within_limits() -> None:
    assert contour_weight(0.1, 64, 48) == pytest.approx(0.1)
    assert contour_weight(0.1, 128, 96) == pytest.approx(0.05)
    assert contour_weight(0.1, 1, 1) == 0.5
    assert contour_weight(0.1, 64000, 48000) == 0.001
    assert contour_weight(0, 64, 48) == 0
