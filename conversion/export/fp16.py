"""Turn an FP32 graph into one that computes in FP16, for GPUs, by ONNX Runtime's converter."""

import warnings
from pathlib import Path

import onnx
from onnx import TensorProto, numpy_helper

from conversion.export.onnx_export import check_fits_fp16, decoding_nodes, save


def to_fp16(source: Path, target: Path) -> None:
    """Inputs and outputs keep their types; weights and everything between become FP16.

    ONNX Runtime's CPU has few operators in FP16 and widens for the others. Raises ExportError
    for weights beyond FP16's range.
    """
    from onnxruntime.transformers.onnx_model import OnnxModel  # slow to import

    model = OnnxModel(onnx.load(source))
    for weights in model.graph().initializer:
        if weights.data_type == TensorProto.FLOAT:
            check_fits_fp16(weights.name, numpy_helper.to_array(weights))
    kept = sorted(decoding_nodes(model.graph()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells of each weight that is almost 0
        model.convert_float_to_float16(use_symbolic_shape_infer=False, node_block_list=kept)
    model.topological_sort()  # the converter puts its casts last
    save(model.model, target)
