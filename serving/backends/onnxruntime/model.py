"""Triton's `onnxruntime` backend for the embedded server, which has no native one.

A Python-based backend: Triton runs this file for every model with `backend: "onnxruntime"`. The
work is done in serving/onnx_model.py and serving/request_batching.py.
"""

import json
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found]

from serving.onnx_model import Instance, OnnxModel


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        instance = Instance(args["model_instance_kind"], int(args["model_instance_device_id"]))
        version_folder = Path(args["model_repository"], args["model_version"])
        self.model = OnnxModel(json.loads(args["model_config"]), version_folder, instance)

    def execute(self, requests: list[Any]) -> list[Any]:
        inputs = [
            {
                name: pb_utils.get_input_tensor_by_name(request, name).as_numpy()
                for name in self.model.input_names
            }
            for request in requests
        ]
        wanted = [list(request.requested_output_names()) for request in requests]
        return [self._respond(result) for result in self.model.run(inputs, wanted)]

    def _respond(self, result: Any) -> Any:
        if isinstance(result, Exception):
            error = pb_utils.TritonError(f"{self.model.name}: {result}")
            return pb_utils.InferenceResponse(error=error)
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor(name, array) for name, array in result.items()]
        )
