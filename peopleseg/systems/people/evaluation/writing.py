"""Write the report of an evaluation into a folder.

report.json                 all numbers; images are named by their ids
report.md and PNG files     tables and plots of them
worst.png                   the images with the most mistakes, as annotated and as answered
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peopleseg.labels.files import write_atomically, write_json, write_png
from peopleseg.systems.people.evaluation.contact_sheet import contact_sheet
from peopleseg.systems.people.evaluation.metrics import Measured
from peopleseg.systems.people.evaluation.numbers import report_of
from peopleseg.systems.people.evaluation.page import sections

NUMBERS = "report.json"
PAGE = "report.md"
SHEET = "worst.png"


def write_report(measured: Sequence[Measured], metrics: dict[str, Any], folder: Path) -> None:
    """All files; an earlier report there is replaced. There must be people in the images.

    Raises OSError.
    """
    from peopleseg.systems.people.evaluation.plots import draw

    report = report_of(measured, metrics)
    write_json(folder / NUMBERS, report.numbers)
    draw(report.numbers, folder)
    parts = ["# Accuracy", *sections(report.numbers)]
    (folder / SHEET).unlink(missing_ok=True)
    if report.worst:
        write_png(folder / SHEET, contact_sheet(report.worst))
        parts.append(
            f"## The worst images\n\nThose with the most false positives and missed people; left "
            f"as annotated, right as answered.\n\n![The worst images]({SHEET})"
        )
    write_atomically(folder / PAGE, ("\n\n".join(parts) + "\n").encode())
