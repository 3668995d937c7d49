"""A model repository with the project's configs and Python steps, and networks of a few nodes.

They see one person, red in the middle of a square image: the detector finds a box there whatever
it is shown, the people UNet and the mask heads go by the red. So metrics are right as far as the
steps between are, and a network can be made worse on purpose.
"""

import atexit
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from conversion.step_version import new_step_version
from peopleseg.pixels.geometry import INPUT_SIZE
from peopleseg.releases.plan import with_policy
from peopleseg.repository.manifest import STEP_ARTIFACT, Manifest, StepManifest, sha256
from peopleseg.repository.model_folder import config_files, versions_in
from peopleseg.repository.tensors import Model, Tensor
from peopleseg.repository.triton_config import CONFIG_FILE, parse_config_file
from peopleseg.systems.configs import first_config
from peopleseg.systems.known import ENSEMBLES, PYTHON_STEPS, STEPS, SYSTEMS
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.wiring import config_text, served

SOURCE = Path(__file__).parents[2] / "model_repository"
CHANNELS = 4  # of the features
STRIDE = 8  # network pixels a cell of them
ANCHORS = 10
READS = ("roi_rgb", "roi_logit", "roi_features")  # of the head
PADDING = 0.1  # by which roi_align_features widens boxes
BOX_CXCYWH = (320.0, 320.0, 200.0, 400.0)  # of the person, in network pixels
SCORE = 0.9
# Of the steps whose settings are fitted to the networks that serve: these are not.
UNFITTED: dict[str, dict[str, Any]] = {
    "preprocess": {"size": INPUT_SIZE},
    "crop_people": {"height": 224, "width": 160},
    "select_people": {"min_score": 0.05, "max_iou": 0.5, "score_fit": None},
    "postprocess": {
        "min_score": 0.05,
        "max_mask_iou": 1.0,
        "score_fit": None,
        "mask_shift": 0.0,
    },
}
_DTYPES = {
    "UINT8": TensorProto.UINT8,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
}


def write_small_repository(repository: Path) -> Path:
    """Version 1 of every step but those of the head on features; nothing is linked to SOURCE."""
    shutil.copytree(_template(), repository)
    return repository


@cache
def _template() -> Path:
    """Made once a process, because the steps' code is gathered for it."""
    folder = tempfile.TemporaryDirectory(prefix="peopleseg-small-repository-")
    atexit.register(folder.cleanup)
    repository = Path(folder.name) / "repository"
    shutil.copytree(SOURCE, repository, ignore=_not_copied)
    first_steps(repository)
    for keep in SOURCE.glob("*/1/.gitkeep"):
        (repository / keep.relative_to(SOURCE)).touch()
    people_s = served(repository, [PEOPLE])
    for other in set(served(repository, SYSTEMS)).difference(people_s):
        shutil.rmtree(repository / other)  # whoever needs one releases it
    versions = dict.fromkeys(STEPS, 1)
    for ensemble in people_s:
        text = config_text(ENSEMBLES[ensemble], versions, {"hierarchical_head": READS})
        (repository / ensemble / CONFIG_FILE).write_text(text)
    write_detector(repository, 1)
    write_people_unet(repository, 1)
    write_head(repository, 1)
    for step in STEPS:
        first = [1] if (repository / step / "1").is_dir() else []
        for config in config_files(repository / step):
            config.write_text(with_policy(config.read_text(), first))
    return repository


def first_steps(repository: Path) -> None:
    """Make version 1 of each Python step, with its code as it is now, fitted to no network."""
    for step in PYTHON_STEPS:
        settings = _newest_settings(step) | UNFITTED.get(step, {})
        for version in versions_in(repository / step):
            shutil.rmtree(repository / step / str(version))
        _take_tensors(repository / step / CONFIG_FILE, STEPS[step])
        new_step_version(repository, step, settings)


