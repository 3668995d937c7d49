"""Measuring a pose network, and one that reads prompts, on a file of references."""

from pathlib import Path

import numpy as np
import pytest
import torch

from peopleseg.networks.checkpoint import Loaded
from peopleseg.networks.referring.chooser import PersonChooser
from peopleseg.networks.referring.network import ReferringNetwork
from peopleseg.networks.referring.pose import PersonPose, Pose
from peopleseg.systems.referring.crops import TO_EDGE, crop_matrix, mapped
from tests.data.reference_files import write_references
from training.referring.images import ReferredImage
from training.validation.part import Unmeasurable
from training.validation.parts import part_reading
from training.validation.referring.part import PART


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write_references(tmp_path, count=4, seed=0)


@pytest.fixture
def images(files: tuple[Path, Path]) -> list[ReferredImage]:
    folder, references = files
    found, skipped = PART.load(references, folder)
    assert found and not skipped
    return found


def loaded(family: str, network: torch.nn.Module) -> Loaded:
    return Loaded(family, {}, network.eval(), metrics={})


class Knowing(PersonPose):
    """Finds every joint where it is, `off` crop pixels to the right."""

    def __init__(self, images: list[ReferredImage], off: float) -> None:
        super().__init__(width=8)
        people = [p for image in images for p in image.people if p.keypoints is not None]
        self.answers = []
        for person in people:
            matrix = crop_matrix(person.person.box_xyxy, self.size_hw)
            assert person.keypoints is not None
            places = mapped(person.keypoints[:, :2].astype(np.float64) + TO_EDGE, matrix)
            answer = (places + [off, 0]) / self.size_hw[::-1]
            self.answers.append(torch.from_numpy(answer.astype(np.float32)))

    def forward(self, crops: torch.Tensor) -> Pose:
        nothing = torch.zeros(1, 17, 1, 1)
        return Pose(nothing, nothing[:, :, 0, 0], nothing)

    def places(self, heatmaps: torch.Tensor) -> torch.Tensor:
        return self.answers.pop(0)[None]


def test_a_file_with_captions_is_for_this_part(files: tuple[Path, Path], tmp_path: Path) -> None:
    _, references = files
    assert part_reading(references) is PART
    other = tmp_path / "people.json"
    other.write_text('{"images": [{"id": 1}], "annotations": []}')
    assert part_reading(other) is not PART
    other.write_text("not JSON")
    assert part_reading(other) is not PART and part_reading(tmp_path) is not PART


def test_a_pose_network_is_measured_in_the_annotated_boxes(images: list[ReferredImage]) -> None:
    right = PART.evaluate(loaded("person_pose", Knowing(images, 0.0)), images).metrics
    assert right["oks"] == pytest.approx(1, abs=1e-5)
    assert right["pckh"] == 1 or np.isnan(right["pckh"])
    wrong = PART.evaluate(loaded("person_pose", Knowing(images, 60.0)), images).metrics
    assert wrong["oks"] < 0.2 and not wrong["pckh"] > 0.5


def test_what_answers_nothing_alone_is_refused(images: list[ReferredImage]) -> None:
    chooser = PersonChooser(20, 8, 8, 1)
    with pytest.raises(Unmeasurable, match="peopleseg evaluate --system referring"):
        PART.evaluate(loaded("person_chooser", chooser), images)


def test_a_network_is_asked_every_prompt(images: list[ReferredImage]) -> None:
    torch.manual_seed(0)
    network = ReferringNetwork("fully_conv_optim", "tinybert", "mit_b0", groups=3)
    # Without its texts, so that no tokenizer is needed.
    silent = [ReferredImage(i.sources, i.size_hw, i.people, i.weight, i.seed) for i in images]
    for image in silent:
        for person in image.people:
            person.captions.clear()
    found = PART.evaluate(loaded("referring", network), silent, size=96).metrics
    assert set(PART.metrics) - {"oks"} <= found.keys()
    assert found["prompts"] >= len(silent) and 0 <= found["oiou"] <= 1
