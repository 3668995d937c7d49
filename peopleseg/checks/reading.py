"""What lies in a model repository: the configs of its models and their version folders.

Nothing here raises for what is wrong in the repository: it is returned as faults, one line each.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from peopleseg.repository.model_folder import VARIANTS, config_files, versions_in
from peopleseg.repository.triton_config import CONFIG_FILE, ConfigError, parse_config
from peopleseg.systems.known import MODELS

NOT_VERSIONS = (VARIANTS, "warmup")
TENSORRT_ARTIFACT = "model.plan"
# The file that each backend loads, unless the config names another.
_DEFAULT_FILES = {
    "onnxruntime": "model.onnx",
    "tensorrt": TENSORRT_ARTIFACT,
    "python": "model.py",
}


class ModelFolder(NamedTuple):
    """One model of the repository; configs by their path in its folder, the default one first."""

    path: Path
    configs: dict[str, Any]

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def config(self) -> Any:
        return self.configs[CONFIG_FILE]

    @property
    def versions(self) -> list[int]:
        """Numbers of the version folders that Triton would see, ascending."""
        return versions_in(self.path)

    def files(self) -> dict[str, list[str]]:
        """The artifacts that the configs load, each with the configs that do."""
        loaded: dict[str, list[str]] = {}
        for name, config in self.configs.items():
            loaded.setdefault(artifact_of(config), []).append(name)
        return loaded


def read_models(repository: Path) -> tuple[dict[str, ModelFolder], list[str]]:
    """The models whose default config can be read, and what is wrong with the others."""
    models: dict[str, ModelFolder] = {}
    faults: list[str] = []
    for path in _folders(repository):
        if path.name not in MODELS:
            faults.append(
                f"{path.name}: not a model of peopleseg/systems/known.py, which has "
                f"{', '.join(MODELS)}; move the folder away or add the model to a system"
            )
            continue
        folder, wrong = _read_model(path)
        faults += wrong
        if folder:
            models[path.name] = folder
    return models, faults


def artifact_of(config: Any) -> str:
    """Name of the file in a version folder that a config loads; empty for an ensemble."""
    return config.default_model_filename or _DEFAULT_FILES.get(config.backend, "")


def _read_model(path: Path) -> tuple[ModelFolder | None, list[str]]:
    configs: dict[str, Any] = {}
    faults: list[str] = []
    for file in config_files(path):
        name = file.relative_to(path).as_posix()
        where = f"{path.name}/{name}"
        try:
            configs[name] = parse_config(file.read_bytes())
        except FileNotFoundError:
            faults.append(f"{where}: missing; every model has its config there")
        except ConfigError as error:
            faults.append(f"{where}: {error}; see model_config.proto")
    return (ModelFolder(path, configs) if CONFIG_FILE in configs else None), faults


def _folders(path: Path) -> Iterator[Path]:
    """Sub-folders in their order; hidden ones are not the repository's."""
    return (
        folder
        for folder in sorted(path.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
    )
