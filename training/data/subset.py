"""Smaller COCO files from large ones: some images, those with people, no crowds, all others."""

import random
from collections.abc import Collection, Sequence
from typing import Any

from peopleseg.labels.coco import Labels
from training.data.images import DataError


def subset(
    labels: Labels,
    *,
    images_count: int | None = None,
    only_people: bool = False,
    no_crowds: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """A part of a COCO data set; its entries are untouched and in their order.

    images_count: images taken at random, the same for the same seed, and those of a smaller
    number are among those of a larger one. only_people: images with a person who is not in a
    crowd. no_crowds: without the annotations of crowds, as in the published training data.

    Broken annotations are in no part. Raises DataError when there are fewer images than asked
    for.
    """
    fitting = [one.id for one in labels.images if one.people or not only_people]
    part = _part(labels, _chosen(fitting, images_count, seed))
    if no_crowds:
        part["annotations"] = [a for a in part["annotations"] if not a.get("iscrowd")]
    return part


def rest(labels: Labels, part: dict[str, Any]) -> dict[str, Any]:
    """The images of a data set that are not in `part`, a subset of it, with what they show.

    Crowds too, where the part is without.
    """
    taken = {image["id"] for image in part["images"]}
    return _part(labels, {annotated_image.id for annotated_image in labels.images} - taken)


def _part(labels: Labels, ids: Collection[int]) -> dict[str, Any]:
    """These images and all that is annotated in them, of other categories too."""
    broken = {id(entry) for entry in labels.left_out}
    images = [image for image in labels.data["images"] if image["id"] in ids]
    annotations = [
        entry
        for entry in labels.data["annotations"]
        if id(entry) not in broken and _shown_in(entry, ids)
    ]
    return {**labels.data, "images": images, "annotations": annotations}


def _shown_in(entry: dict[str, Any], ids: Collection[int]) -> bool:
    image = entry.get("image_id")
    return isinstance(image, int) and image in ids


def _chosen(ids: Sequence[int], count: int | None, seed: int) -> set[int]:
    if count is None:
        return set(ids)
    if count > len(ids):
        raise DataError(f"{count} images asked for, only {len(ids)} fit; ask for fewer")
    shuffled = list(ids)
    random.Random(seed).shuffle(shuffled)
    return set(shuffled[:count])
