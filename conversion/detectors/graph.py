"""Put a file's graph between the served pixels and the predictions of the tensor contract."""

import tempfile
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch
from onnx import TensorProto, compose, helper, version_converter
from torch import Tensor, nn
from torch.nn import functional as F

from conversion.detectors.batches import Shapes, open_batch
from conversion.detectors.decoders import Decoder, Pixels
from conversion.detectors.maps import Map
from conversion.detectors.pooling import pad_in_pooling
from conversion.detectors.source import Source
from conversion.export.int8 import CONVOLUTIONS
from conversion.export.onnx_export import BATCH, check_contract, name_open_axes, traced
from conversion.export.settings import ExportError
from peopleseg.pixels.geometry import INPUT_SIZE
from peopleseg.repository.limits import MAX_IR_VERSION, OPSET
from peopleseg.systems.known import STEPS

DETECTOR = STEPS["yolov9"]
_FILE, _DECODER = "file/", "decoder/"  # before the names of each part's tensors
_FEATURES = "features_of_file"


class PreparedPixels(nn.Module):
    """pixels [B, 3, 640, 640] uint8 RGB to the images [B, 3, size, size] that a detector takes."""

    mean: Tensor
    std: Tensor

    def __init__(self, wanted: Pixels, size: int) -> None:
        super().__init__()
        self.bgr, self.size = wanted.bgr, size
        self.register_buffer("mean", torch.tensor(wanted.mean, dtype=torch.float32).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(wanted.std, dtype=torch.float32).view(3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        images = pixels.float()
        if self.size != INPUT_SIZE:
            size_hw = (self.size, self.size)
            images = F.interpolate(images, size_hw, mode="bilinear", align_corners=False)
        if self.bgr:
            images = images[:, [2, 1, 0]]
        return (images - self.mean) / self.std


def served_graph(source: Source, shapes: Shapes, neck: Map, decoder: Decoder) -> Any:
    """The model yolov9 of the tensor contract, of any batch size, in FP32.

    shapes: of the file's tensors. neck: which of them becomes the features. Raises ExportError when
    the pinned ONNX Runtime could not read it.
    """
    pixels = torch.zeros((2, 3, INPUT_SIZE, INPUT_SIZE), dtype=torch.uint8)
    prepare = PreparedPixels(decoder.pixels, source.size)
    before = traced(prepare, (pixels,), ["pixels"], ["images"])
    file = compose.add_prefix(_opened(source, shapes, neck.name), _FILE)
    outputs = tuple(torch.zeros((2, *shapes[name][1:])) for name in decoder.names)
    taken = [f"output_{index}" for index in range(len(outputs))]  # torch takes no number as a name
    after = compose.add_prefix(traced(decoder, outputs, taken, ["predictions"]), _DECODER)
    for part in (before, file, after):  # which may be of different ones
        part.ir_version = MAX_IR_VERSION
    model = compose.merge_models(before, file, [("images", _FILE + source.input_name)])
    read = [(_FILE + name, _DECODER + own) for name, own in zip(decoder.names, taken, strict=True)]
    model = compose.merge_models(model, after, read)
    _keep_used_domains(model)  # each part brought its own
    _name_nodes(model.graph)
    _declare_outputs(model.graph, neck, anchors=decoder(*outputs).shape[2])
    check_contract(model.graph, DETECTOR)
    name_open_axes(model, DETECTOR)
    return model


def _opened(source: Source, shapes: Shapes, features: str) -> Any:
    """The file's graph with the features as a further output, simplified, in OPSET."""
    model = onnx.ModelProto()
    model.CopyFrom(source.model)
    model.graph.node.append(helper.make_node("Identity", [features], [_FEATURES]))
    model.graph.output.append(helper.make_empty_tensor_value_info(_FEATURES))
    model.graph.output[-1].type.tensor_type.elem_type = TensorProto.FLOAT
    open_batch(model, shapes)
    return pad_in_pooling(_simplified(_in_opset(source, model)))


def _in_opset(source: Source, model: Any) -> Any:
    found = next((entry.version for entry in model.opset_import if entry.domain == ""), 0)
    if found > OPSET:
        raise ExportError(
            f"{source.path} has opset {found}, the pinned ONNX Runtime reads {OPSET}; export it "
            f"with opset {OPSET}"
        )
    _keep_used_domains(model)
    try:
        return version_converter.convert_version(model, OPSET)
    except Exception as error:  # whatever the converter meets, it is this file's fault
        raise ExportError(
            f"{source.path} has opset {found} and cannot be brought to {OPSET} ({error}); export "
            f"it with opset {OPSET}"
        ) from error


def _simplified(model: Any) -> Any:
    """By ONNX Runtime's own basic optimisers: constants are folded, paddings join convolutions."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "simplified.onnx")
        try:
            onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's errors have no class in common
            raise ExportError(f"ONNX Runtime cannot load the file: {error}") from error
        simplified = onnx.load(options.optimized_model_filepath)
    _keep_used_domains(simplified)
    return simplified


def _keep_used_domains(model: Any) -> None:
    used = {node.domain for node in model.graph.node} | {""}
    kept = {entry.domain: entry for entry in model.opset_import if entry.domain in used}.values()
    del model.opset_import[:]
    model.opset_import.extend(kept)


def _name_nodes(graph: Any) -> None:
    """As torch's exporter names those of layers: the last layer's are the decoding, which stays in
    float, and a block of the others, which INT8 takes or leaves, has one convolution."""
    block = 0
    for index, node in enumerate(graph.node):
        block += node.op_type in CONVOLUTIONS
        layer = "layers.1" if node.name.startswith(_DECODER) else f"layers.0/{block}"
        node.name = f"/network/{layer}/{node.op_type}_{index}"


def _declare_outputs(graph: Any, neck: Map, anchors: int) -> None:
    features, predictions = "features", "predictions"
    graph.node.extend(
        [
            helper.make_node("Cast", [_FILE + _FEATURES], [features], to=TensorProto.FLOAT16),
            helper.make_node("Identity", [_DECODER + predictions], [predictions]),
        ]
    )
    shapes = (BATCH, neck.channels, neck.side, neck.side), (BATCH, 5, anchors)
    del graph.output[:], graph.value_info[:]
    graph.output.extend(
        helper.make_tensor_value_info(name, dtype, shape)
        for name, dtype, shape in zip(
            (features, predictions), (TensorProto.FLOAT16, TensorProto.FLOAT), shapes, strict=True
        )
    )
