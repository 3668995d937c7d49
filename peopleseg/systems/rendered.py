"""Which files of a model repository are rendered, not typed, and what they are to say."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peopleseg.repository.manifest import tensors_of
from peopleseg.repository.model_folder import VARIANTS
from peopleseg.repository.triton_config import CONFIG_FILE, ConfigError, parse_config_file
from peopleseg.systems.configs import TENSORRT, VARIANT_NAMES, first_config, variant_text, variants
from peopleseg.systems.known import NETWORKS, STEPS, SYSTEMS
from peopleseg.systems.step import Shape
from peopleseg.systems.wiring import serving_versions

Files = dict[Path, str | None]  # the text of each; None where there is to be none


def stale_files(repository: Path, *, lengths: bool = True) -> Files:
    """The rendered configs that say something else than they are to say, or are not there.

    Which versions a config loads is left as it is: releases decide about that. A step that has
    versions but no config.pbtxt gets one to begin with. lengths: also those for TensorRT's provider
    in which only the lengths are others than those of the serving version. Raises ConfigError,
    ArtifactError, OSError.
    """
    versions = _pinned(repository)
    stale: Files = {}
    for name, model in STEPS.items():
        path = repository / name / CONFIG_FILE
        if not path.parent.is_dir():
            continue
        if path.is_file():
            config = parse_config_file(path)
        else:
            config = first_config(model, is_network=name in NETWORKS)
            stale[path] = str(config)
        if name in NETWORKS:
            wanted = variants(config, model, _shapes(path.parent, versions.get(name)))
            stale |= _stale_variants(path.parent / VARIANTS, wanted, lengths)
    return stale


def files_of_other_lengths(repository: Path) -> dict[Path, str]:
    """The configs for TensorRT's provider that are there for other lengths than what serves."""
    if not any(repository.glob(f"*/{VARIANTS}/{TENSORRT}.pbtxt")):
        return {}
    return {
        path: text
        for path, text in stale_files(repository).items()
        if text is not None and path.stem == TENSORRT and path.is_file()
    }


def _stale_variants(folder: Path, wanted: Mapping[str, Any], lengths: bool) -> Files:
    stale: Files = {}
    for name, config in wanted.items():
        path = folder / f"{name}.pbtxt"
        found = _read(path)
        if found is not None:
            config.version_policy.CopyFrom(found.version_policy)
        if found is None or not _same(found, config, lengths):
            stale[path] = variant_text(name, config)
    left_out = (folder / f"{name}.pbtxt" for name in VARIANT_NAMES if name not in wanted)
    return stale | {path: None for path in left_out if path.is_file()}


def _same(found: Any, wanted: Any, lengths: bool) -> bool:
    if lengths:
        return bool(found == wanted)
    pair = [type(one).FromString(one.SerializeToString()) for one in (found, wanted)]
    for one in pair:
        one.ClearField("optimization")
    return bool(pair[0] == pair[1])


def _read(path: Path) -> Any | None:
    """None for what is not there, or no config."""
    try:
        return parse_config_file(path)
    except (FileNotFoundError, ConfigError):
        return None


def _pinned(repository: Path) -> dict[str, int]:
    """The version of each step that serves; the newest where systems pin different ones."""
    newest: dict[str, int] = {}
    for system in SYSTEMS:
        for step, version in serving_versions(repository, system).items():
            newest[step] = max(version, newest.get(step, 0))
    return newest


def _shapes(model_folder: Path, version: int | None) -> dict[str, Shape] | None:
    if version is None:
        return None
    inputs = tensors_of(model_folder / str(version)).inputs
    return {name: tensor.shape for name, tensor in inputs.items()}
