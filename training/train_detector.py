"""Train the YOLOv9-t person detector from scratch.

    python -m training.train_detector --images DIR --annotations COCO.json --checkpoint detector.pt

Starts on small canvases, where a step costs a quarter, and ends at the size that is served.
Run the same command again to continue after an interruption.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from peopleseg.average_precision import average_precision
from peopleseg.coco import PERSON_CATEGORY_ID, Picture, load_pictures
from peopleseg.geometry import Letterbox
from peopleseg.networks.yolov9 import YOLOv9
from peopleseg.networks.yolov9_blocks import Detect
from peopleseg.people import select_people
from training.augment import View, jitter_colour, random_view, read_rgb
from training.detection_loss import detection_losses
from training.loop import DEVICE, argument_parser, begin, mixed_precision, train_as_asked

SMALLEST_SIDE_PX = 4  # a visible box smaller than this is no target
SMALLEST_VISIBLE = 0.3  # nor one of which less than this part is in view
MOSAIC_PROBABILITY = 0.5
SCALES = (0.6, 1.8)  # of a single view, against the letterbox
VALIDATION_SCORE = 0.01  # boxes below it do not enter the AP


@dataclass(frozen=True)
class Sample:
    image_rgb: NDArray[np.uint8]  # (size, size, 3)
    boxes_xyxy: NDArray[np.float32]  # (people, 4), canvas pixels


def view_sample(picture: Picture, view: View, size_hw: tuple[int, int]) -> Sample:
    """What of a picture is seen in the top left `size_hw` of a view."""
    height, width = size_hw
    boxes = np.array([a.box_xyxy for a in picture.people], dtype=np.float32).reshape(-1, 4)
    boxes = view.boxes(boxes)
    seen = np.clip(boxes, 0, (width, height, width, height)).astype(np.float32)
    seen_wh, whole_wh = seen[:, 2:] - seen[:, :2], boxes[:, 2:] - boxes[:, :2]
    keep = (seen_wh.min(axis=1) >= SMALLEST_SIDE_PX) & (
        seen_wh.prod(axis=1) >= SMALLEST_VISIBLE * whole_wh.prod(axis=1)
    )
    return Sample(view.image(read_rgb(picture.path))[:height, :width], seen[keep])


def mosaic(pictures: list[Picture], size: int, random: np.random.Generator) -> Sample:
    """Four pictures around a random centre."""
    centre_x, centre_y = (int(c) for c in random.uniform(0.3, 0.7, 2) * size)
    canvas = np.zeros((size, size, 3), dtype=np.uint8)
    boxes = []
    for index, picture in enumerate(pictures):
        left, right = (0, centre_x) if index % 2 == 0 else (centre_x, size)
        top, bottom = (0, centre_y) if index < 2 else (centre_y, size)
        size_hw = (bottom - top, right - left)
        view = random_view(picture, max(size_hw), (0.8, 2.0), random)
        part = view_sample(picture, view, size_hw)
        canvas[top:bottom, left:right] = part.image_rgb
        boxes.append(part.boxes_xyxy + np.array([left, top, left, top], dtype=np.float32))
    return Sample(canvas, np.concatenate(boxes))


def augmented(
    picture: Picture, others: list[Picture], size: int, random: np.random.Generator
) -> Sample:
    """A random view of a picture; where there are others, often in a mosaic with three of them."""
    if others and random.random() < MOSAIC_PROBABILITY:
        chosen = random.choice(len(others), 3)
        sample = mosaic([picture, *(others[index] for index in chosen)], size, random)
    else:
        view = random_view(picture, size, SCALES, random)
        sample = view_sample(picture, view, (size, size))
    return Sample(jitter_colour(sample.image_rgb, random), sample.boxes_xyxy)


def to_tensors(samples: list[Sample]) -> tuple[Tensor, list[Tensor]]:
    images = torch.from_numpy(np.stack([s.image_rgb for s in samples])).permute(0, 3, 1, 2)
    boxes = [torch.from_numpy(s.boxes_xyxy).to(DEVICE) for s in samples]
    return images.to(DEVICE).float() / 255, boxes


@torch.no_grad()
def box_ap(network: nn.Module, pictures: list[Picture]) -> dict[str, float]:
    """COCO AP of the boxes on letterboxed pictures of the size that is served."""
    results = []
    for picture in pictures:
        letterbox = Letterbox.fit(picture.width, picture.height)
        pixels = torch.from_numpy(letterbox.apply(read_rgb(picture.path))).permute(2, 0, 1)
        predictions = network(pixels[None].to(DEVICE).float() / 255).predictions[0]
        people = select_people(
            predictions.float().cpu().numpy(), letterbox, min_score=VALIDATION_SCORE
        )
        results += [
            {
                "image_id": picture.id,
                "category_id": PERSON_CATEGORY_ID,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "score": float(score),
            }
            for (x1, y1, x2, y2), score in zip(
                letterbox.boxes_to_image(people.rois[:, 1:]).tolist(), people.scores, strict=True
            )
        ]
    ap, ap50 = average_precision(pictures, results, "bbox")
    return {"box_ap": ap or 0.0, "box_ap50": ap50 or 0.0}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--variant", default="t", help="t, s, m, c or e (default t)")
    parser.add_argument("--size", type=int, default=320, help="side of the canvas, pixels")
    parser.add_argument("--no-mosaic", action="store_true", help="single pictures only")
    args = parser.parse_args(argv)

    torch.manual_seed(0)
    pictures = load_pictures(args.annotations, args.images)
    dims = {"variant": args.variant, "classes": 1}
    network = begin(YOLOv9(**dims), args.start_from)
    detect = network.layers[-1]
    assert isinstance(detect, Detect)
    others = [] if args.no_mosaic else pictures

    def loss(samples: list[Sample]) -> Tensor:
        images, boxes = to_tensors(samples)
        with mixed_precision(args.bfloat16):
            maps = network(images).predictions
        return detection_losses(detect, maps, boxes).total

    train_as_asked(
        args,
        network,
        lambda picture, random: augmented(picture, others, args.size, random),
        loss,
        pictures=pictures,
        dims=dims,
        validate=box_ap,
    )


if __name__ == "__main__":
    main()
