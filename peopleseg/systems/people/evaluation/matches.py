"""Who of those found is right, who of the true people is missed: COCO's matching at IoU 0.5."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peopleseg.labels.coco import AnnotatedImage
from peopleseg.systems.people.evaluation.average_precision import Kind, evaluated

RIGHT_IOU = 0.5
_AT_RIGHT_IOU = 0  # the first of pycocotools' thresholds

Entry = dict[str, Any]  # COCO's, with area; segmentation is an RLE where masks are compared


@dataclass(frozen=True)
class Matched:
    """One image's response beside the truth.

    Best score first, each of those found takes the person that it fits best and nobody has taken;
    it is ignored where it fits only a crowd. pycocotools decides.
    """

    image: AnnotatedImage
    found: list[Entry]  # best score first
    right: NDArray[np.bool_]  # of found
    ignored: NDArray[np.bool_]  # of found
    people: list[Entry]  # who is to be found
    missed: NDArray[np.bool_]  # of people
    crowds: list[Entry]

    @property
    def wrong(self) -> list[Entry]:
        """The false positives."""
        wrong = ~(self.right | self.ignored)
        return [one for one, is_wrong in zip(self.found, wrong, strict=True) if is_wrong]


def matched(
    images: Sequence[AnnotatedImage], results: Sequence[Entry], kind: Kind
) -> list[Matched]:
    """Every image with the results for it, in the order of the images."""
    evaluation = evaluated(images, results, kind)
    # The first area of COCOeval is everybody's; None stands for nobody true and nobody found.
    of_images = [one for one in evaluation.evalImgs[: len(images)] if one is not None]
    by_image = {one["image_id"]: one for one in of_images}
    return [_matched(evaluation, image, by_image.get(image.id)) for image in images]


def _matched(evaluation: Any, image: AnnotatedImage, of_image: dict[str, Any] | None) -> Matched:
    if of_image is None:
        nobody = np.zeros(0, dtype=np.bool_)
        return Matched(image, [], nobody, nobody, [], nobody, [])
    ignored = of_image["dtIgnore"][_AT_RIGHT_IOU].astype(np.bool_)
    true = [evaluation.cocoGt.anns[number] for number in of_image["gtIds"]]
    counted = ~of_image["gtIgnore"].astype(np.bool_)
    return Matched(
        image=image,
        found=[evaluation.cocoDt.anns[number] for number in of_image["dtIds"]],
        right=(of_image["dtMatches"][_AT_RIGHT_IOU] > 0) & ~ignored,
        ignored=ignored,
        people=[one for one, counts in zip(true, counted, strict=True) if counts],
        missed=of_image["gtMatches"][_AT_RIGHT_IOU][counted] == 0,
        crowds=[one for one, counts in zip(true, counted, strict=True) if not counts],
    )
