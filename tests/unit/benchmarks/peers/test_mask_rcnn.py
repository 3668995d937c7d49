"""The Mask R-CNN to compare with: its operators, its training, its metrics."""

import copy
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.peers.mask_rcnn import evaluate, ops
from benchmarks.peers.mask_rcnn.data import MaskRCNNData, instance_sample
from benchmarks.peers.mask_rcnn.network import (
    MASK_SIZE,
    Features,
    Found,
    MaskRCNNNetwork,
    load_mask_rcnn,
)
from benchmarks.peers.mask_rcnn.segmenter import MaskRCNNSegmenter, union_of
from benchmarks.peers.mask_rcnn.task import MaskRCNN
from peopleseg.labels.coco import AnnotatedImage, load_images
from peopleseg.networks.checkpoint import CheckpointError
from peopleseg.networks.people.roi_align import roi_align as half_pixel_roi_align
from peopleseg.pixels.geometry import Letterbox
from peopleseg.pixels.masks import encode_rle
from peopleseg.systems.people.evaluation.average_precision import AP_MIN_SCORE
from peopleseg.systems.people.evaluation.metrics import Measured
from tests.data.people_images import write_data_set
from tests.training.runs import Data, train
from training.data.images import BrokenImage
from training.data.module import AugmentationSettings
from training.data.samples import detection_sample
from training.data.scene import read_scene
from training.validation.people.metrics import BoxAveragePrecision

ops.supply_missing_ops()

import torchvision  # noqa: E402  (after supply_missing_ops)

CONFIG = Path(evaluate.__file__).with_name("mask_rcnn_r50_fpn.yaml")
SIZE = 64
METRICS = ("mask_ap", "mask_ap50", "box_ap", "box_ap50", "roi_miou", "foreground_miou")
ROIS = [
    *([0, 1.2, 0.4, 6.3, 5.1], [1, -3, 2, 4.5, 12], [0, 2, 2, 2.3, 2.1]),
    *([1, 0, 0, 9, 7], [0, 7.5, 5.5, 14, 13]),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Images and annotations of made-up images, the first without people."""
    return write_data_set(tmp_path_factory.mktemp("made-up"), count=6)


@pytest.fixture(scope="module")
def images(folder: tuple[Path, Path]) -> list[AnnotatedImage]:
    image_folder, annotations = folder
    return load_images(annotations, image_folder)


@pytest.fixture(scope="module")
def random_network() -> MaskRCNNNetwork:
    torch.manual_seed(0)
    return MaskRCNNNetwork(SIZE, rois_per_image=32).eval()


@pytest.fixture
def network(random_network: MaskRCNNNetwork) -> MaskRCNNNetwork:
    return copy.deepcopy(random_network)


@pytest.fixture(scope="module")
def trained(folder: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a training of two steps; its checkpoints are large."""
    out = tmp_path_factory.mktemp("runs") / "mask_rcnn"
    assert train(*arguments(folder, out), "--model.optimizer.name=sgd") == 0
    yield out
    shutil.rmtree(out)


def arguments(folder: tuple[Path, Path], out: Path) -> list[str]:
    return [
        "fit",
        f"--config={CONFIG}",
        *Data(*folder, Path(), Path()).arguments(),
        f"--model.image_size={SIZE}",
        "--model.rois_per_image=16",
        f"--data.size={SIZE}",
        "--trainer.max_epochs=1",
        "--trainer.limit_train_batches=2",
        f"--out={out}",
    ]


# Operators


def slow_nms(boxes: list[list[float]], scores: list[float], threshold: float) -> list[int]:
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(iou(boxes[index], boxes[better]) <= threshold for better in kept):
            kept.append(index)
    return kept


def iou(a: list[float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return shared / (sum(areas) - shared)


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.7])
def test_nms_keeps_what_the_slow_one_keeps(threshold: float) -> None:
    generator = torch.Generator().manual_seed(0)
    low = torch.rand(60, 2, generator=generator) * 5
    boxes = torch.cat((low, low + 5 + torch.rand(60, 2, generator=generator) * 5), dim=1)
    scores = torch.rand(60, generator=generator)
    kept = torchvision.ops.nms(boxes, scores, threshold)
    assert kept.tolist() == slow_nms(boxes.tolist(), scores.tolist(), threshold)
    assert 1 < len(kept) < 60


def test_nms_keeps_the_first_of_two_equals() -> None:
    boxes = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 4], [8, 8, 9, 9]])
    assert torchvision.ops.nms(boxes, torch.tensor([0.5, 0.5, 0.9]), 0.5).tolist() == [2, 0]


