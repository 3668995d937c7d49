"""What commands log: lines for people, or with PEOPLESEG_LOG=json one JSON object a line."""

import logging
import os
import sys
from typing import TextIO

from pythonjsonlogger.json import JsonFormatter

VARIABLE = "PEOPLESEG_LOG"
OURS = ("peopleseg", "serving", "conversion", "training", "benchmarks")  # told from INFO on


class _ToStderr(logging.StreamHandler[TextIO]):
    """To what stderr is when something is logged, which tests replace."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def log_to_stderr() -> None:
    """From now on; the form is chosen anew at each call."""
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, _ToStderr)]:
        root.removeHandler(handler)
    handler = _ToStderr()
    handler.setFormatter(_formatter())
    root.addHandler(handler)
    for name in OURS:
        logging.getLogger(name).setLevel(logging.INFO)


def _formatter() -> logging.Formatter:
    if os.environ.get(VARIABLE) != "json":
        return logging.Formatter("peopleseg: %(message)s")
    fields = {"asctime": "time", "levelname": "level", "name": "logger"}
    return JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s", rename_fields=fields)
