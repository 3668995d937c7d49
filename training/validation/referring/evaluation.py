"""Metrics of one network on images with references."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from peopleseg.networks.referring.network import ReferringNetwork, most_likely
from peopleseg.networks.referring.pose import PersonPose
from peopleseg.systems.referring.evaluation.crop_poses import keypoints_in_box
from peopleseg.systems.referring.evaluation.oks import oks
from peopleseg.systems.referring.evaluation.pckh import keypoints_right
from training.data.images import BrokenImage
from training.referring.data import ReferredFolder, ReferringData
from training.referring.images import ReferredImage
from training.referring.metrics import PromptMetrics
from training.referring.samples import RefBatch
from training.referring.task import seen
from training.referring.words import WordReader


@torch.inference_mode()
def measure_prompts(
    network: ReferringNetwork,
    images: Sequence[ReferredImage],
    device: torch.device | str,
    size: int,
) -> Mapping[str, Any]:
    """Of everybody's text, point and scribble, in squares of `size`; see PromptMetrics."""
    network.to(device).eval()
    words = WordReader(network.text_encoder, None, keep=True)
    metrics = PromptMetrics()
    for batch in _batches(images, size):
        there = batch._replace(
            images=batch.images.to(device),
            image_of=batch.image_of.to(device),
            points=batch.points.to(device),
        )
        output = network.decide(*seen(network, there, words), there.image_of)[-1]
        metrics.update(output, batch.targets, most_likely(output))
    return metrics.compute()


@torch.inference_mode()
def measure_pose(
    network: PersonPose, images: Sequence[ReferredImage], device: torch.device | str
) -> Mapping[str, float | None]:
    """The mean OKS and PCKh of people with keypoints, in their annotated boxes."""
    network.to(device).eval()

    def places_of(view: NDArray[np.uint8]) -> NDArray[np.floating]:
        pixels = torch.from_numpy(view).to(device).float() / 255
        places: NDArray[np.floating] = network.places(network(pixels).heatmaps)[0].cpu().numpy()
        return places

    alike: list[float] = []
    right = judged = 0
    for image, image_rgb in _decoded(images):
        for person in image.people:
            if person.keypoints is None:
                continue
            box = person.person.box_xyxy
            found = keypoints_in_box(image_rgb, box, network.size_hw, places_of)
            true, known = person.keypoints[:, :2], person.keypoints[:, 2] > 0
            alike.append(float(oks(found[None], true, known, person.area_px)[0]))
            counts = keypoints_right(found, true, known)
            right, judged = right + counts[0], judged + counts[1]
    return {
        "oks": float(np.mean(alike)) if alike else None,
        "pckh": right / judged if judged else None,
    }


def _batches(images: Sequence[ReferredImage], size: int) -> Iterator[RefBatch]:
    """Of one image each, with its prompts."""
    folder = ReferredFolder(images[0].path.parent, images[0].path)  # read already
    data = ReferringData(train=folder, val=folder, size=size)
    for image in tqdm(images, unit="image", disable=None, leave=False):
        try:
            batch = data.collate([data.validation_sample(image, 0)])
        except BrokenImage as broken:
            print(f"left out: {broken}", file=sys.stderr)
            continue
        if batch.text:
            yield batch


def _decoded(
    images: Sequence[ReferredImage],
) -> Iterator[tuple[ReferredImage, NDArray[np.uint8]]]:
    for image in tqdm(images, unit="image", disable=None, leave=False):
        try:
            yield image, image.read_rgb()
        except BrokenImage as broken:
            print(f"left out: {broken}", file=sys.stderr)
