"""Train the fused hierarchical mask head beside a frozen detector and people UNet.

    python -m training.train_head --images DIR --annotations COCO.json \\
        --detector detector.pt --people-unet unet.pt --checkpoint head.pt

Several data sets: repeat --images and --annotations in the same order. Run the same command again
to continue after an interruption.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from peopleseg.coco import Picture, load_pictures
from peopleseg.contract import FEATURE_STRIDE, ROI_FEATURE_SIZE_HW, ROI_SIZE_HW
from peopleseg.geometry import INPUT_SIZE, clip_boxes
from peopleseg.masks import grid_mask
from peopleseg.networks.hierarchical import HeadOutput, PersonMaskHead
from peopleseg.networks.people_unet import PeopleUNet
from peopleseg.networks.roi_align import roi_align
from peopleseg.networks.yolov9 import YOLOv9
from training.augment import View, jitter_colour, letterbox_view, random_view, read_rgb
from training.loop import DEVICE, argument_parser, begin, mixed_precision, train_as_asked

SMALLEST_SIDE_PX = 16.0  # of a box in the picture, as in the published training (models.md A8)
SMALLEST_SEEN_PX = 8.0  # of a box in a view, network pixels
SMALLEST_VISIBLE = 0.3  # part of a box that a view must show
SCALES = (0.7, 1.4)  # of a view, against the letterbox
BOX_JITTER = 0.08  # standard deviation of an edge, in parts of the side
BACKGROUND, TARGET, NON_TARGET = 0, 1, 2


class Sample(NamedTuple):
    image_rgb: NDArray[np.uint8]  # (640, 640, 3)
    boxes_xyxy: NDArray[np.float32]  # (people, 4), network pixels
    labels: NDArray[np.uint8]  # (people, 2h, 2w): BACKGROUND, TARGET or NON_TARGET


class Frozen(NamedTuple):
    """The networks whose outputs the head reads."""

    detector: YOLOv9
    people_unet: PeopleUNet


def view_sample(
    picture: Picture,
    view: View,
    size_hw: tuple[int, int],
    *,
    most_people: int | None = None,
    random: np.random.Generator | None = None,
) -> Sample:
    """A view of a picture with its people and their label maps of size_hw cells.

    With `random`, at most `most_people` of them, and their boxes jittered.
    """
    masks = [view.mask(a.mask(picture.height, picture.width)) for a in picture.annotations]
    everybody = np.sum(masks, axis=0, dtype=np.uint8) > 0
    large = [
        index
        for index, a in enumerate(picture.annotations)
        if not a.crowd
        and min(a.box_xyxy[2] - a.box_xyxy[0], a.box_xyxy[3] - a.box_xyxy[1]) >= SMALLEST_SIDE_PX
    ]
    chosen = random.permutation(large)[:most_people] if random else large
    boxes, labels = [], []
    for index in chosen:
        whole = view.boxes(np.array(picture.annotations[index].box_xyxy, dtype=np.float32))[0]
        box = jittered(whole, random) if random else whole
        if not in_view(box, whole):
            continue
        target = grid_mask(masks[index], box, size_hw)
        person = grid_mask(everybody, box, size_hw)  # type: ignore[arg-type]
        boxes.append(box)
        labels.append(np.where(target, TARGET, np.where(person, NON_TARGET, BACKGROUND)))
    return Sample(
        view.image(read_rgb(picture.path)),
        np.array(boxes, dtype=np.float32).reshape(-1, 4),
        np.array(labels, dtype=np.uint8).reshape(-1, *size_hw),
    )


def jittered(box: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """A box (4,) as a detector might find it, cut to the canvas."""
    sides = np.tile(box[2:] - box[:2], 2)
    return clip_boxes(box + random.normal(0, BOX_JITTER, 4) * sides, INPUT_SIZE, INPUT_SIZE)


def in_view(box: NDArray[np.float32], whole: NDArray[np.float32]) -> bool:
    """Whether enough of a person's whole box is left in the box that the canvas shows."""
    seen, sides = box[2:] - box[:2], whole[2:] - whole[:2]
    return bool(seen.min() >= SMALLEST_SEEN_PX and seen.prod() > SMALLEST_VISIBLE * sides.prod())


def augmented(
    picture: Picture, most_people: int, size_hw: tuple[int, int], random: np.random.Generator
) -> Sample:
    """A random view of a picture with some of its people."""
    view = random_view(picture, INPUT_SIZE, SCALES, random)
    sample = view_sample(picture, view, size_hw, most_people=most_people, random=random)
    return sample._replace(image_rgb=jitter_colour(sample.image_rgb, random))


def somebody_in(samples: list[Sample]) -> bool:
    """Whether a batch has a roi at all: views can leave everybody outside."""
    return any(len(sample.boxes_xyxy) for sample in samples)


class RoiBatch(NamedTuple):
    roi_rgb: Tensor
    roi_logit: Tensor
    roi_features: Tensor
    labels: Tensor


