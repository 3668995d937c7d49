"""A semantic network of a few nodes beside those of small_repository: class 15 where it is red."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper

from conversion.step_version import new_step_version
from peopleseg.labels.files import write_atomically, write_png
from peopleseg.repository.manifest import Manifest
from peopleseg.systems.semantic.contract import VOC_CLASSES
from peopleseg.systems.semantic.palette import palette_png
from tests.data.small_repository import write_small_repository, write_version

SIZE = 64  # side of the square, network pixels
PERSON = VOC_CLASSES.index("person")
SURE, UNSURE = 250, 100  # confidence of red pixels, and of others
_LAST = ("postprocess_classes", "postprocess_confidence", "classes_to_png")
FIRST = ("deeplab=1", "preprocess=2", *(f"{step}=1" for step in _LAST))  # versions that fit
SEEN = (40, 30, 60, 50)  # of write_labelled's image, 120 x 90: left, top, width, height of the red


def write_semantic_repository(repository: Path) -> Path:
    """small_repository with a network of SIZE and the preprocess for it; nothing is released."""
    write_small_repository(repository)
    write_deeplab(repository, 1)
    new_step_version(repository, "preprocess", {"size": SIZE})
    return repository


def write_deeplab(
    repository: Path,
    version: int,
    *,
    size: int = SIZE,
    classes: Sequence[str] = VOC_CLASSES,
    red_is: int = PERSON,
    variant: dict[str, Any] | None = None,
) -> Path:
    """red_is: the class of what is red; another makes the network worse. variant: of the manifest,
    in place of one with the classes.
    """
    nodes = [
        *_channel("red"),
        *_channel("green"),
        helper.make_node("Sub", ["red", "green"], ["redness"]),
        helper.make_node("Greater", ["redness", "middle"], ["is_red"]),
        helper.make_node("Where", ["is_red", "red_class", "others"], ["class_map"]),
        helper.make_node("Where", ["is_red", "sure", "unsure"], ["confidence_map"]),
    ]
    constants: dict[str, NDArray[Any]] = {
        "red_place": np.array(0),
        "green_place": np.array(1),
        "middle": np.array(100, dtype=np.float32),
        "red_class": np.array(red_is, dtype=np.uint8),
        "others": np.array(0, dtype=np.uint8),
        "sure": np.array(SURE, dtype=np.uint8),
        "unsure": np.array(UNSURE, dtype=np.uint8),
    }
    square = (size, size)
    lengths = {"pixels": (3, *square), "class_map": square, "confidence_map": square}
    folder = write_version(repository, "deeplab", version, nodes, constants, lengths)
    manifest = replace(Manifest.read(folder), variant=variant or {"classes": list(classes)})
    manifest.write(folder)
    return folder


def red_image() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An RGB image with a red rectangle, SEEN, and its label map."""
    left, top, width, height = SEEN
    image_rgb = np.full((90, 120, 3), 60, dtype=np.uint8)
    labels = np.zeros((90, 120), dtype=np.uint8)
    inside = slice(top, top + height), slice(left, left + width)
    image_rgb[inside], labels[inside] = (255, 0, 0), PERSON
    return image_rgb, labels


def write_labelled(folder: Path, count: int = 2) -> tuple[Path, Path]:
    """The folders of so many images and of their label maps: the person that the network knows."""
    image_rgb, labels = red_image()
    for number in range(count):
        write_png(folder / "images" / f"{number}.png", image_rgb)
        write_atomically(folder / "labels" / f"{number}.png", palette_png(labels))
    return folder / "images", folder / "labels"


def _channel(name: str) -> list[NodeProto]:
    """(batch, SIZE, SIZE) of a channel, as FP32."""
    return [
        helper.make_node("Gather", ["pixels", f"{name}_place"], [f"{name}_bytes"], axis=1),
        helper.make_node("Cast", [f"{name}_bytes"], [name], to=TensorProto.FLOAT),
    ]
