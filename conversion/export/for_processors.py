"""How an FP32 graph is rewritten for CPUs: each rewriting leaves its responses as they are."""

from typing import Any

from conversion.export.blocked_layout import keep_blocked
from conversion.export.early_convolution import convolve_early
from conversion.export.half_size import double_late


def rewrite_for_processors(model: Any) -> None:
    """Rewrite a graph in place, in the order in which one rewriting can read the other's graph."""
    convolve_early(model)
    double_late(model)
    keep_blocked(model)
