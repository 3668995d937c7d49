"""Read a COCO file as JSON, and say in a sentence what another file is."""

import json
from pathlib import Path
from typing import Any

from peopleseg.errors import PeoplesegError
from peopleseg.labels.mistaken import FIRST_BYTES, mistaken

PERSON = "person"  # the category's name, whatever its id
_MOST_NAMES = 5  # of categories, in a message


class AnnotationError(PeoplesegError, ValueError):
    """A file that cannot be used as annotations; the message names it and the next step."""


def read_coco(path: Path) -> dict[str, Any]:
    """The file's JSON, with lists `images`, `annotations` and `categories` of objects.

    What is in the objects is not looked at. UTF-8, with or without a byte order mark, UTF-16 and
    UTF-32 are read. Raises AnnotationError, also where there is no file.
    """
    data = _json(path)
    if not isinstance(data, dict):
        kind = "a list, as COCO results are" if isinstance(data, list) else f"{data!r:.60}"
        raise AnnotationError(_no_coco(path, f"it holds {kind}"))
    for name in ("images", "annotations", "categories"):
        entries = data.get(name)
        if not (isinstance(entries, list) and all(isinstance(e, dict) for e in entries)):
            what = f"its {name} are no list of objects" if name in data else f"it has no {name}"
            raise AnnotationError(_no_coco(path, what))
    return data


def person_ids(data: dict[str, Any], path: Path) -> set[int]:
    """Ids of the categories called person. Raises AnnotationError where there is none."""
    names = {category.get("id"): category.get("name") for category in data["categories"]}
    found = {one for one, name in names.items() if str(name).strip().lower() == PERSON}
    if not found:
        shown = ", ".join(str(name) for name in list(names.values())[:_MOST_NAMES]) or "none at all"
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        raise AnnotationError(
            f"{path} has no category called {PERSON}, but {shown}{more}; give the one of people "
            "that name"
        )
    return found


def exif_applied(data: dict[str, Any], path: Path) -> bool:
    """Whether the images were annotated as EXIF turns them, where their sizes do not tell.

    The file says so in its info: `"exif_orientation": "ignored"`. Raises AnnotationError for
    another value.
    """
    info = data.get("info")
    said = info.get("exif_orientation", "applied") if isinstance(info, dict) else "applied"
    if said not in ("applied", "ignored"):
        raise AnnotationError(
            f'{path} has the exif_orientation {said!r} in its info; write "applied" or "ignored"'
        )
    return bool(said == "applied")


def _json(path: Path) -> Any:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise AnnotationError(f"{path} cannot be read ({error.strerror})") from error
    if said := mistaken(content[:FIRST_BYTES]):
        raise AnnotationError(f"{path} {said}")
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        hint = "it looks like JSON Lines" if error.msg == "Extra data" else "is it cut off?"
        place = f"line {error.lineno}, column {error.colno}"
        raise AnnotationError(f"{path} is no JSON: {error.msg} at {place}; {hint}") from error
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path} is no text in UTF-8 or UTF-16 ({error.reason})") from error


def _no_coco(path: Path, what: str) -> str:
    return (
        f"{path} is not a COCO annotation file: {what}; expected images (id, file_name, width, "
        "height), annotations (image_id, category_id, bbox and, where known, segmentation) and "
        "categories (id, name)"
    )
