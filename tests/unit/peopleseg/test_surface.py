"""What `import peopleseg` promises, and what it leaves alone."""

import subprocess
import sys
from pathlib import Path

import pytest

import peopleseg


@pytest.mark.parametrize("name", peopleseg.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(peopleseg, name).__name__ == name
    assert name in dir(peopleseg)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="NoSuchName"):
        _ = peopleseg.NoSuchName


def test_every_error_is_a_segmentation_error() -> None:
    errors = [getattr(peopleseg, name) for name in peopleseg.__all__]
    errors = [error for error in errors if isinstance(error, type) and issubclass(error, Exception)]
    assert len(errors) == 6
    assert all(issubclass(error, peopleseg.SegmentationError) for error in errors)
    assert issubclass(peopleseg.InvalidImage, peopleseg.RequestRejected)


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        (
            "peopleseg.cli.main",
            ("torch", "cv2", "grpc", "tritonclient", "numpy", "serving", "training"),
        ),
        (
            "peopleseg.client.blocking, peopleseg.client.asynchronous, "
            "peopleseg.systems.people.drawing, "
            "peopleseg.cli.segment_command, peopleseg.cli.evaluate_command, "
            "peopleseg.cli.people.segment, peopleseg.cli.people.evaluate, "
            "peopleseg.cli.semantic.segment, peopleseg.cli.semantic.evaluate",
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
