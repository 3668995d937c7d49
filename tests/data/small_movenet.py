"""A MoveNet of a few nodes, which sees the same person in every image."""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

QUARTER = (0.0, 0.0, 0.5, 0.25)


def write_movenet(
    path: Path,
    values: int = 56,
    *,
    keypoint: tuple[float, float, float] = (0.0, 0.0, 0.0),
    box_yxyx: tuple[float, float, float, float] = QUARTER,
) -> Path:
    """With all joints at one place: y, x and score; and five people of score 0. In parts of the
    image's sides."""
    person = [*keypoint * 17, *box_yxyx, 0.9]
    response = person + [0.0] * 56 * 5
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("ReduceSum", ["pixels"], ["sum"], keepdims=0),
            helper.make_node("Mul", ["sum", "nothing"], ["zero"]),
            helper.make_node("Add", ["people", "zero"], ["found"]),
        ],
        "movenet",
        [helper.make_tensor_value_info("image", TensorProto.INT32, [1, "h", "w", 3])],
        [helper.make_tensor_value_info("found", TensorProto.FLOAT, [1, 336 // values, values])],
        [
            helper.make_tensor("nothing", TensorProto.FLOAT, [], [0.0]),
            helper.make_tensor("people", TensorProto.FLOAT, [1, 336 // values, values], response),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path
