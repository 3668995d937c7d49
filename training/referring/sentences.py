"""Sentences that people wrote of people in a COCO file, of RefCOCO's kind: a JSON list.

Each has `image_id`, `ann_id` and `sentence`; image and annotation are those of the COCO file. They
are for measuring: there are too few to train on.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peopleseg.labels.coco import Labels
from peopleseg.labels.coco_file import AnnotationError

OfPerson = tuple[int, Any]  # ids of an image and of an annotation in it


def read_sentences(path: Path, labels: Labels) -> Mapping[OfPerson, list[str]]:
    """The sentences of each person, in their order.

    Raises AnnotationError, also for an image or annotation that the labels do not have.
    """
    known = {
        (image.id, entry.get("id"))
        for image in labels.images
        for entry in labels.entries[image.id]
        if not entry.get("iscrowd")
    }
    sentences: dict[OfPerson, list[str]] = {}
    for number, said in enumerate(_listed(path), start=1):
        person = (said["image_id"], said["ann_id"])
        if person not in known:
            raise AnnotationError(
                f"{path}: its sentence {number} is of the annotation {person[1]} in the image "
                f"{person[0]}, which the annotations do not have as a person; name those that it "
                "was made of"
            )
        sentences.setdefault(person, []).append(said["sentence"].strip())
    return sentences


def _listed(path: Path) -> list[dict[str, Any]]:
    """Raises AnnotationError."""
    try:
        listed = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise AnnotationError(f"{path} cannot be read as JSON ({error})") from error
    if not (isinstance(listed, list) and listed and all(_is_sentence(one) for one in listed)):
        raise AnnotationError(
            f"{path} is no list of sentences; expected objects with image_id, ann_id and sentence"
        )
    return listed


def _is_sentence(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    sentence, numbers = value.get("sentence"), (value.get("image_id"), value.get("ann_id"))
    text = isinstance(sentence, str) and bool(sentence.strip())
    return text and all(type(number) is int for number in numbers)