def test_nms_of_no_boxes_keeps_none() -> None:
    assert torchvision.ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5).tolist() == []


def slow_roi_align(
    maps: Tensor, rois: Tensor, scale: float, size_hw: tuple[int, int], ratio: int, aligned: bool
) -> Tensor:
    pooled = torch.zeros(len(rois), maps.shape[1], *size_hw, dtype=maps.dtype)
    for n, (image, *corners) in enumerate(rois.tolist()):
        x1, y1, x2, y2 = (corner * scale - 0.5 * aligned for corner in corners)
        least = 0.0 if aligned else 1.0
        bin_h = max(y2 - y1, least) / size_hw[0]
        bin_w = max(x2 - x1, least) / size_hw[1]
        across = ratio if ratio > 0 else math.ceil(bin_w)
        down = ratio if ratio > 0 else math.ceil(bin_h)
        for i in range(size_hw[0]):
            for j in range(size_hw[1]):
                for k in range(down):
                    for m in range(across):
                        y = y1 + (i + (k + 0.5) / down) * bin_h
                        x = x1 + (j + (m + 0.5) / across) * bin_w
                        pooled[n, :, i, j] += bilinear(maps[int(image)], y, x) / (down * across)
    return pooled


def bilinear(values: Tensor, y: float, x: float) -> Tensor:
    height, width = values.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return torch.zeros_like(values[:, 0, 0])
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = values[:, top, left] * (1 - (x - left)) + values[:, top, right] * (x - left)
    lower = values[:, bottom, left] * (1 - (x - left)) + values[:, bottom, right] * (x - left)
    return upper * (1 - (y - top)) + lower * (y - top)


@pytest.fixture
def maps() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 6, 8, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("ratio", [2, 3, -1])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_roi_align_is_the_slow_one(maps: Tensor, ratio: int, aligned: bool, scale: float) -> None:
    rois = torch.tensor(ROIS, dtype=torch.float64)
    pooled = torchvision.ops.roi_align(maps, rois, (2, 3), scale, ratio, aligned)
    expected = slow_roi_align(maps, rois, scale, (2, 3), ratio, aligned)
    torch.testing.assert_close(pooled, expected)


def test_roi_align_with_half_pixel_corners_is_our_own(maps: Tensor) -> None:
    rois = torch.tensor(ROIS, dtype=torch.float64)
    pooled = torchvision.ops.roi_align(maps, rois, (4, 3), 0.5, 2, aligned=True)
    torch.testing.assert_close(pooled, half_pixel_roi_align(maps, rois, (4, 3), 0.5))


@pytest.mark.parametrize("ratio", [2, -1])
def test_roi_align_has_the_right_gradient(maps: Tensor, ratio: int) -> None:
    rois = torch.tensor(ROIS, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda values: torchvision.ops.roi_align(values, rois, (2, 2), 1.0, ratio),
        maps[:, :2].clone().requires_grad_(),
    )


@pytest.mark.parametrize("ratio", [2, -1])
def test_roi_align_of_no_rois_is_empty(maps: Tensor, ratio: int) -> None:
    rois = torch.zeros(0, 5, dtype=torch.float64)
    assert torchvision.ops.roi_align(maps, rois, (2, 3), 1.0, ratio).shape == (0, 3, 2, 3)


