"""The systems that there are. A new one takes a folder, with a system.py, and its name here."""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from peopleseg.systems.system import Ensemble, System

NAMES = [
    "people",
    "semantic",
    "referring",
]
SYSTEMS: tuple[System, ...] = tuple(
    import_module(f"peopleseg.systems.{name}.system").SYSTEM for name in NAMES
)

STEPS = {name: model for system in SYSTEMS for name, model in system.steps.items()}
PYTHON_STEPS = {step.model.name: step for system in SYSTEMS for step in system.python_steps}
NETWORKS = {model.name: model for system in SYSTEMS for model in system.networks}
ENSEMBLES: dict[str, Ensemble] = {one.name: one for system in SYSTEMS for one in system.ensembles}
MODELS = STEPS | {name: ensemble.model for name, ensemble in ENSEMBLES.items()}


def parts(place: str) -> list[ModuleType]:
    """The modules of that place, `{}` being a system's name, of the systems that have one."""
    places = [place.format(name) for name in NAMES]
    return [import_module(one) for one in places if _exists(one)]


def system_named(name: str) -> System:
    """Raises KeyError."""
    return {system.name: system for system in SYSTEMS}[name]


def systems_with(step: str) -> list[System]:
    """The systems that have a step of that name."""
    return [system for system in SYSTEMS if step in system.steps]


def system_of(ensemble: str) -> System:
    """The system of an ensemble. Raises KeyError."""
    return {one.name: system for system in SYSTEMS for one in system.ensembles}[ensemble]


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package that it would be in
        return False
