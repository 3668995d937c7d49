"""The pose network: places between cells, and what a person looks like."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from peopleseg.networks.checkpoint import load_network, save_network
from peopleseg.networks.referring.pose import JOINTS, REGIONS, STRIDE, PersonPose, Pose

SIZE_HW = (96, 64)
ROWS, COLUMNS = SIZE_HW[0] // STRIDE, SIZE_HW[1] // STRIDE
SIGMA = 1.25  # cells, of what heatmaps learn
OF_A_BOX = 4.0  # cells from a crop's border that a joint within the person's box is, at least


@pytest.fixture(scope="module")
def network() -> PersonPose:
    torch.manual_seed(0)
    return PersonPose("lite0", SIZE_HW, width=8).eval()


def crops(count: int, seed: int = 1) -> Tensor:
    return torch.rand(count, 3, *SIZE_HW, generator=torch.Generator().manual_seed(seed))


def gaussian(x: float, y: float, sigma: float = SIGMA) -> Tensor:
    """[1, 17, rows, columns]: logits of a Gaussian around a place in cells."""
    along_x = torch.arange(COLUMNS) + 0.5 - x
    along_y = torch.arange(ROWS) + 0.5 - y
    away = along_y[:, None] ** 2 + along_x[None] ** 2
    return (-away / (2 * sigma**2)).expand(1, JOINTS, ROWS, COLUMNS)


def place(network: PersonPose, heatmaps: Tensor) -> tuple[float, float]:
    """x, y in cells."""
    found = network.places(heatmaps)
    assert found.shape == (len(heatmaps), JOINTS, 2)
    x, y = (found[0, 0] * torch.tensor([COLUMNS, ROWS])).tolist()
    return x, y


@torch.no_grad()
def test_a_batch_answers_as_its_single_crops(network: PersonPose) -> None:
    images = crops(3)
    together = network(images)
    assert together.heatmaps.shape == (3, JOINTS, ROWS, COLUMNS)
    assert together.visibility.shape == (3, JOINTS)
    assert together.deepest.shape[2:] == (SIZE_HW[0] // 32, SIZE_HW[1] // 32)
    for row, image in enumerate(images):
        alone = network(image[None])
        for one, all_of_them in zip(alone, together, strict=True):
            torch.testing.assert_close(one[0], all_of_them[row], atol=1e-4, rtol=1e-3)
        looks = [network.looks(image[None], alone, network.places(alone.heatmaps))[0]]
        looks += [network.looks(images, together, network.places(together.heatmaps))[row]]
        torch.testing.assert_close(*looks, atol=1e-3, rtol=1e-3)
    assert (together.heatmaps[0] - together.heatmaps[1]).abs().max() > 1e-4


@torch.no_grad()
def test_a_batch_of_nobody_has_no_places(network: PersonPose) -> None:
    assert network.places(torch.zeros(0, JOINTS, ROWS, COLUMNS)).shape == (0, JOINTS, 2)


@pytest.mark.parametrize("x", [8.0, 8.1, 8.3, 8.5, 8.77, 8.99])
@pytest.mark.parametrize("sigma", [1.0, 1.25, 1.5])
def test_a_place_is_found_between_the_cells(network: PersonPose, x: float, sigma: float) -> None:
    found = place(network, 3 * gaussian(x, 11.3, sigma * 3**0.5))
    assert found == pytest.approx((x, 11.3), abs=0.1)


def test_a_second_lower_peak_moves_no_place(network: PersonPose) -> None:
    for x, y in ((14.5, 3.5), (3.5, 20.2), (8.4, 20.0)):
        second = gaussian(x, y) - 0.1
        found = place(network, torch.maximum(gaussian(7.7, 9.4), second))
        assert found == pytest.approx((7.7, 9.4), abs=0.1)


def test_a_joint_in_its_box_is_found_up_to_the_boxs_edge(network: PersonPose) -> None:
    for x in (OF_A_BOX, OF_A_BOX + 0.4, COLUMNS - OF_A_BOX - 0.4, COLUMNS - OF_A_BOX):
        for y in (OF_A_BOX, ROWS - OF_A_BOX):
            assert place(network, gaussian(x, y)) == pytest.approx((x, y), abs=0.1)


@pytest.mark.parametrize("x", [0.0, 0.4, 1.2, COLUMNS - 0.1, COLUMNS - 1.7])
def test_at_the_crops_border_a_place_is_a_cell_inwards_at_most(
    network: PersonPose, x: float
) -> None:
    """The half of the Gaussian that lies outside has no cells to be seen in."""
    found, _ = place(network, gaussian(x, 11.3))
    assert 0 < found < COLUMNS
    assert abs(found - x) < 1.1
    assert (found > x) == (x < COLUMNS / 2)


def test_each_joint_has_its_own_place(network: PersonPose) -> None:
    places = [(4.0 + 0.5 * joint, 5.0 + 0.7 * joint) for joint in range(JOINTS)]
    heatmaps = torch.cat([gaussian(x, y)[:, :1] for x, y in places], dim=1)
    found = network.places(heatmaps)[0] * torch.tensor([COLUMNS, ROWS])
    torch.testing.assert_close(found, torch.tensor(places), atol=0.1, rtol=0)


@torch.no_grad()
def test_who_is_of_one_colour_looks_so(network: PersonPose) -> None:
    colours = torch.tensor([[1.0, 0.5, 0.0], [0.1, 0.2, 0.7]])
    images = colours[:, :, None, None].expand(2, 3, *SIZE_HW)
    pose = network(images)
    looks = network.looks(images, pose, network.places(pose.heatmaps))
    assert looks.shape == (2, network.looks_length)
    regions = looks[:, -3 * len(REGIONS) :].unflatten(1, (len(REGIONS), 3))
    torch.testing.assert_close(regions, colours[:, None].expand_as(regions))
    torch.testing.assert_close(looks[:, : -3 * len(REGIONS)], pose.deepest.mean(dim=(2, 3)))


@torch.no_grad()
def test_each_region_has_the_colour_at_its_joints(network: PersonPose) -> None:
    images = torch.zeros(1, 3, *SIZE_HW)
    images[:, 0, :48] = 1  # red above, blue below
    images[:, 2, 48:] = 1
    places = torch.full((1, JOINTS, 2), 0.5)
    places[:, :11, 1], places[:, 11:, 1] = 0.2, 0.8
    heatmaps, deepest = torch.zeros(1, JOINTS, ROWS, COLUMNS), torch.zeros(1, 320, 3, 2)
    pose = Pose(heatmaps, torch.zeros(1, JOINTS), deepest)
    regions = network.looks(images, pose, places)[0, 320:].unflatten(0, (len(REGIONS), 3))
    head, chest, _, thighs, shins, feet = regions
    for upper in (head, chest):
        torch.testing.assert_close(upper, torch.tensor([1.0, 0, 0]), atol=1e-2, rtol=0)
    for lower in (thighs, shins, feet):
        torch.testing.assert_close(lower, torch.tensor([0, 0, 1.0]), atol=1e-2, rtol=0)


@pytest.mark.parametrize("size_hw", [(100, 64), (96, 63), (1, 32)])
def test_a_size_of_other_than_multiples_of_32_is_refused(size_hw: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=rf"is \({size_hw[0]}, {size_hw[1]}\), expected m"):
        PersonPose("lite0", size_hw)


@torch.no_grad()
def test_a_checkpoint_builds_the_same_network(network: PersonPose, tmp_path: Path) -> None:
    path = tmp_path / "pose.ckpt"
    save_network(path, "person_pose", network, dims=network.dims)
    again = load_network(path).network
    assert isinstance(again, PersonPose) and again.dims == network.dims
    images = crops(1)
    for one, other in zip(again(images), network(images), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("encoder", ["lite0", "lite1", "mobilenetv2"])
def test_dims_build_a_network_of_the_same_weights(encoder: str) -> None:
    with torch.device("meta"):
        first = PersonPose(encoder, (64, 32), width=16)
        second = PersonPose(**first.dims)
    shapes, others = (
        {name: one.shape for name, one in network.state_dict().items()}
        for network in (first, second)
    )
    assert shapes == others
    assert len(first.encoder_stages) > 3  # for a backbone that learns stage by stage
