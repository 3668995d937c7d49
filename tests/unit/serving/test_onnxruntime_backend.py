"""The stand-in for Triton's onnxruntime backend, without a server."""

import importlib.util
import json
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from peopleseg.runtime.onnx_session import ModelLoadError
from serving.onnx_model import Instance, OnnxModel, execution_providers, session_options
from serving.request_batching import Arrays, plan_batches, run_requests
from serving.triton_wheel import OWN_BACKENDS


def weigh(inputs: Arrays) -> Arrays:
    """A model that depends on each row alone, and refuses rows that hold a NaN."""
    if np.isnan(inputs["x"]).any():
        raise ValueError("NaN in x")
    return {"y": inputs["x"] * 2}


def rows(count: int, value: float = 1.0, width: int = 3) -> Arrays:
    return {"x": np.full((count, width), value, np.float32)}


class Counted:
    """A run function that notes the batch sizes it was called with."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, inputs: Arrays) -> Arrays:
        self.sizes.append(len(inputs["x"]))
        return weigh(inputs)


def test_several_requests_run_once_and_answer_as_singles() -> None:
    requests = [rows(1, 1.0), rows(3, 2.0), rows(2, 3.0)]
    run = Counted()
    results = run_requests(requests, run, max_batch_size=8)
    assert run.sizes == [6]
    for request, result in zip(requests, results, strict=True):
        assert isinstance(result, dict)
        np.testing.assert_array_equal(result["y"], weigh(request)["y"])


def test_a_batch_never_exceeds_max_batch_size() -> None:
    run = Counted()
    run_requests([rows(3), rows(3), rows(2), rows(1)], run, max_batch_size=5)
    assert sum(run.sizes) == 9
    assert max(run.sizes) <= 5


def test_requests_of_different_shapes_run_apart_and_keep_their_order() -> None:
    requests = [rows(1, 1.0, width=3), rows(1, 2.0, width=4), rows(1, 3.0, width=3)]
    assert plan_batches(requests, max_batch_size=8) == [[0, 2], [1]]
    results = run_requests(requests, weigh, max_batch_size=8)
    assert [result["y"].tolist() for result in results if isinstance(result, dict)] == [
        [[2.0] * 3],
        [[4.0] * 4],
        [[6.0] * 3],
    ]


def test_without_a_batch_axis_every_request_runs_alone() -> None:
    run = Counted()
    run_requests([rows(2), rows(2)], run, max_batch_size=0)
    assert run.sizes == [2, 2]


def test_a_bad_request_fails_alone() -> None:
    results = run_requests([rows(1), rows(2, np.nan), rows(3)], weigh, max_batch_size=8)
    assert isinstance(results[1], ValueError)
    assert [len(result["y"]) for result in results if isinstance(result, dict)] == [1, 3]


def test_an_output_without_the_batch_axis_is_an_error() -> None:
    results = run_requests([rows(2), rows(1)], lambda _: {"y": np.zeros(7)}, max_batch_size=8)
    assert all("(7,)" in str(result) for result in results)


CONFIG: dict[str, Any] = {
    "name": "adder",
    "max_batch_size": 8,
    "input": [{"name": "x", "data_type": "TYPE_FP16", "dims": ["3"]}],
    "output": [
        {"name": "sum", "data_type": "TYPE_FP16", "dims": ["3"]},
        {"name": "largest", "data_type": "TYPE_INT64", "dims": ["1"]},
    ],
    "parameters": {},
}


@pytest.fixture
def version_folder(tmp_path: Path) -> Path:
    """Holds model.onnx: sum = x + 1 and the place of the largest element, in FP16 and INT64."""
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["x", "one"], ["sum"]),
            helper.make_node("ArgMax", ["x"], ["largest"], axis=1, keepdims=1),
        ],
        "adder",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT16, ["batch", 3])],
        [
            helper.make_tensor_value_info("sum", TensorProto.FLOAT16, ["batch", 3]),
            helper.make_tensor_value_info("largest", TensorProto.INT64, ["batch", 1]),
        ],
        [numpy_helper.from_array(np.array(1, np.float16), "one")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "model.onnx")
    return tmp_path


def with_parameters(**values: str) -> dict[str, Any]:
    return CONFIG | {"parameters": {key: {"string_value": text} for key, text in values.items()}}


def test_the_model_computes_and_returns_only_what_is_wanted(version_folder: Path) -> None:
    model = OnnxModel(CONFIG, version_folder, Instance())
    x = np.array([[1, 5, 2]], np.float16)
    both, one = model.run([{"x": x}, {"x": x}], [["sum", "largest"], ["largest"]])
    assert isinstance(both, dict) and isinstance(one, dict)
    np.testing.assert_array_equal(both["sum"], x + 1)
    assert both["sum"].dtype == np.float16
    assert list(one) == ["largest"] and one["largest"].tolist() == [[1]]


def test_a_request_that_onnxruntime_refuses_fails_alone(version_folder: Path) -> None:
    model = OnnxModel(CONFIG, version_folder, Instance())
    good: Arrays = {"x": np.ones((1, 3), np.float16)}
    bad: Arrays = {"x": np.ones((1, 4), np.float16)}
    results = model.run([good, bad, good], [["sum"]] * 3)
    assert [isinstance(result, Exception) for result in results] == [False, True, False]


def test_thread_parameters_reach_the_session(version_folder: Path) -> None:
    config = with_parameters(
        intra_op_thread_count="3", inter_op_thread_count="2", execution_mode="1"
    )
    options = OnnxModel(config, version_folder, Instance()).sessions.whole.get_session_options()
    assert options.intra_op_num_threads == 3
    assert options.inter_op_num_threads == 2
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_PARALLEL


def test_the_memory_pattern_is_on_unless_the_config_says_otherwise() -> None:
    assert session_options(CONFIG, threads=1).enable_mem_pattern
    assert not session_options(
        with_parameters(enable_mem_pattern="0"), threads=1
    ).enable_mem_pattern


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("intra_op_thread_count", "two"),
        ("inter_op_thread_count", "-1"),
        ("execution_mode", "2"),
        ("enable_mem_pattern", "2"),
    ],
)
def test_a_wrong_parameter_is_named(version_folder: Path, name: str, text: str) -> None:
    with pytest.raises(ModelLoadError, match=f"{name}.*{text}"):
        OnnxModel(with_parameters(**{name: text}), version_folder, Instance())


def test_graph_levels_are_the_native_backends() -> None:
    levels = onnxruntime.GraphOptimizationLevel
    assert session_options(CONFIG, threads=1).graph_optimization_level == levels.ORT_ENABLE_ALL
    config = CONFIG | {"optimization": {"graph": {"level": 2}}}
    assert session_options(config, threads=1).graph_optimization_level == levels.ORT_DISABLE_ALL
    with pytest.raises(ModelLoadError, match="7"):
        session_options(CONFIG | {"optimization": {"graph": {"level": 7}}}, threads=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": [CONFIG["input"][0] | {"name": "y"}]}, "input y of the config"),
        ({"input": [CONFIG["input"][0] | {"data_type": "TYPE_FP32"}]}, "TYPE_FP32.*TYPE_FP16"),
        ({"input": [CONFIG["input"][0] | {"dims": ["4"]}]}, r"\[-1, 4\]"),
        ({"output": [CONFIG["output"][0] | {"name": "total"}]}, "output total"),
        ({"max_batch_size": 0}, "input x has shape"),
    ],
)
def test_a_config_that_differs_from_the_graph_does_not_load(
    version_folder: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelLoadError, match=message):
        OnnxModel(CONFIG | change, version_folder, Instance())


def test_a_config_may_leave_outputs_out(version_folder: Path) -> None:
    model = OnnxModel(CONFIG | {"output": CONFIG["output"][:1]}, version_folder, Instance())
    (result,) = model.run([{"x": np.ones((2, 3), np.float16)}], [["sum"]])
    assert isinstance(result, dict) and result["sum"].shape == (2, 3)


def test_a_missing_or_broken_file_is_named(version_folder: Path) -> None:
    with pytest.raises(ModelLoadError, match="other.onnx"):
        OnnxModel(CONFIG | {"default_model_filename": "other.onnx"}, version_folder, Instance())
    (version_folder / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelLoadError, match="model.onnx"):
        OnnxModel(CONFIG, version_folder, Instance())


def test_gpu_instances_need_the_cuda_provider() -> None:
    assert execution_providers(Instance("CPU")) == ["CPUExecutionProvider"]
    with pytest.raises(ModelLoadError, match="KIND_GPU.*onnxruntime-gpu"):
        execution_providers(Instance("GPU", 1), available=["CPUExecutionProvider"])
    chosen = execution_providers(
        Instance("GPU", 1), available=["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    assert chosen[0] == ("CUDAExecutionProvider", {"device_id": 1})


class FakeTensor:
    def __init__(self, name: str, array: Any) -> None:
        self.name, self.array = name, array

    def as_numpy(self) -> Any:
        return self.array


class FakeRequest:
    def __init__(self, array: Any, wanted: Sequence[str]) -> None:
        self.tensors, self.wanted = {"x": FakeTensor("x", array)}, list(wanted)

    def requested_output_names(self) -> list[str]:
        return self.wanted


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The backend's model.py, with a small stand-in for Triton's module."""
    utilities: Any = types.ModuleType("triton_python_backend_utils")
    utilities.get_input_tensor_by_name = lambda request, name: request.tensors[name]
    utilities.Tensor = FakeTensor
    utilities.TritonError = str
    utilities.InferenceResponse = lambda outputs=(), error=None: (outputs, error)
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", utilities)
    path = OWN_BACKENDS / "onnxruntime" / "model.py"
    spec = importlib.util.spec_from_file_location("onnxruntime_backend", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_backend_gives_one_response_a_request(
    backend: types.ModuleType, version_folder: Path
) -> None:
    model = backend.TritonPythonModel()
    model.initialize(
        {
            "model_config": json.dumps(CONFIG),
            "model_repository": str(version_folder.parent),
            "model_version": version_folder.name,
            "model_instance_kind": "CPU",
            "model_instance_device_id": "0",
        }
    )
    good = FakeRequest(np.ones((2, 3), np.float16), ["sum"])
    bad = FakeRequest(np.ones((1, 5), np.float16), ["sum"])
    responses = model.execute([good, bad, good])
    assert len(responses) == 3
    (outputs, error), (no_outputs, cause), _ = responses
    assert error is None and [tensor.name for tensor in outputs] == ["sum"]
    assert outputs[0].array.shape == (2, 3)
    assert not no_outputs and cause.startswith("adder: ")
