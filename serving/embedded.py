"""A real Triton server without a container.

with EmbeddedServer(model_repository=folder, log_file=Path("triton.log")) as server:
    server.wait_until_ready(timeout_s=120)
    ...  # call server.grpc_url
"""

import importlib.metadata
import os
from collections.abc import Sequence
from pathlib import Path

from peopleseg.runtime.shared_processors import COMPUTING_FILE
from serving.loading import cache_arguments, load_arguments
from serving.ports import check_ports
from serving.server import Server
from serving.shared_memory import IMAGE_BYTES
from serving.triton_wheel import (
    OWN_BACKENDS,
    check_numpy,
    find_triton,
    lay_out_backends,
    lay_out_python,
    server_environment,
)

STUB_START_TIMEOUT_S = 120  # Triton's 30 s are short on a busy machine
# Shared memory of each step's process at its start, and by how much it grows.
STUB_MEMORY_BYTES = IMAGE_BYTES


class EmbeddedServer(Server):
    """Triton from the wheel."""

    log_file: Path
    choose_another = "choose another with --model-repository, or name a model with --load-model"
    stub_backends = ("python", *(path.name for path in OWN_BACKENDS.iterdir()))
    stub_memory_bytes = STUB_MEMORY_BYTES
    exit_timeout_s = 6

    def __init__(
        self,
        *,
        model_repository: Path,
        log_file: Path,
        host: str = "127.0.0.1",
        http_port: int = 8000,
        grpc_port: int = 8001,
        metrics_port: int = 8002,
        models: Sequence[str] | None = None,
        extra_arguments: Sequence[str] = (),
    ) -> None:
        """models: loaded at the start, with their steps; None for the ensembles that there are.

        extra_arguments: Triton's own flags.
        """
        super().__init__(
            model_repository=model_repository,
            log_file=log_file,
            host=host,
            ports={"http": http_port, "grpc": grpc_port, "metrics": metrics_port},
            models=models,
            extra_arguments=extra_arguments,
        )

    def check(self) -> None:
        """Raises ServerStartError: no wheel, no stub for this Python, numpy 2, or a port in use."""
        check_ports(self.host, self.ports)
        check_numpy(importlib.metadata.version("numpy"))
        find_triton()

    def prepare(self, folder: Path) -> tuple[list[str], dict[str, str]]:
        triton = find_triton()
        backends = lay_out_backends(folder, triton)
        programs = lay_out_python(folder / "python")
        environment = server_environment(os.environ, programs)
        environment[COMPUTING_FILE] = str(folder / "computing")
        return [
            str(triton / "bin" / "tritonserver"),
            *self._arguments(triton, backends),
        ], environment

    def _arguments(self, triton: Path, backends: Path) -> list[str]:
        return [
            f"--model-repository={self.model_repository}",
            "--model-control-mode=explicit",
            *load_arguments(self.models),
            "--disable-auto-complete-config",
            f"--exit-timeout-secs={self.exit_timeout_s}",
            f"--http-address={self.host}",
            f"--grpc-address={self.host}",
            f"--metrics-address={self.host}",
            *(f"--{service}-port={port}" for service, port in self.ports.items()),
            f"--backend-directory={backends}",
            f"--cache-directory={triton / 'caches'}",
            *cache_arguments(self.extra_arguments),
            f"--backend-config=python,shm-default-byte-size={STUB_MEMORY_BYTES}",
            f"--backend-config=python,shm-growth-byte-size={STUB_MEMORY_BYTES}",
            f"--backend-config=python,stub-timeout-seconds={STUB_START_TIMEOUT_S}",
            *self.extra_arguments,
        ]
