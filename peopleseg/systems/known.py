"""The systems that there are. A new one takes a folder, with a system.py, and its name here."""

from importlib import import_module

from peopleseg.systems.system import Ensemble, System

NAMES = [
    "people",
]
SYSTEMS: tuple[System, ...] = tuple(
    import_module(f"peopleseg.systems.{name}.system").SYSTEM for name in NAMES
)

STEPS = {name: model for system in SYSTEMS for name, model in system.steps.items()}
PYTHON_STEPS = {step.model.name: step for system in SYSTEMS for step in system.python_steps}
NETWORKS = {model.name: model for system in SYSTEMS for model in system.networks}
ENSEMBLES: dict[str, Ensemble] = {one.name: one for system in SYSTEMS for one in system.ensembles}
MODELS = STEPS | {name: ensemble.model for name, ensemble in ENSEMBLES.items()}


def system_named(name: str) -> System:
    """Raises KeyError."""
    return {system.name: system for system in SYSTEMS}[name]


def systems_with(step: str) -> list[System]:
    """The systems that have a step of that name."""
    return [system for system in SYSTEMS if step in system.steps]


def system_of(ensemble: str) -> System:
    """The system of an ensemble. Raises KeyError."""
    return {one.name: system for system in SYSTEMS for one in system.ensembles}[ensemble]
