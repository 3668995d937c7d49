"""What every Python step of the model repository does, so that a step is only its own function.

A step's `model.py` names the step and computes; this class reads the request by the tensor
contract, answers it, and turns a failure into the error of that one request.
"""

import json
import traceback
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found]
from numpy.typing import NDArray

from peopleseg.contract import STEPS
from peopleseg.errors import InvalidInput

Arrays = dict[str, NDArray[Any]]


class PythonStep:
    """Base of the `TritonPythonModel` of each step: set `name`, define `compute`."""

    name: str

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        self.contract = STEPS[self.name]
        parameters = config.get("parameters", {})
        self.load({key: value["string_value"] for key, value in parameters.items()})

    def load(self, parameters: dict[str, str]) -> None:
        """Prepare the step once; `parameters` are those of its config.pbtxt."""

    def compute(self, **inputs: NDArray[Any]) -> Arrays:
        """Input tensors by name to output tensors by name. InvalidInput for a bad request."""
        raise NotImplementedError

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        try:
            outputs = self.compute(**self._inputs(request))
        except InvalidInput as error:
            return self._error(str(error), pb_utils.TritonError.INVALID_ARG)
        except Exception as error:  # the server's fault, but it must not cost the other requests
            pb_utils.Logger.log_error(f"{self.name}: {traceback.format_exc()}")
            cause = f"unexpected {type(error).__name__}: {error}; the server's log has the details"
            return self._error(cause, pb_utils.TritonError.INTERNAL)
        wanted = set(request.requested_output_names())
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor(tensor.name, np.ascontiguousarray(outputs[tensor.name]))
                for tensor in self.contract.outputs
                if tensor.name in wanted
            ]
        )

    def _inputs(self, request: Any) -> Arrays:
        return {
            tensor.name: pb_utils.get_input_tensor_by_name(request, tensor.name).as_numpy()
            for tensor in self.contract.inputs
        }

    def _error(self, cause: str, code: int) -> Any:
        error = pb_utils.TritonError(f"{self.name}: {cause}", code)
        return pb_utils.InferenceResponse(error=error)