def test_a_roi_without_extent_pools_nothing(maps: Tensor) -> None:
    rois = torch.tensor([[0.0, 3, 3, 3, 3]], dtype=torch.float64)
    assert not torchvision.ops.roi_align(maps, rois, (2, 2), 1.0, -1, aligned=True).any()


def test_torchvisions_own_operators_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "_library", None)
    monkeypatch.setattr("torchvision.extension._has_ops", lambda: True)
    ops.supply_missing_ops()
    assert ops._library is None


# The network


def sees_person_in_every_cell(network: MaskRCNNNetwork) -> None:
    logits = network.model.roi_heads.mask_predictor.mask_fcn_logits
    logits.bias.data = torch.tensor([-100.0, 100.0])  # background, person


def test_a_batch_is_found_as_its_images_are(network: MaskRCNNNetwork) -> None:
    images = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        together = network.features(images)
        assert together.images.image_sizes == [(SIZE, SIZE)] * 2
        found = network.detect(together)
        masks = network.mask_probabilities(together, [one.boxes_xyxy[:3] for one in found])
        for index, image in enumerate(images):
            features = network.features(image[None])
            (alone,) = network.detect(features)
            own = network.mask_probabilities(features, [alone.boxes_xyxy[:3]])
            torch.testing.assert_close(alone, found[index], rtol=1e-3, atol=1e-3)
            torch.testing.assert_close(own, masks[3 * index :][:3], rtol=1e-3, atol=1e-3)


def test_an_image_without_people_trains_all_but_the_masks(network: MaskRCNNNetwork) -> None:
    images = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    nobody = torch.zeros(0, SIZE, SIZE, dtype=torch.uint8)
    losses = network.train()(images, [torch.zeros(0, 4)], [nobody])
    sum(losses.values()).backward()
    assert losses["loss_mask"] == losses["loss_box_reg"] == losses["loss_rpn_box_reg"] == 0
    assert losses["loss_objectness"] > 0 and losses["loss_classifier"] > 0
    gradients = [p.grad for p in network.model.backbone.body.layer1.parameters()]
    assert all(one is not None and one.isfinite().all() for one in gradients)


def test_the_mask_loss_is_of_the_masks_given(network: MaskRCNNNetwork) -> None:
    """Where every cell says person, only masks that are not there cost something."""
    sees_person_in_every_cell(network)
    images = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    everywhere = torch.ones(1, SIZE, SIZE, dtype=torch.uint8)
    box = torch.tensor([[10.0, 12, 40, 60]])
    network.train()
    assert network(images, [box], [everywhere])["loss_mask"] < 1e-3
    assert network(images, [box], [0 * everywhere])["loss_mask"] > 50


def test_every_layer_of_the_backbone_is_trained(network: MaskRCNNNetwork) -> None:
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_another_familys_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.ckpt"
    torch.save({"network": {"family": "yolov9"}}, path)
    with pytest.raises(CheckpointError, match="holds yolov9, expected a mask_rcnn"):
        load_mask_rcnn(path)


# Its data


def test_samples_have_the_detectors_people_with_their_masks(images: list[AnnotatedImage]) -> None:
    view = MaskRCNNData(size=96, augmentation=AugmentationSettings("light", 1.0, 4.0)).augment
    people = cut_off = left_out = 0
    for seed, image in enumerate(images * 4):
        torch.manual_seed(seed)
        scene = view(read_scene(image))
        sample = instance_sample(scene)
        assert sample.boxes_xyxy.equal(detection_sample(scene).boxes_xyxy)
        for box, mask in zip(sample.boxes_xyxy, sample.masks, strict=True):
            y, x = mask.nonzero().unbind(1)
            assert (x + 1 > box[0] - 1).all() and (x < box[2] + 1).all()
            assert (y + 1 > box[1] - 1).all() and (y < box[3] + 1).all()
            assert len(x)
        people += len(sample.boxes_xyxy)
        left_out += len(scene.boxes) - len(sample.boxes_xyxy)
        cut_off += int((sample.boxes_xyxy == 96).any(dim=1).sum())
    assert min(people, cut_off, left_out) > 3


