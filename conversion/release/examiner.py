"""What a release has to pass, apart from coming up on the server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from peopleseg.systems.system import Response


@dataclass(frozen=True)
class Judgement:
    """The accuracy of a release, and why it may not serve."""

    metrics: dict[str, Any] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)


class Examiner(Protocol):
    """Looks at a model repository without a server; versions name one of each step."""

    @property
    def images(self) -> Sequence[bytes]:
        """Encoded, for the requests that candidates are asked; at least one for a server."""

    def faults(self, versions: Mapping[str, int]) -> list[str]:
        """What is wrong with these versions, by themselves and together; one line each."""

    def judge(self, serving: Mapping[str, int], candidate: Mapping[str, int]) -> Judgement:
        """Whether the candidate is as accurate as what serves."""

    def responses(self, versions: Mapping[str, int], ensemble: str) -> Sequence[Response]:
        """What an ensemble of these versions has to answer for each image. Raises ReleaseError.

        It is not asked where a release cannot ask a server, offline.
        """

    def difference(
        self, versions: Mapping[str, int], found: Response, expected: Response
    ) -> str | None:
        """How two responses of these versions differ by more than rounding; None if they do not."""
