"""Import YOLOv9 weights in the published layouts of WongKinYiu/yolov9.

A deploy file (`gelan-<variant>`, `yolov9-<variant>-converted`) has the layers of our `layers`. A
training file (`yolov9-<variant>`) has the auxiliary branch too, its layers among the others and its
detection head in one with the main one: cv2, cv3 and dfl are the auxiliary ones, cv4, cv5 and dfl2
the main ones. The PINTO_model_zoo files (wholebody25) have the same layouts.
"""

import re
from pathlib import Path
from typing import NamedTuple

import torch

from peopleseg.networks.people.yolov9 import YOLOv9
from peopleseg.networks.people.yolov9_blocks import Detect, class_branch_width
from peopleseg.networks.people.yolov9_layers import GELAN_WIDTHS, deploy_layers
from training.pretrained.state_dict import State, WeightsError, load_exactly, read_state_dict


class Layout(NamedTuple):
    """Where a published model has the layers of ours."""

    variants: tuple[str, ...]
    detect: int  # number of its detection head, its last layer
    shift_from: int = 0  # our layers from this one on ...
    shift: int = 0  # ... have numbers larger by this
    auxiliary: int | None = None  # number of the auxiliary branch's first layer

    def layer(self, own: int) -> int:
        """The published number of our layer."""
        return own + self.shift if own >= self.shift_from else own


LAYOUTS = (
    Layout(("t", "s", "m", "c"), detect=22),
    Layout(("e",), detect=42),
    Layout(("t", "s"), detect=29, auxiliary=22),
    # One more at the start, which passes the image on.
    Layout(("m", "c"), detect=38, shift=1, auxiliary=23),
    # The auxiliary branch stands before the main one.
    Layout(("e",), detect=49, shift_from=29, shift=7, auxiliary=29),
)
_DETECT_NAMES = {"cv2": "cv2", "cv3": "cv3", "dfl_positions": "dfl.conv.weight"}
_MAIN_OF_TWO = {"cv2": "cv4", "cv3": "cv5", "dfl_positions": "dfl2.conv.weight"}
_OF_A_CLASS = ("weight", "bias")  # of the last convolution, one row a class


def import_yolov9(path: Path) -> YOLOv9:
    """The network of a published file, in evaluation mode; variant and classes by its shapes.

    A training file gives a network with its auxiliary branch. Raises WeightsError (KeysDoNotFit for
    entries that do not fit), OSError.
    """
    state = read_state_dict(path)
    layout = _layout(state, path)
    variant = _variant(state, layout, path)
    network = _build(state, layout, variant, path)
    load_exactly(
        network,
        _with_flat_distances(state, path),
        str(path),
        published=lambda key: _published(key, network, layout),
    )
    return network.eval()


def keep_class(network: YOLOv9, index: int) -> YOLOv9:
    """The same detector for one of its classes alone: its boxes, and that class's scores.

    The person is class 0 in COCO, and Body is class 0 in wholebody25. Raises WeightsError for a
    class that the detector does not have.
    """
    if not 0 <= index < network.classes:
        raise WeightsError(
            f"class {index} is not one of 0 to {network.classes - 1}, the file's own"
        )
    # The class branches keep their width, which for one class would be less.
    dims = network.dims | {"classes": 1, "class_width": network.detect.class_width}
    one = YOLOv9(**dims)
    state = network.state_dict()
    for name, module in network.named_modules():
        if isinstance(module, Detect):
            for key in (f"{name}.cv3.{i}.2.{part}" for i in range(3) for part in _OF_A_CLASS):
                state[key] = state[key][index : index + 1]
    one.load_state_dict(state)
    return one.train(network.training)


def _layout(state: State, path: Path) -> Layout:
    numbers = [int(found[1]) for key in state if (found := re.match(r"model\.(\d+)\.", key))]
    last = max(numbers, default=None)
    layout = next((layout for layout in LAYOUTS if layout.detect == last), None)
    if layout is None:
        known = ", ".join(f"{layout.detect} ({'/'.join(layout.variants)})" for layout in LAYOUTS)
        raise WeightsError(
            f"{path}: the last layer model.<number> is {last}, where published YOLOv9 detectors "
            f"have {known}"
        )
    return layout


def _variant(state: State, layout: Layout, path: Path) -> str:
    if len(layout.variants) == 1:
        return layout.variants[0]
    stem = _width(state, f"model.{layout.layer(0)}.conv.weight", path)
    split = _width(state, f"model.{layout.layer(2)}.cv1.conv.weight", path)
    for variant in layout.variants:
        widths = GELAN_WIDTHS[variant]
        if (stem, split) == (widths.stem[0], widths.first[1]):
            return variant
    raise WeightsError(
        f"{path}: a stem of {stem} channels and a first block of {split} are those of none of "
        f"YOLOv9 {', '.join(layout.variants)}"
    )


def _build(state: State, layout: Layout, variant: str, path: Path) -> YOLOv9:
    dual = layout.auxiliary is not None
    scores = f"model.{layout.detect}.{'cv5' if dual else 'cv3'}.0"
    classes = _width(state, f"{scores}.2.weight", path)
    width = _width(state, f"{scores}.0.conv.weight", path)
    first = deploy_layers(variant).branch.detect_channels[0]
    as_published = width == class_branch_width(first, classes)
    return YOLOv9(variant, classes, auxiliary=dual, class_width=None if as_published else width)


def _width(state: State, key: str, path: Path) -> int:
    if key not in state:
        raise WeightsError(f"{path} has no {key}, which every published YOLOv9 of its layout has")
    return state[key].shape[0]


def _published(key: str, network: YOLOv9, layout: Layout) -> str:
    """The published name of one of our state dict's entries."""
    branch, number, rest = key.split(".", 2)
    own = int(number)
    layers = network.layers if branch == "layers" else network.auxiliary
    if own == len(layers) - 1:
        names = _MAIN_OF_TWO if branch == "layers" and layout.auxiliary else _DETECT_NAMES
        part, dot, rest = rest.partition(".")
        return f"model.{layout.detect}.{names[part]}{dot}{rest}"
    if branch == "auxiliary":
        assert layout.auxiliary is not None
        return f"model.{layout.auxiliary + own}.{rest}"
    return f"model.{layout.layer(own)}.{rest}"


def _with_flat_distances(state: State, path: Path) -> State:
    """The distances of the bins are published as a 1x1 convolution, and are 0 to 15."""
    flat = dict(state)
    expected = torch.arange(Detect.reg_max, dtype=torch.float32)
    for key, value in state.items():
        if re.search(r"\.dfl2?\.conv\.weight$", key):
            flat[key] = value.flatten()
            if not torch.equal(flat[key].float(), expected):
                raise WeightsError(
                    f"{path}: {key} is {flat[key].tolist()}, and the detector computes with the "
                    f"distances 0 to {Detect.reg_max - 1}"
                )
    return flat
