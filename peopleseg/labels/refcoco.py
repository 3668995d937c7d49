"""Read expressions that people wrote, of RefCOCO's kind: a JSON list of sentences.

Each has `image_id`, `ann_id` and `sentence`; image and annotation are those of a COCO file. They
are for measuring: nothing is trained on them.
"""

import json
from pathlib import Path
from typing import Any

from peopleseg.labels.coco import AnnotatedImage, Annotation, load_labels
from peopleseg.labels.coco_file import AnnotationError
from peopleseg.labels.keypoints import keypoints_fault, read_keypoints
from peopleseg.labels.referring import Reference, area_of


def load_refcoco(sentences: Path, annotations: Path, images: Path) -> list[Reference]:
    """The sentences in their order. Raises AnnotationError, also for an image or annotation that
    the COCO file does not have."""
    labels = load_labels(annotations, images)
    known: dict[Any, tuple[AnnotatedImage, Annotation, dict[str, Any]]] = {}
    for image in labels.images:
        for person, entry in zip(image.annotations, labels.entries[image.id], strict=True):
            known[entry.get("id")] = (image, person, entry)
    references = []
    for number, said in enumerate(_sentences(sentences), start=1):
        image_id, annotation_id = said.get("image_id"), said.get("ann_id")
        if annotation_id not in known or known[annotation_id][0].id != image_id:
            raise AnnotationError(
                f"{sentences}: its sentence {number} is of the annotation {annotation_id} in the "
                f"image {image_id}, which {annotations} does not have"
            )
        image, person, entry = known[annotation_id]
        values = entry.get("keypoints")
        source = AnnotatedImage(image.id, image.path, image.width, image.height)
        references.append(
            Reference(
                id=number,
                sources=(source,),
                person=person,
                keypoints=None if keypoints_fault(values) else read_keypoints(values),
                area_px=area_of(entry),
                caption=said["sentence"].strip(),
                scribbles=None,
                everybody=True,
            )
        )
    return references


def _sentences(path: Path) -> list[dict[str, Any]]:
    """Raises AnnotationError."""
    try:
        listed = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise AnnotationError(f"{path} cannot be read as JSON ({error})") from error
    if not (isinstance(listed, list) and all(_is_sentence(one) for one in listed)):
        raise AnnotationError(
            f"{path} is no list of sentences; expected objects with image_id, ann_id and sentence"
        )
    return listed


def _is_sentence(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    sentence, numbers = value.get("sentence"), (value.get("image_id"), value.get("ann_id"))
    text = isinstance(sentence, str) and bool(sentence.strip())
    return text and all(isinstance(number, int) for number in numbers)
