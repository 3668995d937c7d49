"""Export a checkpoint as the next version of its model in the repository.

    python -m conversion.export yolov9 detector.ckpt --pictures DIR
    python -m conversion.export people_unet unet.ckpt --pictures DIR
    python -m conversion.export hierarchical_head head.ckpt --pictures DIR

Nothing is written unless the exported graph computes what torch computes on the pictures.
"""

import argparse
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import onnx

from clients.pictures import find_pictures
from conversion.exportable import Exportable, load_exportable
from conversion.onnx_export import OPSET, export_onnx, halve_weights
from conversion.parity import (
    TOLERANCE_LOGITS,
    ParityError,
    differences,
    picture_batches,
    roi_batches,
    torch_runner,
)
from peopleseg.manifest import Manifest, sha256
from peopleseg.pipeline import Arrays, OnnxModel
from training.checkpoint import CheckpointError

REPOSITORY = Path(__file__).parents[1] / "model_repository"
ARTIFACT = "model.onnx"
PICTURES = 12  # compared, at most
TOOLS = ("torch", "onnx", "onnxruntime", "numpy", "segmentation-models-pytorch", "timm")
# Boxes are in pixels up to 640 and features unbounded: their tolerance is relative to FP32's and
# FP16's resolution, not that of logits.
TOLERANCES = {"features": 2e-2, "predictions": 1e-2}


def export(
    name: str,
    checkpoint: Path,
    pictures: list[Path],
    *,
    repository: Path = REPOSITORY,
    accuracy_data: str = "",
    data_licence: str = "",
) -> Path:
    """Write the next version folder of the model `name`, whole or not at all, and return it.

    Raises ParityError when ONNX Runtime and torch differ by more than the tolerance.
    """
    exportable = load_exportable(name, checkpoint)
    batches = _batches(name, pictures, repository)
    folder = repository / name
    folder.mkdir(exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder, prefix=".export-"))  # same disk: renamed at the end
    try:
        full, halved = scratch / "full.onnx", scratch / ARTIFACT
        export_onnx(exportable.module, exportable.model, full)
        halve_weights(full, halved)
        parity = _parity(exportable, full, halved, batches)
        full.unlink()
        manifest = _manifest(exportable, halved, checkpoint, parity, accuracy_data, data_licence)
        manifest.write(scratch)
        scratch.chmod(0o755)
        version = folder / str(_next_version(folder))
        os.replace(scratch, version)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return version


def _batches(name: str, pictures: list[Path], repository: Path) -> list[Arrays]:
    if name == "hierarchical_head":
        return list(roi_batches(pictures, repository))
    return list(picture_batches(pictures))


def _parity(
    exportable: Exportable, full: Path, halved: Path, batches: list[Arrays]
) -> dict[str, Any]:
    """FP32 graph against torch, which must agree; FP16-stored weights for the record."""
    in_torch = torch_runner(exportable.module, exportable.model)
    in_full, in_halved = (OnnxModel(path, threads=2) for path in (full, halved))
    against_torch = differences(in_torch, lambda a: in_full(**a), iter(batches))
    for output, gap in against_torch.items():
        tolerance = TOLERANCES.get(output, TOLERANCE_LOGITS)
        if gap["max"] > tolerance:
            raise ParityError(
                f"{exportable.model.name}: {output} differs from torch by {gap['max']:.3g}, "
                f"more than {tolerance}; nothing was written"
            )
    return {
        "batches": len(batches),
        "fp32_against_torch": against_torch,
        "fp16_weights_against_torch": differences(
            in_torch, lambda a: in_halved(**a), iter(batches)
        ),
    }


def _manifest(
    exportable: Exportable,
    artifact: Path,
    checkpoint: Path,
    parity: dict[str, Any],
    accuracy_data: str,
    data_licence: str,
) -> Manifest:
    return Manifest(
        model=exportable.model.name,
        artifact=artifact.name,
        sha256=sha256(artifact),
        bytes=artifact.stat().st_size,
        variant=exportable.dims,
        precision="fp32",
        weights="fp16",
        opset=OPSET,
        ir_version=onnx.load(artifact).ir_version,
        checkpoint_sha256=sha256(checkpoint),
        commit=_commit(),
        tools={tool: importlib.metadata.version(tool) for tool in TOOLS},
        parity=parity,
        accuracy=exportable.accuracy,
        accuracy_data=accuracy_data,
        data_licence=data_licence,
    )


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    return subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.strip()


def _next_version(folder: Path) -> int:
    return max((int(path.name) for path in folder.iterdir() if path.name.isdigit()), default=0) + 1


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="yolov9, people_unet or hierarchical_head")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--pictures", type=Path, required=True, help="folder to compare on")
    parser.add_argument("--accuracy-data", default="", help="what the checkpoint was validated on")
    parser.add_argument("--data-licence", default="", help="of the training data")
    args = parser.parse_args()
    try:
        pictures = find_pictures(args.pictures, leave_out=REPOSITORY)[:PICTURES]
    except FileNotFoundError as error:
        parser.error(f"--pictures {args.pictures}: {error}")
    try:
        version = export(
            args.model,
            args.checkpoint,
            pictures,
            accuracy_data=args.accuracy_data,
            data_licence=args.data_licence,
        )
    except (CheckpointError, ParityError) as error:
        print(error, file=sys.stderr)
        return 1
    manifest = Manifest.read(version)
    print(f"{version}: {manifest.bytes / 2**20:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
