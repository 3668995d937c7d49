"""Each config against the tensor contract, and what no config of this repository may say."""

from collections.abc import Sequence
from typing import Any

from tritonclient.grpc import model_config_pb2

from peopleseg.checks.reading import NOT_VERSIONS, ModelFolder
from peopleseg.repository.model_folder import is_version
from peopleseg.repository.tensors import Tensor
from peopleseg.systems.known import ENSEMBLES, MODELS


def config_faults(folder: ModelFolder) -> list[str]:
    """Names, dtypes, dims, batch limits and queue policies of all configs of a model."""
    faults = []
    for name, config in folder.configs.items():
        where = f"{folder.name}/{name}"
        faults += [f"{where}: {fault}" for fault in _config_faults(config, folder)]
    return faults


def version_faults(folder: ModelFolder) -> list[str]:
    """Version folders, and the policies that name them."""
    faults = _folder_faults(folder)
    if folder.name in ENSEMBLES:
        if not folder.versions:
            faults.append(
                f"{folder.name}: has no version folder, without which Triton loads no ensemble; "
                f"add {folder.name}/1/.gitkeep"
            )
        return faults
    for name, config in folder.configs.items():
        where = f"{folder.name}/{name}"
        if config.version_policy.WhichOneof("policy_choice") != "specific":
            faults.append(
                f"{where}: version_policy must be specific, so that a server loads the versions "
                "of the releases alone; write version_policy { specific { versions: [ 1 ] } }"
            )
        for version in config.version_policy.specific.versions:
            if version not in folder.versions:
                faults.append(f"{where}: version_policy names {missing_version(folder, version)}")
    return faults


def missing_version(folder: ModelFolder, version: int) -> str:
    """A version that is not on disk, and those that are."""
    there = ", ".join(str(number) for number in folder.versions) or "none"
    return (
        f"version {version} of {folder.name}, which is not there (there are: {there}); "
        "export it, or name one of those"
    )


def tensors(entries: Any) -> dict[str, Tensor]:
    """A config's inputs or outputs by name, in the words of the contract."""
    return {entry.name: _tensor(entry) for entry in entries}


def _config_faults(config: Any, folder: ModelFolder) -> list[str]:
    model = MODELS[folder.name]
    faults = []
    if config.name != folder.name:
        faults.append(f'name is "{config.name}"; it must be the folder\'s: "{folder.name}"')
    if config.max_batch_size != model.max_batch_size:
        faults.append(
            f"max_batch_size is {config.max_batch_size}; the contract says {model.max_batch_size}"
        )
    faults += _tensor_faults("input", tensors(config.input), model.inputs)
    faults += _tensor_faults("output", tensors(config.output), model.outputs)
    if folder.name in ENSEMBLES and config.platform != "ensemble":
        faults.append(f'platform is "{config.platform}"; it must be "ensemble"')
    queues = config.dynamic_batching
    for policy in (queues.default_queue_policy, *queues.priority_queue_policy.values()):
        if policy.max_queue_size:
            faults.append(
                f"max_queue_size is {policy.max_queue_size}; overflowing it in a step of an "
                "ensemble crashes or hangs the server: leave it out and set "
                "default_timeout_microseconds"
            )
    return faults


def _tensor_faults(role: str, found: dict[str, Tensor], contract: Sequence[Tensor]) -> list[str]:
    expected = {tensor.name: tensor for tensor in contract}
    faults = [
        f"{role} {name} is missing; the contract has it" for name in expected if name not in found
    ]
    for name, tensor in found.items():
        if name not in expected:
            faults.append(f"{role} {name} is not in the contract, which has {', '.join(expected)}")
            continue
        wanted = expected[name]
        if tensor.dtype != wanted.dtype:
            faults.append(f"{role} {name} is {tensor.dtype}; the contract says {wanted.dtype}")
        if tensor.shape != wanted.shape:
            faults.append(
                f"{role} {name} has dims {list(tensor.shape)}; "
                f"the contract says {list(wanted.shape)}"
            )
        if tensor.optional != wanted.optional:
            faults.append(
                f"{role} {name} has optional: {str(tensor.optional).lower()}; "
                f"the contract says {str(wanted.optional).lower()}"
            )
    return faults


def _folder_faults(folder: ModelFolder) -> list[str]:
    faults = []
    for path in sorted(path for path in folder.path.iterdir() if path.is_dir()):
        where = f"{folder.name}/{path.name}"
        if path.name.startswith(".") or path.name in NOT_VERSIONS:
            continue
        if not is_version(path.name):
            faults.append(
                f"{where}: Triton ignores this folder; a version is called by a whole number "
                "without a leading 0"
            )
        elif not any(path.iterdir()):
            faults.append(
                f"{where}: an empty version folder, which git drops; "
                + ("add .gitkeep" if folder.name in ENSEMBLES else "remove it or export into it")
            )
    return faults


def _tensor(entry: Any) -> Tensor:
    dtype = model_config_pb2.DataType.Name(entry.data_type).removeprefix("TYPE_")
    optional = getattr(entry, "optional", False)  # only inputs have it
    dims = tuple(entry.dims)
    return Tensor(entry.name, "BYTES" if dtype == "STRING" else dtype, dims, optional)
