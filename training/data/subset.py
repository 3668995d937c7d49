"""Smaller COCO files from large ones: some pictures, those with people, no crowds, all others."""

import random
from collections.abc import Collection
from typing import Any


def subset(
    data: dict[str, Any],
    people: Collection[int],
    *,
    images_count: int | None = None,
    only_people: bool = False,
    no_crowds: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """A part of a COCO data set; its entries are untouched and in their order.

    people: ids of the category. images_count: pictures taken at random, the same for the same seed,
    and those of a smaller number are among those of a larger one. only_people: pictures with a
    person who is not in a crowd. no_crowds: without the annotations of crowds, as in the published
    training data.

    Raises ValueError when an entry lacks its ids, or there are fewer pictures than asked for.
    """
    try:
        images, annotations = data["images"], data["annotations"]
        if only_people:
            peopled = {a["image_id"] for a in annotations if _is_person(a, people)}
            images = [image for image in images if image["id"] in peopled]
        chosen = _chosen([image["id"] for image in images], images_count, seed)
        images = [image for image in images if image["id"] in chosen]
        annotations = [a for a in annotations if a["image_id"] in chosen]
    except KeyError as error:
        raise ValueError(
            f"an image or annotation lacks {error}; expected images (id) and annotations "
            "(image_id, category_id)"
        ) from error
    if no_crowds:
        annotations = [a for a in annotations if not a.get("iscrowd", 0)]
    return {**data, "images": images, "annotations": annotations}


def has_people(data: dict[str, Any], people: Collection[int]) -> bool:
    """Whether somebody is annotated who is not in a crowd."""
    return any(_is_person(annotation, people) for annotation in data["annotations"])


def rest(data: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """The pictures of COCO's `data` that are not in `part`, a subset of it, with what they show.

    The annotations are those of `data`: crowds too, where the part is without.
    """
    taken = {image["id"] for image in part["images"]}
    images = [image for image in data["images"] if image["id"] not in taken]
    annotations = [a for a in data["annotations"] if a["image_id"] not in taken]
    return {**data, "images": images, "annotations": annotations}


def _chosen(ids: list[int], count: int | None, seed: int) -> set[int]:
    if count is None:
        return set(ids)
    if count > len(ids):
        raise ValueError(f"{count} pictures asked for, only {len(ids)} fit; ask for fewer")
    shuffled = list(ids)
    random.Random(seed).shuffle(shuffled)
    return set(shuffled[:count])


def _is_person(annotation: dict[str, Any], people: Collection[int]) -> bool:
    return annotation["category_id"] in people and not annotation.get("iscrowd", 0)
