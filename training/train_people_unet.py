"""Train the people UNet from scratch: which pixels are people.

    python -m training.train_people_unet --images DIR --annotations COCO.json --checkpoint unet.pt

Run the same command again to continue after an interruption.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from peopleseg.coco import Picture, load_pictures
from peopleseg.geometry import INPUT_SIZE
from peopleseg.networks.people_unet import PeopleUNet
from training.augment import View, jitter_colour, letterbox_view, random_view, read_rgb
from training.loop import DEVICE, argument_parser, begin, mixed_precision, train_as_asked

SCALES = (0.8, 1.8)  # of a view, against the letterbox
DICE_SMOOTH = 100.0  # pixels: a picture without people may have about so many by mistake
IGNORE = 255  # label of crowds and of what lies outside the picture

Sample = tuple[NDArray[np.uint8], NDArray[np.uint8]]  # image (S, S, 3), labels (S, S)


def view_sample(picture: Picture, view: View) -> Sample:
    """Image and labels of a view: 1 where there are people, 0 where not, or IGNORE."""
    labels = np.zeros((picture.height, picture.width), dtype=np.uint8)
    for annotation in picture.annotations:
        labels[annotation.mask(*labels.shape) > 0] = IGNORE if annotation.crowd else 1
    return view.image(read_rgb(picture.path)), view.mask(labels, outside=IGNORE)


def augmented(picture: Picture, size: int, random: np.random.Generator) -> Sample:
    """A random view of a picture."""
    image_rgb, labels = view_sample(picture, random_view(picture, size, SCALES, random))
    return jitter_colour(image_rgb, random), labels


def to_tensors(samples: list[Sample]) -> tuple[Tensor, Tensor]:
    """Images [B, 3, S, S] in [0, 1] and labels [B, S, S]."""
    images, labels = (
        torch.from_numpy(np.stack(arrays)).to(DEVICE) for arrays in zip(*samples, strict=True)
    )
    return images.permute(0, 3, 1, 2).float() / 255, labels


def bce_dice(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy plus Dice, each picture's the same weight; logits and labels [B, S, S]."""
    known, target = (labels != IGNORE).float(), (labels == 1).float()
    entropy = F.binary_cross_entropy_with_logits(logits, target, weight=known, reduction="sum")
    probability = logits.sigmoid() * known
    overlap = (probability * target).sum(dim=(1, 2))
    total = probability.sum(dim=(1, 2)) + target.sum(dim=(1, 2))
    dice = 1 - (2 * overlap + DICE_SMOOTH) / (total + DICE_SMOOTH)
    return entropy / known.sum() + dice.mean()


@torch.no_grad()
def foreground_miou(network: nn.Module, pictures: list[Picture]) -> float:
    """Mean over the pictures of the mean IoU of background and people (absent: 1)."""
    scores = []
    for picture in pictures:
        images, labels = to_tensors([view_sample(picture, letterbox_view(picture, INPUT_SIZE))])
        person = network(images)[:, 0] > 0
        known = labels != IGNORE
        ious = []
        for found, true in ((person, labels == 1), (~person, labels == 0)):
            union = ((found | true) & known).sum()
            ious.append(float((found & true & known).sum() / union) if union else 1.0)
        scores.append(np.mean(ious))
    return float(np.mean(scores))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--variant", default="b0", help="b0, b1, b3 or b7 (default b0)")
    parser.add_argument("--shrink", type=int, default=2, help="the network works at 640 / SHRINK")
    parser.add_argument(
        "--size", type=int, help="side of the canvas, pixels (default 640 / SHRINK)"
    )
    args = parser.parse_args(argv)

    torch.manual_seed(0)
    pictures = load_pictures(args.annotations, args.images)
    dims = {"variant": args.variant, "shrink": args.shrink}
    network = begin(PeopleUNet(**dims), args.start_from)
    size = args.size or INPUT_SIZE // args.shrink

    def loss(samples: list[Sample]) -> Tensor:
        images, labels = to_tensors(samples)
        with mixed_precision(args.bfloat16):
            logits = network.at_working_size(images)[:, 0]
        return bce_dice(logits.float(), labels)

    train_as_asked(
        args,
        network,
        lambda picture, random: augmented(picture, size, random),
        loss,
        pictures=pictures,
        dims=dims,
        validate=lambda average, held_out: {"foreground_miou": foreground_miou(average, held_out)},
    )


if __name__ == "__main__":
    main()
