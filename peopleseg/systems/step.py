"""What every Python step is: settings in when it is made, arrays in and arrays out when it runs.

The same class runs behind Triton (`serving.triton_step`) and in one process
(`peopleseg.systems.pipeline`).
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from numpy.typing import NDArray

from peopleseg.repository.settings import Setting
from peopleseg.repository.tensors import Model

Arrays = dict[str, NDArray[Any]]
Shape = tuple[int, ...]  # -1 where the length varies


class Step(ABC):
    """One Python step. Made of the settings of its version, which are its arguments by name."""

    model: ClassVar[Model]  # its folder in the model repository, and its tensors
    settings: ClassVar[Mapping[str, Setting]] = {}

    @classmethod
    def shapes(cls, settings: Mapping[str, Any], given: Mapping[str, Shape]) -> dict[str, Shape]:
        """True shapes of outputs that `model` leaves open, where settings and inputs tell them.

        settings: of a version. given: shapes of the inputs that are wired, by name.
        """
        return {}

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
