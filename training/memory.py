"""What one training step of a variant needs, measured in the process that calls."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml

from peopleseg.labels.files import write_json
from peopleseg.networks.checkpoint import save_network
from peopleseg.networks.people.people_unet import PeopleUNet
from peopleseg.networks.people.person_mask_head import PEOPLE_UNETS
from peopleseg.networks.people.yolov9 import YOLOv9
from peopleseg.networks.torchvision_ops import declare_missing_ops
from training.cli import build
from training.data.generated import PeopleImage, coco_annotations, write_image
from training.data.images import DataError
from training.data.loading import TrainingData
from training.tasks.base import Task

declare_missing_ops()

import lightning  # noqa: E402  (it imports torchvision, after declare_missing_ops)
from lightning.pytorch.callbacks import Callback  # noqa: E402

PEOPLE, COLUMNS = 10, 5  # of a made-up image, side by side in rows
IMAGE_HW, MARGIN_PX = (480, 640), 10
FUSED_DETECTOR, FEATURE_DETECTOR = "t", "e"
MIB = 2**20


@dataclass(frozen=True)
class Need:
    """What one step of a variant needed."""

    variant: str
    batch: int  # images
    canvas_px: int
    rois: int | None
    trained: int  # parameters
    frozen: int
    memory_mib: int  # the most resident memory of the process
    gpu_mib: int | None  # the most allocated; None on the CPU


def need_of(config: Path, folder: Path, device: str) -> Need:
    """Train the variant of a YAML for one optimiser step; made-up files go to `folder`.

    device: "cpu" or "cuda". For a process of its own: the memory is that of its whole life. Raises
    DataError for a file without a network.
    """
    settings = yaml.safe_load(config.read_text())
    if not isinstance(settings, dict) or "model" not in settings:
        raise DataError("it has no `model`; name a variant's YAML, as training/configs has them")
    images, annotations = folder / "images", folder / "people.json"
    arguments = ["fit", f"--config={config}", f"--out={folder}"]
    for part in ("train", "val"):
        arguments += [f"--data.{part}.images={images}", f"--data.{part}.annotations={annotations}"]
    arguments += ["--data.augmentation.strength=none", "--data.loader.workers=0"]
    arguments += _companions(settings["model"], folder)
    task, data = build(arguments)
    write_crowded_images(images, annotations, data.loader.batch_size)
    step = _step(task, data, device)
    trained = [p.numel() for p in task.parameters() if p.requires_grad]
    frozen = [p.numel() for p in task.parameters() if not p.requires_grad]
    return Need(
        config.stem,
        *step.shape,
        trained=sum(trained),
        frozen=sum(frozen),
        memory_mib=_peak_memory_mib(),
        gpu_mib=torch.cuda.max_memory_allocated() // MIB if device == "cuda" else None,
    )


def write_crowded_images(images: Path, annotations: Path, count: int) -> None:
    """A data set of `count` images, one file, of PEOPLE people who do not overlap."""
    images.mkdir()
    crowd, name = _crowd(), "crowded.png"
    write_image(images / name, crowd.image_rgb)
    write_json(annotations, coco_annotations([crowd] * count, [name] * count))


def _crowd() -> PeopleImage:
    """Upright rectangles in rows, as people."""
    height, width = IMAGE_HW
    grain = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    image_rgb = cv2.resize(grain, (width, height)).astype(np.uint8)
    row, column = np.divmod(np.arange(PEOPLE), COLUMNS)
    cell = np.array([width // COLUMNS, height // (PEOPLE // COLUMNS)])
    corners = np.stack((column, row), axis=1) * cell
    boxes = np.concatenate((corners + MARGIN_PX, corners + cell - MARGIN_PX), axis=1)
    masks = np.zeros((PEOPLE, height, width), dtype=np.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        mask[top:bottom, left:right] = 1
    return PeopleImage(image_rgb, masks, boxes.astype(np.float32))


def _companions(model: Mapping[str, Any], folder: Path) -> list[str]:
    """Arguments that name random networks, written to `folder`, where a task reads any."""
    task, settings = model["class_path"].rpartition(".")[2], model.get("init_args", {})
    if task == "PeopleForeground":
        return ["--model.encoder_weights=null"]  # nothing is downloaded
    if task == "PersonMasksFromFeatures":
        return [_written(folder, "detector", "yolov9", YOLOv9(FEATURE_DETECTOR))]
    if task != "PersonMasks":
        return []
    arguments = []
    if settings.get("reads_person_logit", True):
        unet = PeopleUNet(PEOPLE_UNETS[settings.get("variant", "b0")])
        arguments.append(_written(folder, "people_unet", "people_unet", unet))
    if settings.get("reads_features", False):
        arguments.append(_written(folder, "detector", "yolov9", YOLOv9(FUSED_DETECTOR)))
    return arguments


def _written(folder: Path, name: str, family: str, network: PeopleUNet | YOLOv9) -> str:
    path = folder / f"{name}.ckpt"
    save_network(path, family, network, dims=network.dims)
    return f"--model.{name}={path}"


class _Shape(Callback):
    """Looks at the batch: images, canvas, rois."""

    shape: tuple[int, int, int | None]

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, *_: Any) -> None:
        rois = len(batch.rois) if hasattr(batch, "rois") else None
        self.shape = len(batch.images), batch.images.shape[-1], rois


def _step(task: Task, data: TrainingData, device: str) -> _Shape:
    """One batch, forwards, backwards and into the weights."""
    step = _Shape()
    trainer = lightning.Trainer(
        accelerator="gpu" if device == "cuda" else "cpu",
        devices=1,
        max_epochs=1,
        limit_train_batches=1,
        limit_val_batches=0,
        callbacks=[step],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(task, data)
    return step


def _peak_memory_mib() -> int:
    """Of this process alone: what getrusage says begins with the memory of the parent."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 // MIB
    raise RuntimeError("/proc/self/status has no VmHWM; this needs Linux")
