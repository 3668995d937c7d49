"""What commands log: lines for people, or with PEOPLESEG_LOG=json one JSON object a line."""

import logging
import os
import sys

from pythonjsonlogger.json import JsonFormatter
from tqdm import tqdm

VARIABLE = "PEOPLESEG_LOG"
OURS = ("peopleseg", "serving", "conversion", "training", "benchmarks")  # told from INFO on


class _ToStderr(logging.Handler):
    """To what stderr is when something is logged, which tests replace."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stderr)  # above a bar, where there is one


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
