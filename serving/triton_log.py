"""The lines of Triton's log that say why it failed."""

import re
from pathlib import Path

MAX_LINES = 15
_ERROR = re.compile(
    r"^E\d{4} "  # Triton's own error lines
    r"|\| UNAVAILABLE: "  # its table of models that failed to load
    r"|^\w*(Error|Exception)\b"  # the last line of a Python traceback
    r"|^terminate called |^error: |Segmentation fault|Signal \(\d+\) received"
)
# Said on every machine without a GPU.
_HARMLESS = re.compile(r"CudaDriverHelper|unable to create stream for|Failed to initialize NVML")
# Of a machine whose memory another process has taken; C++ ends the server where nobody catches it.
_MAY_PASS = re.compile(
    r"boost::interprocess::lock_exception|std::bad_alloc"
    r"|Cannot allocate memory|Resource temporarily unavailable"
)


def cause_that_may_pass(log_file: Path | None) -> str | None:
    """What the log says last of an end that another start may be spared."""
    if log_file is None or not log_file.exists():
        return None
    found = _MAY_PASS.findall(log_file.read_text(errors="replace"))
    return found[-1] if found else None


def last_errors(log_file: Path, max_lines: int = MAX_LINES) -> list[str]:
    """The last error lines of the log, oldest first; its last lines if none looks like an error."""
    try:
        lines = log_file.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    lines = [line.rstrip() for line in lines if line.strip()]
    errors = [line for line in lines if _ERROR.search(line) and not _HARMLESS.search(line)]
    return (errors or lines)[-max_lines:]


def describe(log_file: Path | None) -> str:
    """The last errors and the log's path, as the end of an error message.

    None: a log that went where the message goes.
    """
    if log_file is None:
        return "its log is above"
    errors = last_errors(log_file)
    said = "\n".join(f"  {line}" for line in errors) if errors else "  (nothing was logged)"
    return f"the log's last errors:\n{said}\nthe whole log: {log_file}"
