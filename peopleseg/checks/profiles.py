"""Pinned versions against the lengths that a config has TensorRT build its engines for.

ONNX Runtime's TensorRT provider builds them at a server's start, for the profiles in the config; a
request with other lengths fails then.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from peopleseg.checks.reading import ModelFolder
from peopleseg.repository.manifest import tensors_of
from peopleseg.systems.wiring import pinned

_PROVIDER = "tensorrt"
_SHAPES = ("trt_profile_min_shapes", "trt_profile_max_shapes")


def profile_faults(config: Any, models: Mapping[str, ModelFolder]) -> list[str]:
    """Lengths that the pinned versions of an ensemble have, and no profile of theirs.

    The artifacts have to be without faults.
    """
    return [
        fault
        for step, version in pinned(config).items()
        for name, variant in models[step].configs.items()
        for fault in _faults(f"{step}/{name}", variant, models[step].path / str(version))
    ]


def _faults(where: str, config: Any, folder: Path) -> Iterator[str]:
    for provider in config.optimization.execution_accelerators.gpu_execution_accelerator:
        if provider.name != _PROVIDER or any(name not in provider.parameters for name in _SHAPES):
            continue
        smallest, largest = (_shapes(provider.parameters[name]) for name in _SHAPES)
        for tensor in tensors_of(folder).inputs.values():
            # An input that the network does not read (lengths of -1) has one cell.
            shape = [abs(length) for length in tensor.shape]
            low, high = (shapes.get(tensor.name, [])[1:] for shapes in (smallest, largest))
            if not _is_between(low, shape, high):
                version = f"{folder.parent.name}/{folder.name}"
                yield (
                    f"{where}: {version} reads {tensor.name} {shape}, but the profiles go from "
                    f"{low} to {high}; write those of {version} into {' and '.join(_SHAPES)}, and "
                    "trt_profile_opt_shapes"
                )


def _shapes(text: str) -> dict[str, list[int]]:
    """Of "name:1x3x64x48,other:1x2", with the batch axis."""
    pairs = (entry.partition(":") for entry in text.split(","))
    return {name: [int(length) for length in lengths.split("x")] for name, _, lengths in pairs}


def _is_between(low: Sequence[int], shape: Sequence[int], high: Sequence[int]) -> bool:
    return len(low) == len(shape) == len(high) and all(
        smallest <= length <= largest
        for smallest, length, largest in zip(low, shape, high, strict=True)
    )