def _take_tensors(file: Path, step: Model) -> None:
    """Into a config, where the step's have changed since it was written."""
    config, now = parse_config_file(file), first_config(step, is_network=False)
    if (list(config.input), list(config.output)) == (list(now.input), list(now.output)):
        return
    for role in ("input", "output", "version_policy"):
        config.ClearField(role)
    config.input.extend(now.input)
    config.output.extend(now.output)
    file.write_text(with_policy(str(config), []))


def _newest_settings(step: str) -> dict[str, Any]:
    """Nothing where the project has no version of a step yet."""
    there = versions_in(SOURCE / step)
    newest = SOURCE / step / str(max(there, default=0))
    return StepManifest.read(newest).arguments(newest) if there else {}


def _not_copied(folder: str, names: list[str]) -> set[str]:
    """Artifacts, records of releases, configs with the lengths of other networks, and the versions
    of networks.
    """
    numbered = {name for name in names if name.isdecimal() and Path(folder).name in STEPS}
    networks = {name for name in numbered if not Path(folder, name, STEP_ARTIFACT).exists()}
    return networks | shutil.ignore_patterns("*.onnx", ".*", "*.jsonl", "tensorrt.pbtxt")(
        folder, names
    )


def write_detector(
    repository: Path,
    version: int,
    *,
    channels: int = CHANNELS,
    stride: int = STRIDE,
    shift_px: float = 0.0,
) -> Path:
    """shift_px: by how much its box misses the person."""
    predictions = np.zeros((1, 5, ANCHORS), dtype=np.float32)
    predictions[0, :, 0] = (BOX_CXCYWH[0] + shift_px, *BOX_CXCYWH[1:], SCORE)
    nodes = [
        *red("pixels"),
        helper.make_node("GlobalAveragePool", ["red"], ["mean"]),
        helper.make_node("Reshape", ["mean", "of_each"], ["mean_of_each"]),
        helper.make_node("Mul", ["mean_of_each", "nothing"], ["nothing_of_each"]),
        helper.make_node("Add", ["nothing_of_each", "seen"], ["predictions"]),
    ]
    constants = {
        "of_each": np.array([-1, 1, 1]),
        "nothing": np.zeros(1, dtype=np.float32),
        "seen": predictions,
    }
    return write_detector_of(
        repository, version, nodes, constants, ANCHORS, channels=channels, stride=stride
    )


def write_detector_of(
    repository: Path,
    version: int,
    nodes: Sequence[NodeProto],
    constants: Mapping[str, NDArray[Any]],
    anchors: int,
    *,
    channels: int = CHANNELS,
    stride: int = STRIDE,
) -> Path:
    """nodes: from `pixels` to `red` and to the predictions of so many anchors."""
    size = [stride, stride]
    of_features = [
        helper.make_node("AveragePool", ["red"], ["cells"], kernel_shape=size, strides=size),
        helper.make_node("Conv", ["cells", "scales"], ["scaled"], kernel_shape=[1, 1]),
        helper.make_node("Cast", ["scaled"], ["features"], to=TensorProto.FLOAT16),
    ]
    scales = {"scales": np.full((channels, 1, 1, 1), 1 / 255, dtype=np.float32)}
    side = INPUT_SIZE // stride
    lengths = {"features": (channels, side, side), "predictions": (5, anchors)}
    return write_version(
        repository, "yolov9", version, [*nodes, *of_features], {**constants, **scales}, lengths
    )


def write_people_unet(repository: Path, version: int) -> Path:
    nodes = [
        *red("pixels"),
        helper.make_node("Sub", ["red", "middle"], ["person_logit"]),
    ]
    constants = {"middle": np.array(127.5, dtype=np.float32)}
    return write_version(repository, "people_unet", version, nodes, constants, {})


