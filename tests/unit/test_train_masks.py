"""What the UNet and the mask head are taught: labels and losses."""

import numpy as np
import pytest
import torch
from torch import nn

from peopleseg.coco import Picture, load_pictures
from peopleseg.geometry import INPUT_SIZE
from peopleseg.networks.hierarchical import HeadOutput
from tests.data.people_pictures import write_data_set
from training import train_head, train_people_unet
from training.augment import letterbox_view
from training.train_head import BACKGROUND, NON_TARGET, TARGET, head_loss
from training.train_people_unet import IGNORE, bce_dice, foreground_miou

LABEL_SIZE_HW = (128, 96)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Picture]:
    images, annotations = write_data_set(tmp_path_factory.mktemp("people"), count=6)
    return load_pictures(annotations, images)


def perfect_output(labels: torch.Tensor, certainty: float = 20.0) -> HeadOutput:
    classes = nn.functional.one_hot(labels, 3).permute(0, 3, 1, 2).float() * certainty
    person = torch.stack((classes[:, 0], classes[:, 1:].amax(dim=1)), dim=1)
    return HeadOutput(classes, person, classes[:, 1:])


def test_each_person_is_the_target_of_their_own_roi(pictures: list[Picture]) -> None:
    seen = 0
    for picture in pictures:
        view = letterbox_view(picture, INPUT_SIZE)
        sample = train_head.view_sample(picture, view, LABEL_SIZE_HW)
        for labels in sample.labels:
            assert (labels == TARGET).mean() > 0.05
            assert set(np.unique(labels)) <= {BACKGROUND, TARGET, NON_TARGET}
        seen += len(sample.boxes_xyxy)
    assert seen > 3


def test_jittered_boxes_stay_on_the_canvas(pictures: list[Picture]) -> None:
    random = np.random.default_rng(0)
    for picture in pictures:
        view = letterbox_view(picture, INPUT_SIZE)
        sample = train_head.view_sample(picture, view, LABEL_SIZE_HW, most_people=2, random=random)
        assert len(sample.boxes_xyxy) == len(sample.labels) <= 2
        assert (sample.boxes_xyxy >= 0).all() and (sample.boxes_xyxy <= INPUT_SIZE).all()


def test_a_perfect_head_has_next_to_no_loss_and_a_wrong_one_much() -> None:
    labels = torch.randint(0, 3, (2, 16, 12), generator=torch.Generator().manual_seed(0))
    assert head_loss(perfect_output(labels), labels) < 0.01
    assert head_loss(perfect_output((labels + 1) % 3), labels) > 10


def test_a_roi_without_people_has_a_finite_loss() -> None:
    labels = torch.full((1, 16, 12), BACKGROUND)
    output = perfect_output(torch.full_like(labels, TARGET))
    assert torch.isfinite(head_loss(output, labels))


def test_ignored_pixels_do_not_count() -> None:
    labels = torch.tensor([[[0, 1], [IGNORE, IGNORE]]], dtype=torch.uint8)
    one = bce_dice(torch.tensor([[[-2.0, 1.0], [9.0, -9.0]]]), labels)
    other = bce_dice(torch.tensor([[[-2.0, 1.0], [-9.0, 9.0]]]), labels)
    assert one == other
    assert bce_dice(torch.tensor([[[2.0, -1.0], [0.0, 0.0]]]), labels) > one


def test_foreground_miou_is_one_for_the_truth_and_low_for_nothing(pictures: list[Picture]) -> None:
    class Oracle(nn.Module):
        """Answers with the labels of the pictures in turn."""

        def __init__(self) -> None:
            super().__init__()
            self.turn = iter(pictures)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            picture = next(self.turn)
            view = letterbox_view(picture, INPUT_SIZE)
            labels = train_people_unet.view_sample(picture, view)[1]
            return torch.from_numpy(labels == 1).float()[None, None] - 0.5

    class Nobody(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.full((len(images), 1, INPUT_SIZE, INPUT_SIZE), -1.0)

    assert foreground_miou(Oracle(), pictures) == pytest.approx(1.0)
    assert foreground_miou(Nobody(), pictures) < 0.7
