"""A YOLO segmenter as a peer: its people and masks, and files that are none."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.peers.yolo_seg import YoloSeg, best_people
from benchmarks.speed.targets import PeopleRequest
from peopleseg.pixels.masks import decode_rle
from tests.data.encoded import encoded

ANCHORS, CLASSES, COEFFICIENTS = 6, 2, 32


def predictions_of(boxes_cxcywh: list[list[float]], scores: list[float]) -> NDArray[np.float32]:
    """[4 + classes + coefficients, anchors]; the first coefficient is 1."""
    found = np.zeros((4 + CLASSES + COEFFICIENTS, ANCHORS), dtype=np.float32)
    found[2:4] = 10
    found[:4, : len(boxes_cxcywh)] = np.array(boxes_cxcywh, dtype=np.float32).T
    found[4, : len(scores)] = scores
    found[5] = 0.99  # of another class
    found[4 + CLASSES] = 1
    return found


def write_yolo_seg(
    path: Path, predictions: NDArray[np.float32], prototypes: NDArray[np.float32]
) -> Path:
    """A file that answers any image so."""
    outputs = {"output0": predictions[None], "output1": prototypes[None]}
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "nothing"], ["zero"]),
        *(helper.make_node("Add", [f"{name}_seen", "zero"], [name]) for name in outputs),
    ]
    constants = {f"{name}_seen": value for name, value in outputs.items()}
    constants["nothing"] = np.zeros((), dtype=np.float32)
    graph = helper.make_graph(
        nodes,
        "yolo-seg",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 640, 640])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape)
            for name, value in outputs.items()
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


def test_the_best_people_are_taken_once_each_and_others_classes_are_not() -> None:
    boxes = [[100.0, 100.0, 80.0, 160.0], [102.0, 100.0, 80.0, 160.0], [400.0, 300.0, 60.0, 120.0]]
    found, coefficients = best_people(predictions_of(boxes, [0.7, 0.9, 0.8]), 2)
    assert found.tolist() == [[62, 20, 142, 180], [370, 240, 430, 360]]
    assert coefficients.shape == (2, COEFFICIENTS)
    assert len(best_people(predictions_of(boxes, [0.7, 0.9, 0.8]), 0)[0]) == 0


def test_masks_are_where_the_prototypes_say_within_the_box(tmp_path: Path) -> None:
    """An image of 320 x 160 pixels lies in rows 160 to 480 of the square, at twice its size."""
    prototypes = np.zeros((COEFFICIENTS, 160, 160), dtype=np.float32)
    prototypes[0] = -10
    prototypes[0, :, 80:] = 10  # the right half of the square
    predictions = predictions_of([[320.0, 320, 200, 200]], [0.9])
    path = write_yolo_seg(tmp_path / "yolo.onnx", predictions, prototypes)
    image = encoded(np.zeros((160, 320, 3), dtype=np.uint8))
    response = YoloSeg(path, threads=1, device="cpu")(PeopleRequest(image, 1))
    assert response.boxes_xyxy.tolist() == [[110, 30, 210, 130]]
    expected = np.zeros((160, 320), dtype=np.uint8)
    expected[30:130, 160:210] = 1
    wrong = decode_rle(response.rles[0]) != expected
    assert wrong.sum() <= 2 * (100 + 50) + 4  # its edges


def test_a_file_with_one_output_is_refused(tmp_path: Path) -> None:
    path = write_yolo_seg(
        tmp_path / "yolo.onnx", predictions_of([], []), np.zeros((32, 8, 8), np.float32)
    )
    model = onnx.load(path)
    del model.graph.output[1]
    onnx.save(model, path)
    with pytest.raises(ValueError, match="has the outputs output0; a YOLO segmenter has"):
        YoloSeg(path, threads=1, device="cpu")