def write_head(
    repository: Path,
    version: int,
    *,
    reads: Sequence[str] = READS,
    channels: int = CHANNELS,
    roi_size_hw: tuple[int, int] = (64, 48),
    bias: float = 0.0,
) -> Path:
    """A mask of twice the roi's cells. bias: -1000 makes the head blind."""
    height, width = roi_size_hw
    zeros = []
    for name in reads[1:]:
        zeros += [
            helper.make_node("Cast", [name], [f"{name}_32"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", [f"{name}_32"], [f"{name}_mean"], axes=[1, 2, 3]),
            helper.make_node("Mul", [f"{name}_mean", "nothing"], [f"{name}_nothing"]),
        ]
    terms = ["large", *(f"{name}_nothing" for name in reads[1:])]
    nodes = [
        *red("roi_rgb"),
        helper.make_node("Resize", ["red", "", "twice"], ["large"], mode="linear"),
        *zeros,
        helper.make_node("Sum", terms, ["sum"]),
        *_mask_logits("sum", bias - 127.5),
        helper.make_node("ReduceMax", ["sum"], ["of_each"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["of_each", "nothing"], ["nothing_of_each"]),
        helper.make_node("Unsqueeze", ["nothing_of_each", "behind"], ["column"]),
        helper.make_node("Add", ["column", "certain"], ["presence_logit"]),
    ]
    constants = {
        "behind": np.array([1]),
        "certain": np.array([20], dtype=np.float32),
        "twice": np.array([1, 1, 2, 2], dtype=np.float32),
        "nothing": np.zeros(1, dtype=np.float32),
    }
    lengths = {
        "roi_rgb": (3, height, width),
        "roi_logit": (1, height, width) if "roi_logit" in reads else (1, 1, 1),
        "roi_features": (channels, 32, 24) if "roi_features" in reads else (1, 1, 1),
        "mask_logits": (3, 2 * height, 2 * width),
    }
    return write_version(repository, "hierarchical_head", version, nodes, constants, lengths, reads)


def write_feature_head(repository: Path, version: int, *, channels: int = CHANNELS) -> Path:
    nodes = [
        helper.make_node("Cast", ["roi_features"], ["roi_32"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["roi_32", "first"], ["red"], axis=1),
        helper.make_node("Resize", ["red", "", "twice"], ["large"], mode="linear"),
        *_mask_logits("large", -0.5),
    ]
    constants = {"first": np.array([0]), "twice": np.array([1, 1, 2, 2], dtype=np.float32)}
    lengths = {"roi_features": (channels, 28, 28), "mask_logits": (3, 56, 56)}
    folder = write_version(repository, "feature_head", version, nodes, constants, lengths)
    manifest = replace(Manifest.read(folder), export={"roi_padding": PADDING})
    manifest.write(folder)
    return folder


def write_version(
    repository: Path,
    name: str,
    version: int,
    nodes: Sequence[NodeProto],
    constants: dict[str, NDArray[Any]],
    lengths: Mapping[str, tuple[int, ...]],
    reads: Sequence[str] = (),
) -> Path:
    """A version folder of a network. lengths: true shapes where the contract leaves them open."""
    folder = repository / name / str(version)
    folder.mkdir(parents=True, exist_ok=True)
    model = STEPS[name]
    nodes = [part for node in nodes for part in _hidden(node, model.outputs)]
    graph = helper.make_graph(
        nodes,
        name,
        [_value(tensor) for tensor in model.inputs],
        [_value(tensor) for tensor in model.outputs],
        [
            numpy_helper.from_array(value, key)
            for key, value in {**constants, **_CONSTANTS}.items()
            if any(key in node.input for node in nodes)
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    artifact = folder / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), artifact)
    write_manifest(folder, model, lengths, reads)
    return folder


def write_manifest(
    folder: Path, model: Model, lengths: Mapping[str, tuple[int, ...]], reads: Sequence[str] = ()
) -> None:
    """Of the model.onnx in a version folder of a network; reads: none for all of its inputs."""
    artifact = folder / "model.onnx"
    roles = {"inputs": model.inputs, "outputs": model.outputs}
    tensors = {
        role: {
            tensor.name: {
                "dtype": tensor.dtype,
                "shape": list(lengths.get(tensor.name, tensor.shape)),
            }
            for tensor in found
        }
        for role, found in roles.items()
    }
    Manifest(
        model=model.name,
        artifact=artifact.name,
        sha256=sha256(artifact),
        bytes=artifact.stat().st_size,
        variant={},
        precision="fp32",
        weights="fp32",
        opset=17,
        ir_version=8,
        checkpoint_sha256="0" * 64,
        commit="0" * 40,
        tools={},
        parity={},
        accuracy={},
        accuracy_data="",
        data_licence="",
        tensors=tensors,
        reads=list(reads or (tensor.name for tensor in model.inputs)),
    ).write(folder)


def write_images(folder: Path, count: int = 2) -> tuple[Path, Path]:
    """The images' folder and its COCO annotations: the person that the networks know."""
    folder.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((640, 640), dtype=np.uint8)
    x, y, width, height = BOX_CXCYWH
    axes = int(width / 2), int(height / 2)
    cv2.ellipse(mask, (int(x), int(y)), axes, 0, 0, 360, (1,), cv2.FILLED)
    image_bgr = np.zeros((640, 640, 3), dtype=np.uint8)
    image_bgr[mask > 0] = (0, 0, 255)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    box = [x - width / 2, y - height / 2, width, height]
    for number in range(count):
        cv2.imwrite(str(folder / f"{number}.png"), image_bgr)
    people = {
        "images": [
            {"id": number, "file_name": f"{number}.png", "width": 640, "height": 640}
            for number in range(count)
        ],
        "annotations": [
            {
                "id": number + 1,
                "image_id": number,
                "category_id": 1,
                "bbox": box,
                "segmentation": [contours[0].reshape(-1).tolist()],
                "iscrowd": 0,
            }
            for number in range(count)
        ],
        "categories": [{"id": 1, "name": "person"}],
    }
    annotations = folder / "people.json"
    annotations.write_text(json.dumps(people))
    return folder, annotations


_CONSTANTS = {"red_channel": np.array([0]), "at_least": np.array([0])}


def _hidden(node: NodeProto, outputs: Sequence[Tensor]) -> list[NodeProto]:
    """The node; where it makes an output of open lengths, so that nobody can infer them."""
    (name,) = node.output
    if not any(tensor.name == name and -1 in tensor.shape for tensor in outputs):
        return [node]
    node.output[:] = [f"{name}_known"]
    return [
        node,
        helper.make_node("Shape", [f"{name}_known"], [f"{name}_shape"]),
        helper.make_node("Max", [f"{name}_shape", "at_least"], [f"{name}_hidden"]),
        helper.make_node("Reshape", [f"{name}_known", f"{name}_hidden"], [name]),
    ]


def red(pixels: str) -> list[NodeProto]:
    """The red channel as FP32, called `red`."""
    return [
        helper.make_node("Gather", [pixels, "red_channel"], ["red_bytes"], axis=1),
        helper.make_node("Cast", ["red_bytes"], ["red"], to=TensorProto.FLOAT),
    ]


def _mask_logits(evidence: str, bias: float) -> list[NodeProto]:
    """Target where evidence + bias is above 0, else background."""
    return [
        helper.make_node("Constant", [], ["bias"], value_float=bias),
        helper.make_node("Constant", [], ["never"], value_float=-1e4),
        helper.make_node("Constant", [], ["none"], value_float=0.0),
        helper.make_node("Add", [evidence, "bias"], ["target"]),
        helper.make_node("Neg", ["target"], ["background"]),
        helper.make_node("Mul", ["target", "none"], ["zeros"]),
        helper.make_node("Add", ["zeros", "never"], ["others"]),
        helper.make_node("Concat", ["background", "target", "others"], ["mask_logits"], axis=1),
    ]


def _value(tensor: Tensor) -> ValueInfoProto:
    shape = [
        f"{tensor.name}_{axis}" if length == -1 else length
        for axis, length in enumerate(tensor.shape)
    ]
    return helper.make_tensor_value_info(tensor.name, _DTYPES[tensor.dtype], ["batch", *shape])
