"""Write files that are whole or not there."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def beside(path: Path, own: str = "") -> Path:
    """A hidden name in the folder of `path`, for a file that takes its place once it is whole.

    It is short where the name is as long as a name may be. own: keeps writers of one file apart.
    """
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    return path.with_name(f".{digest}{own}.partial")


def write_atomically(path: Path, data: bytes) -> None:
    """Write beside and rename: nobody ever finds a part of the file, even after a crash.

    Raises OSError; the file is then as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = beside(path, str(os.getpid()))
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_png(path: Path, image_rgb: NDArray[np.uint8]) -> None:
    """Write an (H, W, 3) uint8 RGB image, whole or not at all. Raises OSError."""
    _, encoded = cv2.imencode(".png", cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR))
    write_atomically(path, encoded.tobytes())


def write_json(path: Path, value: Any) -> None:
    """Write JSON, whole or not at all. Raises OSError."""
    write_atomically(path, (json.dumps(value, indent=1) + "\n").encode())
