"""What a system is: its networks and Python steps, how ensembles chain them, what judges it.

Everything that serves, checks, releases, measures and calls goes by these records. A system is
described in a folder of `peopleseg/systems` and listed in `peopleseg/systems/known.py`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from peopleseg.errors import PeoplesegError
from peopleseg.repository.tensors import Model
from peopleseg.systems.step import Arrays, Step

if TYPE_CHECKING:
    from peopleseg.systems.pipeline import Pipeline

Folders = Mapping[str, Path]  # the version folder of each step
Metrics = dict[str, Any]
Response = Mapping[str, NDArray[Any]]  # tensors by name, as an ensemble answers


@dataclass(frozen=True)
class Use:
    """A step of an ensemble. inputs, outputs: the ensemble's names of those it calls otherwise."""

    model: Model
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ensemble:
    """A chain of steps that a client calls by one name."""

    model: Model
    about: str  # one or two sentences
    uses: tuple[Use, ...]  # in an order in which they can run
    sample_inputs: Callable[[bytes], Arrays]  # its inputs to try it with, from one encoded image

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def steps(self) -> tuple[str, ...]:
        """Names of all steps that it may have; a version of a network may need fewer."""
        return tuple(use.model.name for use in self.uses)


class Unmeasured(PeoplesegError):
    """An image on which a version fails. The message says which, and how."""


class Annotated(Protocol):
    """An image with what is known about it, as a system reads it."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The image, and the annotations that are its alone."""


class Read(Protocol):
    """Reads what a system is measured on."""

    def __call__(
        self, annotations: Path, images: Path, limit: int | None = None
    ) -> Sequence[Annotated]:
        """The first so many images of a folder. Raises AnnotationError, also where none counts."""


@dataclass(frozen=True)
class Accuracy:
    """How versions of a system are measured, in one process, before a server loads them.

    measure: of the images that `read` returns; metrics are floats, better when higher, or counts,
    or None where the images show nothing of them. needed: those without which nothing is judged.
    place_in: where a data set's folder has the images and annotations to validate on.
    """

    read: Read
    measure: Callable[["Pipeline", Sequence[Any]], Metrics]
    needed: tuple[str, ...]
    place_in: Callable[[Path], tuple[Path, Path]]


def nothing_wrong(folders: Folders) -> Iterator[str]:
    """For systems whose versions all work with one another."""
    return iter(())


@dataclass(frozen=True)
class System:
    """One system. Its networks and steps may be other systems' too.

    pair_faults: what is wrong between the pinned versions of one ensemble, whose artifacts are in
    order. unlike: how the responses of one ensemble of these versions (found, expected) differ by
    more than another machine's rounding; None where they do not.
    """

    name: str
    networks: tuple[Model, ...]
    python_steps: tuple[type[Step], ...]
    ensembles: tuple[Ensemble, ...]
    unlike: Callable[[Folders, Response, Response], str | None]
    pair_faults: Callable[[Folders], Iterator[str]] = nothing_wrong
    accuracy: Accuracy | None = None  # None: a release is judged by its responses alone

    @property
    def steps(self) -> dict[str, Model]:
        """Networks and Python steps by name, in the order of the ensembles' chains."""
        return {use.model.name: use.model for one in self.ensembles for use in one.uses}

    def ensemble(self, name: str) -> Ensemble:
        return next(one for one in self.ensembles if one.name == name)

    def python_step(self, name: str) -> type[Step] | None:
        return next((step for step in self.python_steps if step.model.name == name), None)
