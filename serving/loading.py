"""What Triton is told about the models that it loads at its start."""

import os
from collections.abc import Iterable

_THREADS = 4  # Triton's own default


def load_arguments(models: Iterable[str]) -> list[str]:
    """Each model with its steps, and as many of them at a time as there are CPUs, at most 4.

    Every Python step is a process that imports its libraries: more at a time than CPUs take
    each longer than Triton waits for them.
    """
    threads = min(_THREADS, len(os.sched_getaffinity(0)))
    return [*(f"--load-model={name}" for name in models), f"--model-load-thread-count={threads}"]
