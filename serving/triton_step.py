"""A Python step behind Triton: reads requests by the tensor contract and answers them.

A `model.py` of the model repository names its step:

    TritonPythonModel = triton_model(Preprocess)

Whatever goes wrong in a request becomes the error of that one request.
"""

import json
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found]
from numpy.typing import NDArray

from peopleseg.errors import InvalidInput
from peopleseg.repository.manifest import StepManifest
from peopleseg.systems.step import Step


def triton_model(step: type[Step]) -> type["TritonStep"]:
    """The class `TritonPythonModel` of a step's model.py."""
    return type("TritonPythonModel", (TritonStep,), {"made_of": step})


class TritonStep:
    """What Triton's Python backend calls. `made_of` is the step."""

    made_of: type[Step]

    def initialize(self, args: dict[str, str]) -> None:
        """The settings are in the manifest of each version; all versions share config.pbtxt."""
        self.contract = self.made_of.model
        version_folder = Path(args["model_repository"], args["model_version"])
        self.step = self.made_of(**StepManifest.read(version_folder).arguments(version_folder))

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self._response(request) for request in requests]

    def _response(self, request: Any) -> Any:
        wanted = set(request.requested_output_names())
        try:
            asked = self.step.asked(json.loads(request.parameters()))
            outputs = self.step.compute(wanted, **self._inputs(request), **asked)
        except InvalidInput as error:
            return self._error(str(error), pb_utils.TritonError.INVALID_ARG)
        except Exception as error:  # the server's fault, but it must not cost the other requests
            told = f"{self.contract.name}, request {request.request_id() or 'without an id'}"
            pb_utils.Logger.log_error(f"{told}: {traceback.format_exc()}")
            cause = f"unexpected {type(error).__name__}: {error}; the server's log has the details"
            return self._error(cause, pb_utils.TritonError.INTERNAL)
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor(tensor.name, np.ascontiguousarray(outputs[tensor.name]))
                for tensor in self.contract.outputs
                if tensor.name in wanted
            ]
        )

    def _inputs(self, request: Any) -> dict[str, NDArray[Any] | None]:
        sent = {
            tensor.name: pb_utils.get_input_tensor_by_name(request, tensor.name)
            for tensor in self.contract.inputs
        }
        return {
            name: None if tensor is None else tensor.as_numpy() for name, tensor in sent.items()
        }

    def _error(self, cause: str, code: int) -> Any:
        error = pb_utils.TritonError(f"{self.contract.name}: {cause}", code)
        return pb_utils.InferenceResponse(error=error)
