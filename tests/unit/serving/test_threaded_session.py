"""A graph answers the same with all of its threads, with one, in one piece and in parts."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from peopleseg.runtime.shared_processors import SharedProcessors
from serving import threaded_session
from serving.threaded_session import ThreadedSession


class Sessions:
    """Sessions of y = x + x, which note their threads and the rows of every run."""

    def __init__(self) -> None:
        graph = helper.make_graph(
            [helper.make_node("Add", ["x", "x"], ["y"])],
            "doubling",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        )
        opset = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=8)
        self._bytes = model.SerializeToString()
        self.runs: list[tuple[int, int]] = []  # threads, rows

    def __call__(self, threads: int) -> Any:
        session = onnxruntime.InferenceSession(self._bytes, providers=["CPUExecutionProvider"])
        noted = self.runs

        class Noting:
            def run(self, names: list[str], inputs: dict[str, np.ndarray]) -> Any:
                noted.append((threads, len(inputs["x"])))
                return session.run(names, inputs)

        return Noting()


@pytest.fixture
def open_session() -> Sessions:
    return Sessions()


def doubled(session: ThreadedSession, rows: int) -> None:
    x = np.random.default_rng(rows).normal(size=(rows, 3)).astype(np.float32)
    np.testing.assert_array_equal(session.run(["y"], {"x": x})["y"], x + x)


def session_of(
    open_session: Sessions, threads: int, path: Path, batches: bool = True
) -> ThreadedSession:
    return ThreadedSession(
        open_session, threads, batches=batches, processors=SharedProcessors(path)
    )


def test_alone_a_row_has_all_threads_and_a_batch_is_shared_out(
    open_session: Sessions, tmp_path: Path
) -> None:
    session = session_of(open_session, 2, tmp_path / "computing")
    doubled(session, 1)
    assert open_session.runs == [(2, 1)]
    doubled(session, 5)
    assert sorted(open_session.runs[1:]) == [(1, 2), (1, 3)]
    doubled(session, 0)


def test_beside_others_everything_has_one_thread(open_session: Sessions, tmp_path: Path) -> None:
    session = session_of(open_session, 2, tmp_path / "computing")
    with SharedProcessors(tmp_path / "computing").computing():
        for rows in (1, 5):
            doubled(session, rows)
    assert open_session.runs == [(1, 1), (1, 5)]
    doubled(session, 1)
    assert open_session.runs[-1] == (2, 1)


@pytest.mark.parametrize(("threads", "parts"), [(1, [3, 4]), (2, [1, 2, 2, 2]), (3, [1] * 7)])
def test_no_more_is_under_way_at_a_time_than_a_cache_takes(
    threads: int,
    parts: list[int],
    open_session: Sessions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threaded_session, "AT_A_TIME_BYTES", 4 * 3 * 4)  # four rows of three floats
    doubled(session_of(open_session, threads, tmp_path / "computing"), 7)
    assert sorted(open_session.runs) == [(1, rows) for rows in parts]


def test_a_network_of_one_thread_does_not_count_as_company(
    open_session: Sessions, tmp_path: Path
) -> None:
    path = tmp_path / "computing"
    single, double = session_of(open_session, 1, path), session_of(open_session, 2, path)

    class Beside:
        def run(self, names: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
            doubled(double, 1)  # while the other one computes
            return [2 * inputs["x"]]

    single.whole = single._single = Beside()  # type: ignore[assignment]
    doubled(single, 1)
    assert open_session.runs == [(2, 1)]


def test_without_a_batch_axis_nothing_is_shared_out(open_session: Sessions, tmp_path: Path) -> None:
    session = session_of(open_session, 2, tmp_path / "computing", batches=False)
    doubled(session, 5)
    assert open_session.runs == [(2, 5)]


def test_inputs_of_different_lengths_are_left_to_onnx_runtime(
    open_session: Sessions, tmp_path: Path
) -> None:
    session = session_of(open_session, 2, tmp_path / "computing")
    inputs = {"x": np.zeros((4, 3), np.float32), "z": np.zeros((2, 3), np.float32)}
    with pytest.raises(InvalidArgument, match="z"):
        session.run(["y"], inputs)
