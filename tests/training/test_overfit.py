"""Each family learns four images by heart, through the command: loss, labels and steps agree.

What is learnt is looked at on the canvases of the training, by the checkpoint's network.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from peopleseg.labels.coco import load_images
from peopleseg.networks.checkpoint import Loaded, load_network, save_network
from peopleseg.networks.people.yolov9 import YOLOv9
from peopleseg.networks.torchvision_ops import declare_missing_ops
from tests.data.people_images import write_data_set
from tests.training.runs import CONFIGS, Data, train
from training.data.samples import RoiSample, detection_sample, foreground_sample, roi_sample
from training.data.scene import Scene, read_scene
from training.data.transforms import whole_view
from training.validation.people.prediction import mask_predictor

declare_missing_ops()

from torchvision.ops import box_iou  # noqa: E402  (after declare_missing_ops)

ENOUGH_IOU = 0.9
SEED = 273  # of an image of nobody, two of one person and one of two people


@pytest.fixture(scope="module")
def four(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Data:
    """The images, and a detector with random weights whose features are of a trained one's size.

    Without norms that know the images, features fade from layer to layer.
    """
    folder = tmp_path_factory.mktemp("four")
    images, annotations = write_data_set(folder, count=4, seed=SEED)
    four = data._replace(images=images, annotations=annotations, detector=folder / "detector.ckpt")
    torch.manual_seed(0)
    detector = YOLOv9("t")
    for module in detector.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the statistics of what it sees now
    with torch.no_grad():
        detector(torch.cat([as_input(whole_view(640)(scene).image) for scene in scenes(four)]))
    save_network(four.detector, "yolov9", detector, dims=detector.dims)
    return four


def overfit(config: str, four: Data, out: Path, epochs: int, *more: str) -> Loaded:
    """The network after so many epochs, by default each of one step with all images."""
    assert (
        train(
            "fit",
            f"--config={CONFIGS / config}.yaml",
            *four.arguments(),
            "--data.loader.batch_size=4",
            "--data.augmentation.strength=none",
            "--trainer.limit_val_batches=1.0",
            "--trainer.callbacks=null",  # no averaged weights: they lag behind
            f"--trainer.max_epochs={epochs}",
            f"--trainer.check_val_every_n_epoch={epochs}",
            f"--out={out}",
            *more,
        )
        == 0
    )
    return load_network(out / "last.ckpt")


def scenes(four: Data) -> Iterator[Scene]:
    return map(read_scene, load_images(four.annotations, four.images))


@pytest.mark.parametrize(
    ("config", "epochs", "learning_rate"),
    [
        ("people_unet_b0", 50, 3e-3),
        pytest.param("people_unet_lite", 250, 1e-2, marks=pytest.mark.slow),
    ],
)
def test_the_people_unet_learns_its_images(
    config: str, epochs: int, learning_rate: float, four: Data, out: Path
) -> None:
    loaded = overfit(
        *(config, four, out, epochs),
        *("--model.shrink=4", "--data.size=96"),
        f"--model.optimizer.learning_rate={learning_rate}",
    )
    unet: Any = loaded.network
    intersection = union = 0
    for scene in scenes(four):
        sample = foreground_sample(whole_view(96)(scene))
        with torch.inference_mode():
            found = unet.at_working_size(as_input(sample.image))[0, 0] > 0
        true = sample.labels == 1
        intersection += int((found & true).sum())
        union += int(((found | true) & (sample.labels != 255)).sum())
    assert intersection / union > ENOUGH_IOU


@pytest.mark.slow
def test_the_detector_learns_its_images(four: Data, out: Path) -> None:
    loaded = overfit(
        *("yolov9_t", four, out, 180),
        *("--data.size=128", "--data.mixing.mosaic=0", "--model.auxiliary=false"),
        *("--model.optimizer.learning_rate=8e-3", "--model.optimizer.weight_decay=0"),
    )
    best = []
    for scene in scenes(four):
        sample = detection_sample(whole_view(128)(scene))
        with torch.inference_mode():
            found = loaded.network(as_input(sample.image)).predictions[0]
        boxes = found[:4, found[4] > 0.25].T  # cx, cy, w, h
        centres, sizes = boxes[:, :2], boxes[:, 2:]
        ious = box_iou(sample.boxes_xyxy, torch.cat((centres - sizes / 2, centres + sizes / 2), 1))
        best += [max(row, default=0.0) for row in ious.tolist()]
        if len(sample.boxes_xyxy) == 0:
            assert len(boxes) == 0
    assert len(best) == 4
    assert sum(best) / len(best) > ENOUGH_IOU


@pytest.mark.parametrize(
    ("config", "epochs"),
    [
        pytest.param("hierarchical_fused", 55, marks=pytest.mark.slow),
        pytest.param("hierarchical_lite", 110, marks=pytest.mark.slow),
    ],
)
def test_the_hierarchical_head_learns_its_images(
    config: str, epochs: int, four: Data, out: Path
) -> None:
    loaded = overfit(
        *(config, four, out, epochs),
        *(f"--model.people_unet={four.people_unet}", f"--model.detector={four.detector}"),
        *("--model.roi_size_hw=[16, 12]", "--data.roi.mask_size_hw=[32, 24]"),
        *("--data.roi.box_jitter=0", "--model.optimizer.learning_rate=1e-3"),
    )
    samples = [roi_sample(whole_view(640)(scene), (32, 24), None) for scene in scenes(four)]
    assert target_iou(loaded, samples) > ENOUGH_IOU


@pytest.mark.slow
def test_the_feature_head_learns_its_images(four: Data, out: Path) -> None:
    loaded = overfit(
        *("feature_head", four, out, 80, "--data.loader.batch_size=1"),
        *(f"--model.detector={four.detector}", "--trainer.gradient_clip_val=1"),
        "--model.schedule.warmup_epochs=3",
    )
    samples = [
        roi_sample(whole_view(640, "stretch")(s), (56, 56), None, padding=0.1) for s in scenes(four)
    ]
    assert target_iou(loaded, samples) > ENOUGH_IOU


def target_iou(loaded: Loaded, samples: list[RoiSample]) -> float:
    """Of the target's pixels, the mean over rois."""
    predictor = mask_predictor(loaded)
    ious = []
    for sample in samples:
        with torch.inference_mode():
            rois = F.pad(sample.boxes_xyxy, (1, 0))
            found = predictor.mask_logits(as_input(sample.image), rois).argmax(dim=1) == 1
        true = sample.labels == 1
        ious += [float((f & t).sum() / (f | t).sum()) for f, t in zip(found, true, strict=True)]
    assert len(ious) == 4
    return sum(ious) / len(ious)


def as_input(image: Tensor) -> Tensor:
    return image[None].float() / 255
