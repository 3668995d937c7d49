"""What `import clients` promises, and what it leaves alone."""

import subprocess
import sys
from pathlib import Path

import pytest

import clients


@pytest.mark.parametrize("name", clients.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(clients, name).__name__ == name
    assert name in dir(clients)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="NoSuchName"):
        _ = clients.NoSuchName


def test_every_error_is_a_segmentation_error() -> None:
    errors = [getattr(clients, name) for name in clients.__all__]
    errors = [error for error in errors if isinstance(error, type) and issubclass(error, Exception)]
    assert len(errors) == 6
    assert all(issubclass(error, clients.SegmentationError) for error in errors)
    assert issubclass(clients.InvalidImage, clients.RequestRejected)


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("clients.cli", ("torch", "cv2", "grpc", "tritonclient", "numpy", "serving", "training")),
        (
            "clients.client, clients.async_client, clients.drawing, "
            "clients.segment_command, clients.evaluate_command",
            ("torch", "onnxruntime", "serving", "training", "scipy", "matplotlib"),
        ),
    ],
)
def test_importing_does_not_import_what_is_not_needed(
    root: Path, module: str, absent: tuple[str, ...]
) -> None:
    code = f"import sys, {module}; print(sorted({set(absent)!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
