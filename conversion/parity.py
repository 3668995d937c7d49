"""Compare an artifact in ONNX Runtime with the network in torch, on real pictures."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from peopleseg.contract import Model
from peopleseg.images import prepare
from peopleseg.people import select_people
from peopleseg.pipeline import Arrays, OnnxModel
from peopleseg.roi_align import RoiAligner

TOLERANCE_LOGITS = 1e-3  # largest difference of an FP32 graph from torch


class ParityError(Exception):
    """An exported graph does not compute what the network in torch computes."""


def picture_batches(pictures: list[Path]) -> Iterator[Arrays]:
    """The pictures as `pixels`, in batches of one and of three by turns."""
    remaining, sizes = pictures, itertools.cycle((1, 3))
    while remaining:
        size = next(sizes)
        batch, remaining = remaining[:size], remaining[size:]
        yield {"pixels": np.concatenate([prepare(path.read_bytes())[0] for path in batch])}


def roi_batches(pictures: list[Path], model_repository: Path) -> Iterator[Arrays]:
    """What the mask head reads of each picture, from the repository's own networks."""
    yolov9, people_unet = (
        OnnxModel(model_repository / name / "1" / "model.onnx", threads=2)
        for name in ("yolov9", "people_unet")
    )
    aligner = RoiAligner()
    for path in pictures:
        pixels, letterbox = prepare(path.read_bytes())
        detected = yolov9(pixels=pixels)
        rois = select_people(detected["predictions"][0], letterbox).rois[:7]
        person_logit = people_unet(pixels=pixels)["person_logit"]
        yield aligner.align(pixels, person_logit, detected["features"], rois)._asdict()


def torch_runner(module: nn.Module, model: Model) -> Callable[[Arrays], Arrays]:
    """Call the network in torch with and for the arrays of `model`."""

    @torch.no_grad()
    def run(inputs: Arrays) -> Arrays:
        outputs = module(*(torch.from_numpy(inputs[tensor.name]) for tensor in model.inputs))
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return {
            tensor.name: output.numpy()
            for tensor, output in zip(model.outputs, outputs, strict=True)
        }

    return run


def differences(
    reference: Callable[[Arrays], Arrays],
    candidate: Callable[[Arrays], Arrays],
    batches: Iterator[Arrays],
) -> dict[str, dict[str, float]]:
    """Largest and mean absolute difference of every output, and the reference's mean magnitude."""
    collected: dict[str, list[tuple[float, float, float]]] = {}
    for inputs in batches:
        expected, found = reference(inputs), candidate(inputs)
        for name, values in expected.items():
            gap = np.abs(values.astype(np.float64) - found[name])
            row = (float(gap.max()), float(gap.mean()), float(np.abs(values).mean()))
            collected.setdefault(name, []).append(row)
    return {
        name: {
            "max": max(row[0] for row in rows),
            "mean": float(np.mean([row[1] for row in rows])),
            "magnitude": float(np.mean([row[2] for row in rows])),
        }
        for name, rows in collected.items()
    }
