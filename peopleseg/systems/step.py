"""What every Python step is: settings in when it is made, arrays in and arrays out when it runs.

The same class runs behind Triton (`serving.triton_step`) and in one process
(`peopleseg.systems.run`).
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from numpy.typing import NDArray

from peopleseg.repository.settings import Setting

Arrays = dict[str, NDArray[Any]]


class Step(ABC):
    """One Python step. Made of the settings of its version, which are its arguments by name."""

    name: ClassVar[str]  # its folder in the model repository
    settings: ClassVar[Mapping[str, Setting]] = {}

    def asked(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """What a request's parameters say, as arguments of `compute`. InvalidInput for a bad one.

        An ensemble hands its request's parameters on to all steps, so others' are left alone.
        """
        return {}

    @abstractmethod
    def compute(self, wanted: Collection[str], *args: Any, **inputs: Any) -> Arrays:
        """Input tensors by name to output tensors by name. InvalidInput for a bad request.

        wanted: the outputs that are asked for; others may be left out where they cost something. An
        optional input that nobody gives is None.
        """
