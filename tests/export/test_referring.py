"""The referring networks as they are exported: joints in parts of the crop and looks; words."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conversion.export import parity
from conversion.export.accuracy import Accuracy
from conversion.export.exporter import export
from conversion.export.families import of_network
from conversion.export.inputs import IMAGES
from conversion.export.runners import Runner, onnx_runner
from conversion.export.settings import ExportError, Settings
from conversion.referring.accuracy import pose_accuracy, posed_people
from conversion.referring.exportable import of_text_encoder
from conversion.referring.inputs import CropInputs
from peopleseg.errors import PeoplesegError
from peopleseg.labels.keypoints import COUNT
from peopleseg.networks.checkpoint import load_network, save_network
from peopleseg.networks.referring.pose import PersonPose
from peopleseg.networks.referring.text_encoders import TextEncoder
from peopleseg.repository.manifest import Manifest
from peopleseg.systems.known import STEPS
from peopleseg.systems.referring.contract import MAX_TOKENS
from peopleseg.systems.referring.crops import TO_EDGE, crop_matrix, mapped
from tests.data.posed_images import annotation, entry, standing, write_coco, write_posed
from tests.export.networks import telling

SIZE_HW = (64, 32)


@pytest.fixture(scope="module")
def network() -> PersonPose:
    crops = torch.rand(8, 3, *SIZE_HW, generator=torch.Generator().manual_seed(1))
    made: PersonPose = telling(lambda: PersonPose("lite0", SIZE_HW, width=8), crops)
    return made


@pytest.fixture(scope="module")
def source(network: PersonPose, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pose") / "pose.ckpt"
    save_network(path, "person_pose", network, dims=network.dims)
    return path


def settings(**options: Any) -> Settings:
    return Settings(check_pinned_runtime=False, **options)


@torch.no_grad()
def test_a_version_gives_the_places_and_looks_of_the_network(
    network: PersonPose, source: Path, tmp_path: Path, images: list[Path]
) -> None:
    version = export(source, images, settings(stored="fp32"), repository=tmp_path)
    manifest = Manifest.read(version)
    assert manifest.model == "person_pose" and manifest.variant["size_hw"] == list(SIZE_HW)
    assert manifest.tensors["inputs"]["crops"] == {"dtype": "UINT8", "shape": [3, *SIZE_HW]}
    assert manifest.tensors["outputs"]["joints"] == {"dtype": "FP32", "shape": [COUNT, 3]}
    assert manifest.tensors["outputs"]["looks"]["shape"] == [network.looks_length]
    run = onnx_runner(version / "model.onnx")
    (case, *_) = CropInputs(SIZE_HW, at_once=(4,)).cases(images)
    found = run(case.inputs)
    pixels = torch.from_numpy(case.inputs["crops"]).float() / 255
    pose = network(pixels)
    places = network.places(pose.heatmaps)
    np.testing.assert_allclose(found["joints"][..., :2], places, atol=0.01)
    np.testing.assert_allclose(found["joints"][..., 2], pose.visibility.sigmoid(), atol=1e-3)
    np.testing.assert_allclose(found["looks"], network.looks(pixels, pose, places), atol=0.02)
    assert np.ptp(found["joints"], axis=0).max() > 0.1  # crops are told apart
    alone = [run({"crops": one[None]}) for one in case.inputs["crops"]]
    for name, together in found.items():
        one_by_one = np.concatenate([one[name] for one in alone])
        np.testing.assert_allclose(one_by_one, together, atol=1e-3)


def test_weights_of_a_version_are_the_network_again(
    network: PersonPose, source: Path, tmp_path: Path, images: list[Path]
) -> None:
    version = export(source, images, settings(), repository=tmp_path)
    again = load_network(version).network
    assert isinstance(again, PersonPose) and again.dims == network.dims
    for name, one in network.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], one, atol=1e-3, rtol=1e-3)


def test_options_of_other_families_are_refused(source: Path) -> None:
    with pytest.raises(PeoplesegError, match="person_pose .* leave out --size"):
        of_network(load_network(source), size=512)


def test_it_is_compared_on_parts_of_images_in_two_batch_sizes(images: list[Path]) -> None:
    inputs = CropInputs(SIZE_HW)
    cases = list(inputs.cases(images))
    assert {len(case.inputs["crops"]) for case in cases} >= {1, 5}
    for case in cases:
        crops = case.inputs["crops"]
        assert case.source == IMAGES and crops.dtype == np.uint8
        assert crops.shape[1:] == (3, *SIZE_HW) and crops.std() > 5
    calibration = inputs.calibration(images[:1])
    assert [one["crops"].shape for one in calibration] == [(1, 3, *SIZE_HW)] * 4


def accuracy(folder: Path, source: Path) -> Accuracy:
    images, annotations = write_posed(folder, count=2)
    people = posed_people(settings(images=images, annotations=annotations))
    return pose_accuracy(of_network(load_network(source)), people, CropInputs(SIZE_HW))


def answers(off: float) -> Runner:
    """The joints of both images, and so far off, in parts of the crop."""
    asked = iter((1, 2))

    def run(inputs: Any) -> Any:
        points = standing(100.0 + 7 * next(asked))
        x, y, width, height = annotation(1, points)["bbox"]
        matrix = crop_matrix((x, y, x + width, y + height), SIZE_HW)
        places = mapped(points[:, :2].astype(np.float64) + TO_EDGE, matrix) / SIZE_HW[::-1]
        return {"joints": np.hstack((places + off, points[:, 2:]))[None].astype(np.float32)}

    return run


def test_the_metric_is_how_alike_the_poses_are(tmp_path: Path, source: Path) -> None:
    measured = accuracy(tmp_path, source)
    assert measured.metric == "oks"
    assert measured.measure(answers(0.0)) == pytest.approx(1, abs=1e-4)
    near, far = measured.measure(answers(0.02)), measured.measure(answers(0.3))
    assert 0.3 < near < 0.99 and far < 0.05


def test_annotations_without_poses_are_no_measure(tmp_path: Path) -> None:
    nobody = annotation(1, standing(100), keypoints=None)
    path = write_coco(tmp_path / "people.json", [entry(1)], [nobody])
    with pytest.raises(ExportError, match="3 keypoints or more.*nothing was written"):
        posed_people(settings(images=tmp_path, annotations=path))


def test_every_output_has_a_tolerance_at_every_level() -> None:
    for level in (parity.EXACT, parity.HALF_WEIGHTS, parity.HALF, parity.QUANTISED):
        for tensor in STEPS["person_pose"].outputs:
            assert level.of(tensor.name)


@torch.no_grad()
def test_texts_of_any_length_are_read_as_the_network_reads_them(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = TextEncoder("tinybert")
    of_text_encoder(network).trace(tmp_path / "model.onnx")
    run = onnx_runner(tmp_path / "model.onnx")
    random = np.random.default_rng(0)
    for lengths in ([3], [MAX_TOKENS], [2, 9, 5], [MAX_TOKENS, 2]):
        there = (np.arange(MAX_TOKENS) < np.array(lengths)[:, None]).astype(np.int64)
        tokens = random.integers(1, 30_000, there.shape) * there
        found = run({"tokens": tokens, "token_mask": there})["words"]
        whole = network(torch.from_numpy(tokens), torch.from_numpy(there)).tokens.numpy()
        np.testing.assert_allclose(found[there > 0], whole[there > 0], atol=1e-4)
        assert np.ptp(whole[there > 0]) > 1 and not found[:, max(lengths) :].any()
