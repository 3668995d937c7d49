"""Small networks as graphs, and what ONNX Runtime's CPU provider makes of a graph."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

SHAPE = (2, 3, 8, 8)  # of the images that the networks here read


def exported(network: nn.Module, folder: Path) -> Any:
    """The graph of a network that reads images of SHAPE, for any number of them."""
    path = folder / "graph.onnx"
    torch.manual_seed(0)
    torch.onnx.export(
        network.eval(),
        (torch.rand(SHAPE),),
        str(path),
        input_names=["images"],
        dynamic_axes={"images": {0: "batch"}},
        opset_version=17,
        dynamo=False,
    )
    return onnx.load(path)


def response_and_operators(model: Any, folder: Path) -> tuple[np.ndarray, Counter[str]]:
    """What ONNX Runtime answers, and the operators that it runs after its own rewriting."""
    rewritten = folder / "rewritten.onnx"
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(rewritten)
    options.log_severity_level = 3  # it warns that the rewritten graph suits this machine alone
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    images = np.random.default_rng(0).random(SHAPE, dtype=np.float32)
    (response,) = session.run(None, {"images": images})
    return response, Counter(node.op_type for node in onnx.load(rewritten).graph.node)
