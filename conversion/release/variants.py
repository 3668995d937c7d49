"""Which of a step's configs a running server uses: config.pbtxt or one of configs/*.pbtxt.

A server reads one of them (`--model-config-name`). The others must not change while it runs: Triton
takes a change of any other file of a model for a change of the model, and loads all of its versions
again, within the very call that swaps the ensembles. They are brought up to date by `disk.recover`
before the next server starts, and by releases without a server.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peopleseg.repository.model_folder import VARIANTS, config_files
from peopleseg.repository.triton_config import CONFIG_FILE, parse_config_file


def used_by(server_config: Any | None, step_folder: Path) -> list[Path]:
    """The config file of a step that a server uses, by the ModelConfig that it answers with.

    All of them where that does not single out one, and where the server does not serve the step: to
    load a model twice does less harm than to start with old versions.
    """
    files = config_files(step_folder)
    if server_config is None or len(files) == 1:
        return files
    used = [path for path in files if _traits(parse_config_file(path)) == _traits(server_config)]
    return used if len(used) == 1 else files


def config_of(server_config: Any, step_folder: Path) -> Any:
    """The ModelConfig in the file that a server uses, or else the server's own, which is longer."""
    used = used_by(server_config, step_folder)
    return parse_config_file(used[0]) if len(used) == 1 else server_config


def config_as(others: Mapping[Path, Any], step_folder: Path) -> Any:
    """The ModelConfig in the file that a server would use of a step that it does not serve.

    others: folders of steps that it serves, with the ModelConfigs that it answers with. A server is
    told one name of variants for all steps; one that does not have it has its config.pbtxt used.
    """
    for folder, server_config in others.items():
        used = used_by(server_config, folder)
        if len(used) == 1 and used[0].parent.name == VARIANTS:
            same = step_folder / VARIANTS / used[0].name
            if same.is_file():
                return parse_config_file(same)
    return parse_config_file(step_folder / CONFIG_FILE)


def _traits(config: Any) -> tuple[Any, ...]:
    """What variants differ in, without what the server adds on its own (names, defaults)."""
    accelerators = config.optimization.execution_accelerators
    return (
        config.backend,
        [group.kind for group in config.instance_group],
        sorted((key, value.string_value) for key, value in config.parameters.items()),
        str(accelerators),
    )
