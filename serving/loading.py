"""What Triton is told about the models that it loads at its start."""

import os
from collections.abc import Iterable, Sequence

_THREADS = 4  # Triton's own default
_CACHE = "--cache-config"
_CACHE_BYTES = 64 << 20  # of the responses of models that ask for it; some 600 texts' words


def load_arguments(models: Iterable[str]) -> list[str]:
    """Each model with its steps, and as many of them at a time as there are CPUs, at most 4.

    Every Python step is a process that imports its libraries: more at a time than CPUs take
    each longer than Triton waits for them.
    """
    threads = min(_THREADS, len(os.sched_getaffinity(0)))
    return [*(f"--load-model={name}" for name in models), f"--model-load-thread-count={threads}"]


def cache_arguments(extra: Sequence[str]) -> list[str]:
    """A cache for the models whose config asks for one, unless `extra` says which."""
    if any(argument.startswith(_CACHE) for argument in extra):
        return []
    return [f"{_CACHE}=local,size={_CACHE_BYTES}"]
