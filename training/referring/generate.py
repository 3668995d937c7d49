"""Generate references to the people of a COCO file."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from tqdm import tqdm

from peopleseg.errors import WrongUsage
from peopleseg.labels.coco import AnnotatedImage, Labels, load_labels
from peopleseg.labels.coco_file import AnnotationError
from peopleseg.labels.files import write_atomically
from training.data.images import BrokenImage, DataError, checked, read_rgb, report_skipped
from training.referring.expressions.choosing import (
    Expression,
    clothes_expressions_of,
    expressions_of,
)
from training.referring.expressions.people import Everybody
from training.referring.generate_command import Options
from training.referring.people_of import everybody_of
from training.referring.references import References, Text
from training.referring.sentences import read_sentences
from training.referring.side_by_side import (
    MainPerson,
    everybody_in,
    image_entry,
    pairs,
    person_entry,
)

# Of the image's area: smaller people are no targets, as in RefHuman's validation.
SMALLEST_SHARE = 0.01
_LOG = logging.getLogger(__name__)


def run(args: Options) -> int:
    """Write the file. Returns 1 when an image failed. Raises PeoplesegError, OSError."""
    if args.sentences is not None and args.parts is not None:
        raise WrongUsage("--sentences has its own texts, --parts makes some up; give one of them")
    labels = load_labels(args.annotations, args.images)
    images, skipped = checked(labels.images[: args.limit])
    report_skipped(skipped)
    references = References(args.seed)
    failed = len(skipped)
    if args.sentences is not None:
        _add_sentences(references, labels, images, args.sentences)
    elif args.parts is None:
        failed += _add_everybody(references, labels, images)
    else:
        _add_main_people(references, list(_main_people(labels, images, args.parts)))
    if not references.images:
        raise DataError(
            f"{args.annotations} has nobody in {args.images} who is large enough to be referred "
            f"to, {SMALLEST_SHARE:.0%} of an image, or has a sentence; take other images"
        )
    write_atomically(args.out, json.dumps(references.data(labels.data)).encode())
    print(f"{args.out}: {references.told()}")
    return 1 if failed else 0


def _add_everybody(references: References, labels: Labels, images: Sequence[AnnotatedImage]) -> int:
    """Returns how many images do not decode, which are named."""
    by_id = {entry["id"]: entry for entry in labels.data["images"]}
    failed = 0
    for image in tqdm(images, unit="image", disable=None):
        try:
            image_rgb = read_rgb(image)
        except BrokenImage as error:
            _LOG.error("%s", error)
            failed += 1
            continue
        entries = labels.entries[image.id]
        everybody = everybody_of(image, entries, image_rgb)
        people = [entry for entry in entries if not entry.get("iscrowd")]
        for index, (person, entry) in enumerate(zip(image.people, people, strict=True)):
            if _is_target(everybody, index):
                random = Random(f"{references.seed} {image.id} {index}")
                references.add_person(
                    by_id[image.id],
                    entry,
                    person.mask(image.height, image.width) if person.masked else None,
                    _texts(expressions_of(everybody, index, random)),
                    people=len(people) if everybody.complete else None,
                )
    return failed


def _add_sentences(
    references: References, labels: Labels, images: Sequence[AnnotatedImage], file: Path
) -> None:
    """What people wrote of whom, in the images that are taken."""
    sentences = read_sentences(file, labels)
    by_id = {entry["id"]: entry for entry in labels.data["images"]}
    for image in images:
        people = [entry for entry in labels.entries[image.id] if not entry.get("iscrowd")]
        for person, entry in zip(image.people, people, strict=True):
            if said := sentences.get((image.id, entry.get("id"))):
                references.add_person(
                    by_id[image.id],
                    entry,
                    person.mask(image.height, image.width) if person.masked else None,
                    [{"caption": sentence} for sentence in said],
                    people=len(people) if len(people) == len(labels.entries[image.id]) else None,
                )


def _texts(expressions: Sequence[Expression]) -> list[Text]:
    return [{"caption": one.text, "claim": one.claim.name} for one in expressions]


def _add_main_people(references: References, people: Sequence[MainPerson]) -> None:
    """Each alone and, beside two others, by what the other one does not wear."""
    for one in people:
        random = Random(f"{references.seed} {one.image.id}")
        (annotation,) = one.image.people
        references.add_person(
            {"id": one.image.id, **_described(one.image)},
            one.entry,
            annotation.mask(*one.size_hw) if annotation.masked else None,
            _texts(clothes_expressions_of(one.everybody, 0, random)),
            everybody=False,
        )
    for pair in tqdm(pairs(people, references.seed), unit="pair", disable=None):
        everybody = everybody_in(pair)
        for index in range(2):
            random = Random(f"{references.seed} {pair[0].image.id} {pair[1].image.id} {index}")
            entry, mask = person_entry(pair, index)
            said = _texts(clothes_expressions_of(everybody, index, random))
            references.add_person(image_entry(pair), entry, mask, said, everybody=False)


def _main_people(
    labels: Labels, images: Sequence[AnnotatedImage], parts: Path
) -> Iterator[MainPerson]:
    """Those images of which one person is annotated, whose clothes are known.

    Raises AnnotationError where there are none.
    """
    clothes = _parts(parts)
    found = False
    for image in images:
        entries = labels.entries[image.id]
        if len(entries) == 1 and image.people and entries[0].get("id") in clothes:
            entry = {**entries[0], "parts": clothes[entries[0]["id"]]}
            everybody = everybody_of(image, [entry])
            if everybody.people[0].clothes is not None:
                found = True
                yield MainPerson(image, entry, everybody)
    if not found:
        raise AnnotationError(
            f"{parts} has no parts of the one person of any image; expected annotations with the "
            "ids of --annotations and parts: label, area_share and median_rgb of each"
        )


def _parts(path: Path) -> Mapping[Any, Any]:
    """`parts` of each annotation of a COCO file, by its id. Raises AnnotationError."""
    entries = load_labels(path, Path()).entries.values()
    return {one.get("id"): one["parts"] for some in entries for one in some if "parts" in one}


def _is_target(everybody: Everybody, index: int) -> bool:
    height, width = everybody.size_hw
    return everybody.people[index].area_px >= SMALLEST_SHARE * height * width


def _described(image: AnnotatedImage) -> dict[str, Any]:
    return {"file_name": image.path.name, "width": image.width, "height": image.height}
