"""What counts as a number in JSON that others have written."""

import math
from typing import Any


def is_number(value: Any) -> bool:
    """Whether a value is a finite number; True, False and text are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