def test_broken_images_are_left_out_and_named() -> None:
    batch = MaskRCNNData.collate([BrokenImage("a.jpg is cut off")])
    assert len(batch.images) == 0
    assert batch.skipped == ["a.jpg is cut off"]


# Training and measuring


def test_a_training_leaves_a_checkpoint_that_loads(trained: Path) -> None:
    network = load_mask_rcnn(trained / "last.ckpt")
    assert network.dims == {"image_size": SIZE, "rois_per_image": 16}
    assert not network.training
    metrics = torch.load(trained / "best.ckpt", weights_only=True)["metrics"]
    assert 0 <= metrics["box_ap50"] <= 1


def test_squares_of_another_size_are_refused(
    folder: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train(*arguments(folder, tmp_path / "run"), "--data.size=96") == 1
    assert "data.size the same as model.image_size" in capfd.readouterr().err


def test_a_checkpoint_is_measured(
    trained: Path, folder: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, annotations = (str(path) for path in folder)
    where = ["--images", images, "--annotations", annotations, "--limit", "2", "--device", "cpu"]
    written = tmp_path / "metrics.json"
    checkpoint = str(trained / "last.ckpt")
    assert evaluate.main([checkpoint, *where, "--json", str(written)]) == 0
    report = json.loads(written.read_text())
    assert all(0 <= report[name] <= 1 for name in (*METRICS, "foreground_miou_best"))
    assert report["images"] == 2 and report["rois"] > 0
    assert "roi_miou" in capsys.readouterr().out


def test_a_broken_image_is_named_and_the_others_are_measured(
    network: MaskRCNNNetwork, images: list[AnnotatedImage], tmp_path: Path
) -> None:
    broken = AnnotatedImage(99, tmp_path / "broken.jpg", 10, 10)
    broken.path.write_bytes(b"nothing")
    report = evaluate.evaluate(MaskRCNNSegmenter(network), [broken, images[1]])
    assert [one["file"] for one in report["failed"]] == [str(broken.path)]
    assert report["images"] == 1


def finds_the_truth(network: MaskRCNNNetwork, image: AnnotatedImage) -> None:
    """Let a network answer with an image's true boxes, where they lie in the square."""
    letterbox = Letterbox.fit(image.width, image.height, SIZE)
    boxes = letterbox.boxes_to_network(np.array([person.box_xyxy for person in image.people]))
    found = Found(torch.from_numpy(boxes), torch.full((len(boxes),), 0.9))
    network.detect = lambda features: [found]  # type: ignore[method-assign]


def test_true_boxes_have_the_best_metrics_in_validation(images: list[AnnotatedImage]) -> None:
    data, task = MaskRCNNData(size=SIZE), MaskRCNN(SIZE)
    task.average_precision = BoxAveragePrecision(images)
    for image in images:
        if image.people:
            finds_the_truth(task.network, image)
            batch = data.collate_validation([data.validation_sample(image, 0)])
            task.validation_step(batch, 0)
    metrics = task.average_precision.compute()
    assert metrics["box_ap"] == pytest.approx(1)


def test_true_boxes_have_the_best_metrics_in_measuring(
    network: MaskRCNNNetwork, images: list[AnnotatedImage]
) -> None:
    image = images[1]
    finds_the_truth(network, image)
    report = evaluate.evaluate(MaskRCNNSegmenter(network), [image])
    assert report["box_ap"] == pytest.approx(1)
    assert report["rois"] == len(image.people)


def test_the_mask_branch_is_asked_in_the_square_and_only_for_the_likely(
    network: MaskRCNNNetwork, images: list[AnnotatedImage]
) -> None:
    in_square = torch.tensor([[10.0, 20, 30, 44], [16, 20, 50, 40]])
    found = Found(in_square, torch.tensor([0.9, AP_MIN_SCORE / 2]))
    asked: list[Tensor] = []

    def all_person(features: Features, boxes_xyxy: list[Tensor]) -> Tensor:
        asked.extend(boxes_xyxy)
        return torch.ones(len(boxes_xyxy[0]), MASK_SIZE, MASK_SIZE)

    network.detect = lambda features: [found]  # type: ignore[method-assign]
    network.mask_probabilities = all_person  # type: ignore[method-assign]
    (person,) = MaskRCNNSegmenter(network).segment(images[1].path.read_bytes())
    torch.testing.assert_close(asked, [in_square[:1]])
    assert person.score == pytest.approx(0.9)


def test_masks_fill_their_boxes_where_every_cell_is_person(
    network: MaskRCNNNetwork, images: list[AnnotatedImage]
) -> None:
    sees_person_in_every_cell(network)
    data = images[1].path.read_bytes()
    boxes = [[10, 20, 110, 90], [200, 30, 240, 200]]
    people = MaskRCNNSegmenter(network).segment_from_boxes(data, boxes)
    for person, (x1, y1, x2, y2) in zip(people, boxes, strict=True):
        expected = np.zeros((images[1].height, images[1].width), dtype=np.bool_)
        expected[y1:y2, x1:x2] = True
        np.testing.assert_array_equal(person.image_mask, expected)
        assert person.mask.min() == 255


def test_foreground_is_the_union_of_the_sure_people(
    network: MaskRCNNNetwork, images: list[AnnotatedImage]
) -> None:
    predictor = network.model.roi_heads.box_predictor.cls_score
    torch.nn.init.normal_(predictor.weight, std=0.5, generator=torch.Generator().manual_seed(0))
    segmenter, data = MaskRCNNSegmenter(network), images[1].path.read_bytes()
    people = segmenter.segment(data)
    expected = np.zeros((images[1].height, images[1].width), dtype=np.bool_)
    for person in people:
        if person.score > 0.5:
            expected |= person.image_mask
    assert expected.any()
    np.testing.assert_array_equal(segmenter.foreground(data) > 127, expected)


def test_nobody_is_found_where_the_network_sees_none(
    network: MaskRCNNNetwork, images: list[AnnotatedImage]
) -> None:
    predictor = network.model.roi_heads.box_predictor.cls_score
    torch.nn.init.zeros_(predictor.weight)
    predictor.bias.data = torch.tensor([20.0, 0.0])
    segmenter, data = MaskRCNNSegmenter(network), images[1].path.read_bytes()
    assert segmenter.segment(data) == []
    assert segmenter.segment_from_boxes(data, np.zeros((0, 4))) == []
    assert not segmenter.foreground(data).any()


def test_another_image_is_looked_at_anew(
    network: MaskRCNNNetwork, images: list[AnnotatedImage]
) -> None:
    first, second = (image.path.read_bytes() for image in images[1:3])
    segmenter = MaskRCNNSegmenter(network)
    segmenter.segment(first)
    after = [person.rle for person in segmenter.segment(second)]
    assert after == [person.rle for person in MaskRCNNSegmenter(network).segment(second)]
    assert after != [person.rle for person in segmenter.segment(first)]


def test_the_best_foreground_leaves_out_the_doubtful_who_are_not_there(
    images: list[AnnotatedImage],
) -> None:
    image = next(one for one in images if one.people)
    true = union_of([one.segmentation for one in image.people], (image.height, image.width))
    found = [
        {"score": 0.35, "segmentation": encode_rle((true > 0).astype(np.uint8))},
        {"score": 0.25, "segmentation": encode_rle((true == 0).astype(np.uint8))},
    ]
    measured = Measured(image, found, [], 0.0)
    best = evaluate.best_foreground([measured])
    assert best == {"foreground_miou_best": 1.0, "foreground_score_best": 0.3}
