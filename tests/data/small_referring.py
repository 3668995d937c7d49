"""Networks of a few nodes that tell one red person from another, beside those of small_repository.

The detector finds the red of the left half and of the right half. The pose network sees joints at
fixed places of a crop, and its colours. The words of a text are the numbers of its tokens, of which
the chooser knows "left", "right" and "red". So whom a prompt means is plain to see.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper
from tokenizers import Tokenizer

from conversion.release import release_command
from peopleseg.labels.files import write_png
from peopleseg.labels.keypoints import COUNT
from peopleseg.pixels.geometry import INPUT_SIZE
from peopleseg.repository.model_folder import versions_in
from peopleseg.systems.people.contract import MAX_PEOPLE
from peopleseg.systems.referring.contract import MAX_TOKENS
from peopleseg.systems.referring.crops import MARGIN
from peopleseg.systems.referring.describing import SCORE, length_of
from tests.commands import run
from tests.data.red_people import red_image
from tests.data.small_repository import (
    UNFITTED,
    red,
    write_detector_of,
    write_small_repository,
    write_version,
)
from training.data.generated import PeopleImage, coco_annotations

SCORES = (0.9, 0.8)  # of whom the left half shows, and of whom the right half
COLOURS = (180, 0, 0), (255, 0, 0)  # of the two of `two_people`: the right one is the redder
WIDTH = 384  # numbers a word, as of a real encoder; but for the first they are 0
CROP_WH = np.array([UNFITTED["crop_people"][side] for side in ("width", "height")])
VISIBILITY = 0.9
JOINTS = np.array(
    [(0.3 + 0.02 * n, 0.1 + 0.05 * n, VISIBILITY) for n in range(COUNT)], np.float32
)  # x, y in parts of the crop
BY_POINTS = ("yolov9=2", "person_pose=1")  # versions that make up the first release
FIRST = (*BY_POINTS, "text_encoder=1", "person_chooser=1")
TEXTS = ("the person on the left", "the one on the right")
_COLOURS, _LOOKS = 3, length_of(0)  # how many looks there are, and where they begin


def write_referring_repository(repository: Path, *, texts: bool = True) -> Path:
    """small_repository with these networks, and the referring system's first release.

    texts: False leaves out the networks that read them.
    """
    write_small_repository(repository)
    write_detector_of_two(repository, 2)
    write_person_pose(repository, 1)
    if texts:
        write_text_encoder(repository, 1)
        write_person_chooser(repository, 1)
    first = FIRST if texts else BY_POINTS
    options = ["--system", "referring", "--offline", "--model-repository", repository]
    assert run(release_command, "first", *first, *options) == 0
    return repository


def write_detector_of_two(repository: Path, version: int) -> Path:
    """A box around what is red in the left half of the square, and one in the right half."""
    half = INPUT_SIZE // 2
    nodes = [
        *red("pixels"),
        helper.make_node("Greater", ["red", "dark"], ["is_red"]),
        helper.make_node("Cast", ["is_red"], ["seen"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["seen", "by_halves"], ["halves"]),
        *_reduced("columns", "halves", axis=1),
        *_reduced("rows", "halves", axis=3),
        *_ends("x", "columns", axis=2),
        *_ends("y", "rows", axis=1),
        helper.make_node("Add", ["x_low", "starts"], ["left"]),
        helper.make_node("Add", ["x_high", "starts"], ["right"]),
        *_middle_and_size("x", "left", "right"),
        *_middle_and_size("y", "y_low", "y_high"),
        *_reduced("anybody", "columns", axis=2),
        helper.make_node("Mul", ["anybody", "sure"], ["scores"]),
        *(
            helper.make_node("Unsqueeze", [name, "behind"], [f"{name}_row"])
            for name in ("x_middle", "y_middle", "x_size", "y_size", "scores")
        ),
        helper.make_node(
            "Concat",
            [f"{name}_row" for name in ("x_middle", "y_middle", "x_size", "y_size", "scores")],
            ["predictions"],
            axis=1,
        ),
    ]
    constants: dict[str, NDArray[Any]] = {
        "dark": np.array(127.5, np.float32),
        "by_halves": np.array([0, INPUT_SIZE, 2, half]),
        "starts": np.array([0, half], np.float32),
        "one": np.array(1, np.float32),
        "two": np.array(2, np.float32),
        "sure": np.array(SCORES, np.float32),
        "behind": np.array([1]),
    }
    return write_detector_of(repository, version, nodes, constants, len(SCORES))


def write_person_pose(repository: Path, version: int, *, shift: float = 0.0) -> Path:
    """Looks are the mean red, green and blue. shift: of all joints, in parts of the crop."""
    nodes = [
        helper.make_node("Cast", ["crops"], ["bytes"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["bytes"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Div", ["mean", "white"], ["looks"]),
        helper.make_node("ReduceMean", ["bytes"], ["grey"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["grey", "nothing"], ["zero"]),
        helper.make_node("Unsqueeze", ["zero", "in_rows"], ["zeros"]),
        helper.make_node("Add", ["zeros", "places"], ["joints"]),
    ]
    constants: dict[str, NDArray[Any]] = {
        "white": np.array(255, np.float32),
        "nothing": np.array(0, np.float32),
        "in_rows": np.array([1, 2]),
        "places": JOINTS + np.array([shift, shift, 0], np.float32),
    }
    lengths = {"crops": (3, *CROP_WH[::-1].tolist()), "looks": (_COLOURS,)}
    return write_version(repository, "person_pose", version, nodes, constants, lengths)


def write_text_encoder(repository: Path, version: int) -> Path:
    nodes = [
        helper.make_node("Mul", ["tokens", "token_mask"], ["there"]),
        helper.make_node("Cast", ["there"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["numbers", "behind"], ["column"]),
        helper.make_node("Mul", ["column", "first_alone"], ["words"]),
    ]
    first_alone = np.zeros((1, 1, WIDTH), np.float32)
    first_alone[..., 0] = 1
    constants = {"behind": np.array([2]), "first_alone": first_alone}
    lengths = {"words": (MAX_TOKENS, WIDTH)}
    return write_version(repository, "text_encoder", version, nodes, constants, lengths)


def write_person_chooser(repository: Path, version: int, *, mirrored: bool = False) -> Path:
    """Nothing but the score of whom a text means; 0 of the others. mirrored: left is right."""
    known = _numbers(repository, ("right", "left", "red") if mirrored else ("left", "right", "red"))
    nodes = [
        *_column("number", "words", 2),
        helper.make_node("Cast", ["token_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["number", "mask"], ["said"]),
        *_column("is_somebody", "people", 2),
        *_column("x", "people", 2),
        *_column("score", "people", 2),
        *(node for colour in ("r", "g", "b") for node in _column(colour, "people", 2)),
        helper.make_node("Neg", ["x"], ["leftness"]),
        helper.make_node("Add", ["g", "b"], ["others"]),
        helper.make_node("Sub", ["r", "others"], ["redness"]),
        *_times_said("of_left", "left", "leftness"),
        *_times_said("of_right", "right", "x"),
        *_times_said("of_red", "red", "redness"),
        helper.make_node("Sum", ["of_left", "of_right", "of_red"], ["fits"]),
        helper.make_node("Greater", ["is_somebody", "half"], ["there"]),
        helper.make_node("Where", ["there", "fits", "never"], ["rated"]),
        helper.make_node("ReduceMax", ["rated"], ["most"], axes=[1]),
        helper.make_node("Equal", ["rated", "most"], ["is_meant"]),
        helper.make_node("Cast", ["is_meant"], ["meant"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["meant", "score"], ["choices"]),
    ]
    places = {"number": 0, "is_somebody": 0, "x": 1, "score": SCORE}
    places |= {colour: _LOOKS + place for place, colour in enumerate(("r", "g", "b"))}
    constants: dict[str, NDArray[Any]] = {
        **{f"{name}_place": np.array(place) for name, place in places.items()},
        **{name: np.array(number, np.float32) for name, number in known.items()},
        "half": np.array(0.5, np.float32),
        "never": np.array(-10, np.float32),
    }
    lengths = {
        "words": (MAX_TOKENS, WIDTH),
        "people": (MAX_PEOPLE, _LOOKS + _COLOURS),
        "choices": (MAX_PEOPLE,),
    }
    return write_version(repository, "person_chooser", version, nodes, constants, lengths)


def two_people(colours: Sequence[tuple[int, int, int]] = COLOURS) -> PeopleImage:
    """In the left half and in the right half of 480 x 360 pixels, in these colours."""
    made = red_image((120, 150, 50, 100), (330, 200, 60, 120))
    for mask, colour in zip(made.masks, colours, strict=True):
        made.image_rgb[mask > 0] = colour
    return made


def keypoints_in(box_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    """(17, 3) JOINTS of whoever is in a box of an image, in its pixels, as COCO counts them."""
    low, high = box_xyxy[:2], box_xyxy[2:]
    pixel = MARGIN * ((high - low) / CROP_WH).max()  # of the crop, in the image's
    places = (low + high) / 2 + (JOINTS[:, :2] - 0.5) * CROP_WH * pixel - 0.5
    return np.hstack((places, JOINTS[:, 2:])).astype(np.float32)


def write_prompted(folder: Path) -> tuple[Path, Path, Path]:
    """Two images of `two_people`: their folder, COCO's keypoints, and a file of references."""
    made = [two_people()] * 2
    names = [f"{number}.png" for number in range(len(made))]
    for image, name in zip(made, names, strict=True):
        write_png(folder / "images" / name, image.image_rgb)
    people = coco_annotations(made, names)
    for person in people["annotations"]:
        x, y, width, height = person["bbox"]
        keypoints = keypoints_in(np.array([x, y, x + width, y + height], np.float32))
        keypoints[:, 2] = 2
        person |= {"keypoints": keypoints.ravel().tolist(), "num_keypoints": COUNT}
    shown = {image["id"]: image for image in people["images"]}
    entries, meant = [], []
    for number, person in enumerate(people["annotations"], start=1):
        on_the_left = person["bbox"][0] < made[0].image_rgb.shape[1] / 2
        caption = TEXTS[0 if on_the_left else 1]
        entries.append({**shown[person["image_id"]], "id": number, "caption": caption})
        meant.append({**person, "id": number, "image_id": number})
    references = {**people, "images": entries, "annotations": meant}
    for name, data in (("people.json", people), ("references.json", references)):
        (folder / name).write_text(json.dumps(data))
    return folder / "images", folder / "people.json", folder / "references.json"


