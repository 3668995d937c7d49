"""What lies in the folder of a model, as Triton sees it: versions and configs."""

from pathlib import Path

from peopleseg.repository.triton_config import CONFIG_FILE

VARIANTS = "configs"  # folder with a config for each accelerator


def is_version(name: str) -> bool:
    """Whether Triton takes a folder of this name for a version: a whole number, no leading 0."""
    return name.isascii() and name.isdigit() and not name.startswith("0")


def versions_in(model_folder: Path) -> list[int]:
    """Numbers of the version folders that are there, ascending."""
    if not model_folder.is_dir():
        return []
    folders = (path for path in model_folder.iterdir() if path.is_dir())
    return sorted(int(folder.name) for folder in folders if is_version(folder.name))


def config_files(model_folder: Path) -> list[Path]:
    """Every config of a model, the default one first, which may be missing."""
    return [model_folder / CONFIG_FILE, *sorted((model_folder / VARIANTS).glob("*.pbtxt"))]
