"""Measure the network of a checkpoint on annotated images."""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.nn import functional as F
from tqdm import tqdm

from peopleseg.labels.coco import AnnotatedImage
from peopleseg.networks.checkpoint import Loaded
from peopleseg.networks.people.detection import detect
from peopleseg.pixels.geometry import INPUT_SIZE, Letterbox
from peopleseg.systems.people.evaluation.average_precision import average_precision
from peopleseg.systems.people.results import coco_results
from training.data.images import BrokenImage
from training.data.samples import foreground_sample, roi_sample
from training.data.scene import Scene, read_scene
from training.data.transforms import whole_view
from training.validation.part import Unmeasurable
from training.validation.people.metrics import (
    MASK_AP,
    MASK_AP50,
    PEOPLE_SEG_MIOU,
    BoxAveragePrecision,
    PeopleSegMiou,
    mask_metrics,
)
from training.validation.people.prediction import mask_predictor, network_input, segment

Scenes = Iterator[tuple[AnnotatedImage, Scene]]
Metrics = dict[str, float]


def evaluate(
    loaded: Loaded,
    images: Sequence[AnnotatedImage],
    *,
    device: torch.device | str = "cpu",
) -> Metrics:
    """All metrics of the network's family, by their names in `metrics`; NaN: nothing to measure.

    A detector's are those of boxes, the people UNet's `people_seg_miou`, a mask head's those of
    masks on true boxes and, when a detector is among its companions, the AP of masks on the boxes
    that it finds. Images are letterboxed to 640 x 640, as served. An image that does not decode
    is named on stderr and left out. Moves the networks to `device`.

    Raises Unmeasurable when a network that a head reads is missing, or no image decodes.
    """
    for network in (loaded.network, *loaded.companions.values()):
        network.to(device)
    measure = MEASURES[loaded.family]
    with torch.inference_mode():
        return measure(loaded, images, torch.device(device))


def _detector_metrics(
    loaded: Loaded, images: Sequence[AnnotatedImage], device: torch.device
) -> Metrics:
    metric = BoxAveragePrecision(images)
    for image, scene in _scenes(images, with_masks=False):
        box = Letterbox.fit(image.width, image.height)
        predictions = loaded.network(network_input(scene, device)).predictions
        metric.update_from(image.id, predictions[0], box)
    return {name: float(value) for name, value in metric.compute().items()}


def _foreground_metrics(
    loaded: Loaded, images: Sequence[AnnotatedImage], device: torch.device
) -> Metrics:
    metric = PeopleSegMiou().to(device)
    for _, scene in _scenes(images):
        labels = foreground_sample(scene).labels[None].to(device)
        metric.update(loaded.network(network_input(scene, device)), labels)
    return {PEOPLE_SEG_MIOU: float(metric.compute())}


def _mask_metrics(
    loaded: Loaded, images: Sequence[AnnotatedImage], device: torch.device
) -> Metrics:
    predictor, detector = mask_predictor(loaded), loaded.companions.get("detector")
    running = {name: metric.to(device) for name, metric in mask_metrics().items()}
    seen: list[AnnotatedImage] = []
    results: list[dict[str, Any]] = []
    for image, scene in _scenes(images):
        pixels = network_input(scene, device)
        sample = roi_sample(scene, predictor.mask_size_hw, None, padding=predictor.padding)
        rois = F.pad(sample.boxes_xyxy, (1, 0)).to(device)  # all of image 0
        logits, labels = predictor.mask_logits(pixels, rois), sample.labels.to(device)
        for metric in running.values():
            metric.update(logits, labels)
        if detector is not None:
            box = Letterbox.fit(image.width, image.height)
            people = segment(predictor, pixels, detect(detector, pixels, box), box)
            results += coco_results(people, image.id)
            seen.append(image)
    metrics = {name: float(metric.compute()) for name, metric in running.items()}
    if detector is not None:
        ap = average_precision(seen, results, "segm")
        metrics |= {MASK_AP: _number(ap.ap), MASK_AP50: _number(ap.ap50)}
    return metrics


MEASURES: dict[str, Callable[[Loaded, Sequence[AnnotatedImage], torch.device], Metrics]] = {
    "yolov9": _detector_metrics,
    "people_unet": _foreground_metrics,
    "hierarchical_head": _mask_metrics,
    "feature_head": _mask_metrics,
}


def _scenes(images: Sequence[AnnotatedImage], *, with_masks: bool = True) -> Scenes:
    """The images that decode, on the canvas."""
    to_canvas, decoded = whole_view(INPUT_SIZE), 0
    # disable=None: no bar where nobody watches, in a log or a pipe
    for image in tqdm(images, unit="image", leave=False, disable=None):
        try:
            scene = read_scene(image, with_masks=with_masks)
        except BrokenImage as broken:
            tqdm.write(f"left out: {broken}", file=sys.stderr)
            continue
        decoded += 1
        yield image, to_canvas(scene)
    if not decoded:
        raise Unmeasurable(f"none of {len(images)} images can be measured")


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