def _numbers(repository: Path, words: tuple[str, ...]) -> dict[str, int]:
    """Of the tokens of "left", "right" and "red", which take these words for their own."""
    newest = max(versions_in(repository / "tokenize"))
    tokenizer = Tokenizer.from_file(str(repository / "tokenize" / str(newest) / "tokenizer.json"))
    vocabulary = tokenizer.get_vocab()
    return {
        own: vocabulary[word] for own, word in zip(("left", "right", "red"), words, strict=True)
    }


def _column(name: str, tensor: str, axis: int) -> list[NodeProto]:
    """The numbers at NAME_place of an axis, which goes."""
    return [helper.make_node("Gather", [tensor, f"{name}_place"], [name], axis=axis)]


def _times_said(name: str, word: str, values: str) -> list[NodeProto]:
    """The values where a word is said, else zeros."""
    return [
        helper.make_node("Equal", ["said", word], [f"{name}_there"]),
        helper.make_node("Cast", [f"{name}_there"], [f"{name}_ones"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", [f"{name}_ones"], [f"{name}_any"], axes=[1]),
        helper.make_node("Mul", [f"{name}_any", values], [name]),
    ]


def _reduced(name: str, tensor: str, axis: int) -> list[NodeProto]:
    return [helper.make_node("ReduceMax", [tensor], [name], axes=[axis], keepdims=0)]


def _ends(name: str, tensor: str, axis: int) -> list[NodeProto]:
    """NAME_low and NAME_high: where the ones along an axis begin, and where they end."""
    return [
        helper.make_node("ArgMax", [tensor], [f"{name}_first"], axis=axis, keepdims=0),
        helper.make_node(
            "ArgMax", [tensor], [f"{name}_last"], axis=axis, keepdims=0, select_last_index=1
        ),
        helper.make_node("Cast", [f"{name}_first"], [f"{name}_low"], to=TensorProto.FLOAT),
        helper.make_node("Cast", [f"{name}_last"], [f"{name}_end"], to=TensorProto.FLOAT),
        helper.make_node("Add", [f"{name}_end", "one"], [f"{name}_high"]),
    ]


def _middle_and_size(name: str, low: str, high: str) -> list[NodeProto]:
    return [
        helper.make_node("Add", [low, high], [f"{name}_sum"]),
        helper.make_node("Div", [f"{name}_sum", "two"], [f"{name}_middle"]),
        helper.make_node("Sub", [high, low], [f"{name}_size"]),
    ]
