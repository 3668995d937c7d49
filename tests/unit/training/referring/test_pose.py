"""How the pose network learns: its losses, its metrics and its start."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from peopleseg.networks.checkpoint import CheckpointError, save_network
from peopleseg.networks.people.people_unet import PeopleUNet
from peopleseg.networks.referring.pose import JOINTS, PersonPose, Pose
from training.referring.pose import SIGMA_CELLS, PoseEstimation, place_entropies, start_encoder
from training.referring.pose_data import PoseBatch, PoseData

SIZE_HW = (96, 64)
ROWS, COLUMNS = 24, 16


def task() -> PoseEstimation:
    torch.manual_seed(0)
    return PoseEstimation(size_hw=SIZE_HW, width=8)


def batch(count: int = 2, seed: int = 1) -> PoseBatch:
    random = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, *SIZE_HW), generator=random, dtype=torch.uint8)
    places = 0.1 + 0.8 * torch.rand(count, JOINTS, 2, generator=random)
    known = torch.rand(count, JOINTS, generator=random) < 0.7
    return PoseBatch(images, places, known, torch.full((count,), 2000.0), [])


def logits_of(places: Tensor) -> Tensor:
    """[B, J, rows, columns]: logits of the Gaussian around each place."""
    y, x = torch.meshgrid(torch.arange(ROWS) + 0.5, torch.arange(COLUMNS) + 0.5, indexing="ij")
    away_x = x - places[..., 0, None, None] * COLUMNS
    away_y = y - places[..., 1, None, None] * ROWS
    return -(away_x**2 + away_y**2) / (2 * SIGMA_CELLS**2)


def plain_entropy(heatmap: Tensor, place: Tensor) -> float:
    """Cell by cell, of one joint."""
    x, y = float(place[0]) * COLUMNS, float(place[1]) * ROWS
    cells = [(row, column) for row in range(ROWS) for column in range(COLUMNS)]
    target = {
        (row, column): math.exp(
            -((column + 0.5 - x) ** 2 + (row + 0.5 - y) ** 2) / (2 * SIGMA_CELLS**2)
        )
        for row, column in cells
    }
    whole = sum(target.values())
    over = math.log(sum(math.exp(heatmap[cell]) for cell in cells))
    return sum(
        share / whole * (math.log(share / whole) - (float(heatmap[cell]) - over))
        for cell, share in target.items()
        if share > 0
    )


def test_the_entropies_are_those_of_the_plain_sum() -> None:
    torch.manual_seed(0)
    heatmaps, places = torch.randn(2, 3, ROWS, COLUMNS), torch.rand(2, 3, 2)
    found = place_entropies(heatmaps, places)
    expected = [
        [plain_entropy(heatmap, place) for heatmap, place in zip(*own, strict=True)]
        for own in zip(heatmaps, places, strict=True)
    ]
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-4, rtol=1e-4)
    assert found.min() > 0.5


@pytest.mark.parametrize("border", [0.0, 0.5, 1.0])
def test_an_answer_that_is_the_target_costs_nothing(border: float) -> None:
    places = torch.tensor([[[0.5, 0.5], [border, 0.3], [0.13, border]]])
    found = place_entropies(logits_of(places) + 7, places)
    torch.testing.assert_close(found, torch.zeros(1, 3), atol=1e-5, rtol=0)


def test_a_place_far_outside_is_a_number_too() -> None:
    """Of an unknown joint, which then counts as nothing: no NaN may come of it."""
    heatmaps = torch.randn(1, 2, ROWS, COLUMNS, requires_grad=True)
    found = place_entropies(heatmaps, torch.tensor([[[-40.0, 3.0], [1e4, -1e4]]]))
    (found * 0).sum().backward()
    assert found.isfinite().all() and heatmaps.grad is not None
    assert heatmaps.grad.isfinite().all()


def test_unknown_joints_count_nowhere() -> None:
    first, given = task().eval(), batch()
    elsewhere = given.places.clone()
    elsewhere[~given.known] = -3
    one, other = (first.loss_terms(each) for each in (given, given._replace(places=elsewhere)))
    assert torch.equal(one["places"], other["places"])
    moved = given.places.clone()
    moved[given.known] *= 0.5
    assert not torch.equal(first.loss_terms(given._replace(places=moved))["places"], one["places"])


def test_the_loss_is_the_mean_over_the_known_joints_and_the_visibility() -> None:
    first, given = task().eval(), batch()
    terms = first.loss_terms(given)
    pose = first.network(given.images.float() / 255)
    entropies = place_entropies(pose.heatmaps, given.places)[given.known]
    torch.testing.assert_close(terms["places"], entropies.mean())
    torch.testing.assert_close(terms["loss"], terms["places"] + terms["visibility"])
    nobody = given._replace(known=torch.zeros_like(given.known))
    terms = first.loss_terms(nobody)
    assert terms["places"] == 0 and terms["loss"].isfinite()


def test_a_batch_whose_images_are_all_broken_is_passed_over() -> None:
    first, empty = task(), PoseData.collate([])
    assert first.is_empty(empty) and not first.is_empty(batch())
    first.validation_step(empty, 0)
    assert first.oks.update_count == first.right.update_count == 0


class Knowing(PersonPose):
    """Answers with given places, whatever it is shown."""

    answer: Tensor

    def forward(self, crops: Tensor) -> Pose:
        count = len(crops)
        return Pose(logits_of(self.answer), torch.zeros(count, JOINTS), torch.zeros(count, 1, 3, 2))


def measured(answer: Tensor, given: PoseBatch) -> dict[str, float]:
    first = task()
    first.network = Knowing("lite0", SIZE_HW, 8)
    first.network.answer = answer
    first.validation_step(given, 0)
    return {name: float(one.compute()) for name, one in first.metrics().items()}


def test_right_places_are_measured_as_right_and_others_as_wrong() -> None:
    given = batch(3)
    given = given._replace(
        places=0.3 + given.places / 2, known=torch.ones_like(given.known)
    )  # with ears, by which a head is measured
    assert measured(given.places, given) == pytest.approx({"oks": 1, "pckh": 1}, abs=0.01)
    wrong = measured(given.places.roll(1, dims=1), given)
    assert wrong["oks"] < 0.5 and wrong["pckh"] < 0.9
    half = given.places.clone()
    half[given.known.cumsum(dim=1) > 9] = 0.05
    assert 0.4 < measured(half, given)["oks"] < 0.8


def test_an_encoder_starts_as_that_of_a_people_unet(tmp_path: Path) -> None:
    torch.manual_seed(5)
    unet, network = PeopleUNet("lite0"), task().network
    path = written(tmp_path / "unet.ckpt", "people_unet", unet)
    before = network.heatmaps.weight.clone()
    start_encoder(network, path)
    own = network.encoder.state_dict()
    taken: Any = unet.unet
    assert all(torch.equal(own[key], one) for key, one in taken.encoder.state_dict().items())
    assert torch.equal(network.heatmaps.weight, before)
    started = PoseEstimation(size_hw=SIZE_HW, width=8, encoder_from=path)
    assert torch.equal(started.network.encoder.conv_stem.weight, own["conv_stem.weight"])


def written(path: Path, family: str, network: Any) -> Path:
    save_network(path, family, network, dims=network.dims)
    return path


def test_another_checkpoint_has_no_encoder_to_start_with(tmp_path: Path) -> None:
    network = task().network
    others = {
        "mobile": written(tmp_path / "mobile.ckpt", "people_unet", PeopleUNet("mobilenetv2")),
        "b0": written(tmp_path / "b0.ckpt", "people_unet", PeopleUNet("b0")),
        "pose": written(tmp_path / "pose.ckpt", "person_pose", network),
    }
    for name, path in others.items():
        with pytest.raises(CheckpointError, match=rf"{name}.ckpt has no encoder lite0; name the"):
            start_encoder(network, path)
    with pytest.raises(CheckpointError, match=r"none.ckpt cannot be read"):
        start_encoder(network, tmp_path / "none.ckpt")
