"""What every Python step of the model repository does, so that a step is only its own function.

A step's `model.py` names the step and computes; this class reads the request by the tensor
contract, answers it, and turns a failure into the error of that one request.
"""

import json
import traceback
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found]
from numpy.typing import NDArray

from peopleseg.errors import InvalidInput
from peopleseg.repository.manifest import StepManifest
from peopleseg.systems.people.contract import STEPS

Arrays = dict[str, NDArray[Any]]


class PythonStep:
    """Base of the `TritonPythonModel` of each step: set `name`, define `compute`.

    A step with settings defines `load` too. The settings are in the manifest of each version and
    not in config.pbtxt, which all versions share.
    """

    name: str

    def initialize(self, args: dict[str, str]) -> None:
        self.contract = STEPS[self.name]
        version_folder = Path(args["model_repository"], args["model_version"])
        self.load(**StepManifest.read(version_folder).settings)

    def load(self) -> None:
        """Prepare the step once; the settings of its version come as arguments."""

    def asked(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """What a request's parameters say, as arguments of `compute`. InvalidInput for a bad one.

        An ensemble hands its request's parameters on to all steps, so others' are left alone.
        """
        return {}

    def compute(self, **inputs: Any) -> Arrays:
        """Input tensors by name to output tensors by name. InvalidInput for a bad request.

        An optional input that the request leaves out is None.
        """
        raise NotImplementedError

    def compute_wanted(self, wanted: Collection[str], **inputs: Any) -> Arrays:
        """The outputs of these names, and others where they cost nothing."""
        return self.compute(**inputs)

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        wanted = set(request.requested_output_names())
        try:
            asked = self.asked(json.loads(request.parameters()))
            outputs = self.compute_wanted(wanted, **self._inputs(request), **asked)
        except InvalidInput as error:
            return self._error(str(error), pb_utils.TritonError.INVALID_ARG)
        except Exception as error:  # the server's fault, but it must not cost the other requests
            pb_utils.Logger.log_error(f"{self.name}: {traceback.format_exc()}")
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
        error = pb_utils.TritonError(f"{self.name}: {cause}", code)
        return pb_utils.InferenceResponse(error=error)
