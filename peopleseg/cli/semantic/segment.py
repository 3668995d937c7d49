"""`peopleseg segment` of the classes of pixels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from peopleseg.cli.jobs import RESULTS, Job
from peopleseg.client.blocking import SegmentationClient
from peopleseg.labels.files import write_atomically, write_json, write_png
from peopleseg.pixels.images import decode_image
from peopleseg.systems.semantic.contract import SEMANTIC_SEGMENTATION
from peopleseg.systems.semantic.drawing import draw_classes, largest_first
from peopleseg.systems.semantic.palette import palette_png

OWN_OPTIONS = ()
ENSEMBLE = SEMANTIC_SEGMENTATION.name
LABELS = "classes"  # folder of the label maps; called as the overlays, they need one of their own

Finding = Mapping[str, Any]


def segment(client: SegmentationClient, job: Job) -> tuple[Finding, str]:
    data = job.image.read_bytes()
    found = client.classify(data)
    # Decoded as the server does it, so that classes and image are turned alike.
    write_png(job.overlay, draw_classes(decode_image(data), found.classes, found.names))
    # Made here: fewer bytes travel than with both the classes and their PNG.
    labels = job.overlay.parent / LABELS / job.overlay.name
    write_atomically(labels, palette_png(found.classes))
    height, width = found.classes.shape
    finding = {
        "file_name": str(job.image),
        "height": height,
        "width": width,
        "label_map": f"{LABELS}/{labels.name}",
        "areas": {name: round(share, 6) for name, share in found.areas.items()},
    }
    there = largest_first(found.areas)
    return finding, ", ".join(f"{name} {found.areas[name]:.0%}" for name in there)


def write(findings: Sequence[Finding], out: Path) -> None:
    """RESULTS: an entry an image, with the share of each class."""
    write_json(out / RESULTS, list(findings))
