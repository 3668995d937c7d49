"""What Triton's native onnxruntime backend compares with a config holds for an exported graph.

It asks ONNX Runtime, which infers lengths that the graph does not declare:
https://github.com/triton-inference-server/onnxruntime_backend, src/onnxruntime_utils.cc,
CompareDimsSupported.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from conversion.export.fp16 import to_fp16
from conversion.export.onnx_export import export_onnx
from peopleseg.repository.tensors import Tensor
from peopleseg.systems.known import STEPS
from tests.data import variant_repository as variants

SMALL: dict[str, tuple[str, nn.Module, dict[str, tuple[int, ...]]]] = {
    "detector": ("yolov9", variants.SmallDetector(), {}),
    "head": (
        "hierarchical_head",
        variants.SmallHead(variants.ALL, 6),
        {"roi_rgb": (3, 64, 48), "roi_logit": (1, 64, 48), "roi_features": (6, 32, 24)},
    ),
    "head on RGB": (
        "hierarchical_head",
        variants.SmallHead(("roi_rgb",), 6),
        {"roi_rgb": (3, 80, 60), "roi_logit": (1, 1, 1), "roi_features": (1, 1, 1)},
    ),
    "feature head": ("feature_head", variants.SmallFeatureHead(), {"roi_features": (6, 28, 28)}),
}


@pytest.fixture(params=SMALL)
def exported(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    name, module, shapes = SMALL[request.param]
    export_onnx(module.eval(), STEPS[name], tmp_path / "model.onnx", shapes)
    return request.param, tmp_path / "model.onnx"


def assert_loads(path: Path, model: str) -> None:
    session = onnxruntime.InferenceSession(path)
    contract = STEPS[model]
    for found, tensors in (
        (session.get_inputs(), contract.inputs),
        (session.get_outputs(), contract.outputs),
    ):
        assert [node.name for node in found] == [tensor.name for tensor in tensors]
        for node, tensor in zip(found, tensors, strict=True):
            assert native_backend_takes(node.shape, tensor), (node.name, node.shape)


def native_backend_takes(shape: list[Any], tensor: Tensor) -> bool:
    lengths = [length if isinstance(length, int) else -1 for length in shape]
    expected = (-1, *tensor.shape)
    return len(lengths) == len(expected) and all(
        a in (-1, b) for a, b in zip(lengths, expected, strict=True)
    )


def test_the_native_backend_would_load_it(exported: tuple[str, Path], tmp_path: Path) -> None:
    case, path = exported
    assert_loads(path, SMALL[case][0])
    if case != "detector":  # `to_fp16` knows YOLOv9's
        to_fp16(path, tmp_path / "half.onnx")
        assert_loads(tmp_path / "half.onnx", SMALL[case][0])


def test_it_computes_what_torch_computes_and_refuses_other_lengths(
    exported: tuple[str, Path],
) -> None:
    name, module, shapes = SMALL[exported[0]]
    dtypes = {"UINT8": np.uint8, "FP16": np.float16, "FP32": np.float32}
    random = np.random.default_rng(0)
    inputs = {
        tensor.name: random.uniform(0, 255, (3, *shapes.get(tensor.name, tensor.shape))).astype(
            dtypes[tensor.dtype]
        )
        for tensor in STEPS[name].inputs
    }
    session = onnxruntime.InferenceSession(exported[1])
    found = session.run(None, inputs)[0]
    with torch.no_grad():
        expected = module(*(torch.from_numpy(values) for values in inputs.values()))
    expected = expected[0] if isinstance(expected, tuple) else expected
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-2, atol=1e-2)
    read = next(iter(shapes), None)
    if read is not None:
        inputs[read] = inputs[read][:, :, 1:]
        with pytest.raises(Exception, match="Reshape"):
            session.run(None, inputs)