@torch.no_grad()
def align(frozen: Frozen, samples: list[Sample], roi_size_hw: tuple[int, int]) -> RoiBatch:
    """What the head reads of all people of a batch, from the frozen networks."""
    images = torch.from_numpy(np.stack([s.image_rgb for s in samples])).to(DEVICE)
    images = images.permute(0, 3, 1, 2).float() / 255
    rois = torch.cat(
        [
            F.pad(torch.from_numpy(s.boxes_xyxy), (1, 0), value=index)
            for index, s in enumerate(samples)
        ]
    ).to(DEVICE)
    labels = torch.from_numpy(np.concatenate([s.labels for s in samples])).to(DEVICE).long()
    features = frozen.detector(images).features.float()
    logit = frozen.people_unet(images).float()
    return RoiBatch(
        roi_align(images, rois, roi_size_hw),
        roi_align(logit, rois, roi_size_hw),
        roi_align(features, rois, ROI_FEATURE_SIZE_HW, 1 / FEATURE_STRIDE),
        labels,
    )


def head_loss(output: HeadOutput, labels: Tensor) -> Tensor:
    """The main terms of models.md A7: both branches, the three classes, Dice, consistency.

    labels: [N, 2h, 2w] of BACKGROUND, TARGET, NON_TARGET.
    """
    mask_logits, person_logits, target_logits = (t.float() for t in output[:3])
    is_person = labels != BACKGROUND
    person = F.cross_entropy(person_logits, is_person.long())
    which = F.cross_entropy(target_logits, labels - 1 + 256 * ~is_person, ignore_index=255)
    classes = F.cross_entropy(mask_logits, labels)
    probability = mask_logits.softmax(dim=1)
    target, truth = probability[:, TARGET], (labels == TARGET).float()
    overlap = (target * truth).sum(dim=(1, 2))
    total = target.sum(dim=(1, 2)) + truth.sum(dim=(1, 2))
    dice = (1 - (2 * overlap + 1e-6) / (total + 1e-6)).mean()
    found = probability[:, TARGET] + probability[:, NON_TARGET]
    consistency = F.mse_loss(person_logits.softmax(dim=1)[:, 1], found)
    return 1.5 * person + 1.5 * which.nan_to_num() + classes + dice + 0.3 * consistency


@torch.no_grad()
def roi_miou(head: nn.Module, frozen: Frozen, pictures: list[Picture]) -> float:
    """Mean IoU of target masks in the true boxes, at the served size."""
    size_hw = (2 * ROI_SIZE_HW[0], 2 * ROI_SIZE_HW[1])
    scores = []
    for picture in pictures:
        view = letterbox_view(picture, INPUT_SIZE)
        sample = view_sample(picture, view, size_hw)
        if not len(sample.boxes_xyxy):
            continue
        *inputs, labels = align(frozen, [sample], ROI_SIZE_HW)
        found = head(*inputs).mask_logits.softmax(dim=1)[:, TARGET] > 0.5
        true = labels == TARGET
        scores += ((found & true).sum((1, 2)) / (found | true).sum((1, 2)).clamp(1)).tolist()
    return float(np.mean(scores))


def load_frozen(detector: Path, people_unet: Path) -> Frozen:
    """The networks of two checkpoints, in evaluation mode and without gradients."""
    networks = []
    for build, path in ((YOLOv9, detector), (PeopleUNet, people_unet)):
        state = torch.load(path, weights_only=True, map_location=DEVICE)
        network = build(**state["dims"]).to(DEVICE, memory_format=torch.channels_last)
        network.load_state_dict(state["model"])
        networks.append(network.eval().requires_grad_(False))
    return Frozen(*networks)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argument_parser(__doc__, several_data_sets=True)
    parser.add_argument("--detector", type=Path, required=True, help="its checkpoint")
    parser.add_argument("--people-unet", type=Path, required=True, help="its checkpoint")
    parser.add_argument(
        "--variant", default="b0", help="of peopleseg.networks.hierarchical.VARIANTS"
    )
    parser.add_argument(
        "--most-people", type=int, default=3, help="people of one picture and epoch"
    )
    parser.add_argument(
        "--coarse", action="store_true", help="rois of half the size: 4 times faster"
    )
    args = parser.parse_args(argv)

    torch.manual_seed(0)
    pictures = [
        picture
        for annotations, images in zip(args.annotations, args.images, strict=True)
        for picture in load_pictures(annotations, images)
        if picture.people
    ]
    frozen = load_frozen(args.detector, args.people_unet)
    dims = {"variant": args.variant, "feature_channels": frozen.detector.feature_channels}
    network = begin(PersonMaskHead(**dims), args.start_from)
    shrink = 2 if args.coarse else 1
    roi_size_hw = (ROI_SIZE_HW[0] // shrink, ROI_SIZE_HW[1] // shrink)
    label_size_hw = (2 * roi_size_hw[0], 2 * roi_size_hw[1])

    def loss(samples: list[Sample]) -> Tensor:
        with mixed_precision(args.bfloat16):
            *inputs, labels = align(frozen, samples, roi_size_hw)
            output = network(*inputs)
        return head_loss(output, labels)

    def validate(average: nn.Module, held_out: list[Picture]) -> dict[str, float]:
        with mixed_precision(args.bfloat16):
            return {"roi_miou": roi_miou(average, frozen, held_out)}

    train_as_asked(
        args,
        network,
        lambda picture, random: augmented(picture, args.most_people, label_size_hw, random),
        loss,
        pictures=pictures,
        dims=dims,
        validate=validate,
        usable=somebody_in,
    )


if __name__ == "__main__":
    main()
