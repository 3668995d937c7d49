"""One real Triton with the project's model repository for all server tests, and free ports."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from peopleseg.repository.place import MODEL_REPOSITORY
from serving import ports
from serving.embedded import EmbeddedServer
from tests.server.telling import make_repository, server_of

READY_TIMEOUT_S = 300.0  # a dozen steps on a small, busy machine


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """The running server: grpc_url, http_url, metrics_url, log_file, pid (of Triton)."""
    http_port, grpc_port, metrics_port = ports.free_ports(3)
    with EmbeddedServer(
        model_repository=MODEL_REPOSITORY,
        log_file=tmp_path_factory.mktemp("server") / "triton.log",
        http_port=http_port,
        grpc_port=grpc_port,
        metrics_port=metrics_port,
    ) as running:
        running.wait_until_ready(READY_TIMEOUT_S)
        yield running


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository of `telling`."""
    folder = tmp_path_factory.mktemp("telling") / "repository"
    make_repository(folder)
    return folder


@pytest.fixture(scope="module")
def served(repository: Path) -> Iterator[EmbeddedServer]:
    """A server of the module's own repository."""
    with server_of(repository) as server:
        server.wait_until_ready(READY_TIMEOUT_S)
        yield server


@pytest.fixture(scope="module")
def telling(served: EmbeddedServer) -> EmbeddedServer:
    """A server whose responses tell which version of each step made them."""
    return served


@pytest.fixture
def free_ports() -> Callable[[int], list[int]]:
    """Gives that many different ports of 127.0.0.1 that nobody listens on."""
    return ports.free_ports


@pytest.fixture
def tiny_repository(tmp_path: Path) -> Path:
    """A model repository with one Python step, `echo`, and the ensemble `tiny` around it."""
    repository = tmp_path / "repository"
    write_model(repository, "echo", ECHO_CONFIG)
    (repository / "echo" / "1" / "model.py").write_text(ECHO_MODEL)
    write_model(repository, "tiny", TINY_CONFIG)
    return repository


def write_model(repository: Path, name: str, config: str) -> None:
    (repository / name / "1").mkdir(parents=True)
    (repository / name / "config.pbtxt").write_text(config)


ECHO_CONFIG = """
name: "echo"
backend: "python"
max_batch_size: 0
input [ { name: "number" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "same" data_type: TYPE_FP32 dims: [ -1 ] } ]
instance_group [ { kind: KIND_CPU count: 2 } ]
"""

ECHO_MODEL = """
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        number = pb_utils.get_input_tensor_by_name(request, "number").as_numpy()
        return pb_utils.InferenceResponse([pb_utils.Tensor("same", number)])
"""

TINY_CONFIG = """
name: "tiny"
platform: "ensemble"
max_batch_size: 0
input [ { name: "number" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "same" data_type: TYPE_FP32 dims: [ -1 ] } ]
ensemble_scheduling {
  step [
    {
      model_name: "echo"
      model_version: 1
      input_map { key: "number" value: "number" }
      output_map { key: "same" value: "same" }
    }
  ]
}
"""
