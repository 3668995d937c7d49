"""Ask an ensemble about images, and keep its tensors as they come.

  peopleseg call people_foreground photo.jpg --out out
  peopleseg call person_segmentation holiday/ --out out

Works for the ensembles of every system. What else than the image an ensemble reads is made up, as
when a release is tried: boxes of fixed places. An image's tensors become one NAME.npz, whose arrays
are called as they are; texts are strings. Without --out only their shapes are printed.
"""

import io
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from peopleseg.cli.options import POSITIONAL, FolderToWrite, Help
from peopleseg.cli.server_options import READY_TIMEOUT_S, UrlOption
from peopleseg.cli.system_options import EnsembleName
from peopleseg.client.blocking import SegmentationClient
from peopleseg.client.errors import SegmentationError
from peopleseg.errors import WrongUsage
from peopleseg.labels.files import write_atomically
from peopleseg.pixels.image_files import find_images, result_paths, unique
from peopleseg.systems.known import ENSEMBLES
from peopleseg.systems.step import Arrays

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options(UrlOption):
    ensemble: Annotated[EnsembleName, POSITIONAL, Help("its name")]
    paths: Annotated[list[Path], POSITIONAL, Help("images and folders")]
    out: Annotated[FolderToWrite | None, Help("for the tensors")] = None


def run(args: Options) -> int:
    """Print a line an image. Returns 1 when any failed. Raises SegmentationError, OSError."""
    ensemble = ENSEMBLES[args.ensemble]
    out = args.out or Path()
    images = unique(image for path in args.paths for image in _images_of(path, out))
    files = result_paths(images, out)
    failed = 0
    with SegmentationClient(args.url) as client:
        client.wait_until_ready(READY_TIMEOUT_S, ensemble.name)
        for image, file in zip(images, files, strict=True):
            try:
                response = client.call(ensemble.model, ensemble.sample_inputs(image.read_bytes()))
            except (SegmentationError, OSError) as error:
                failed += 1
                _LOG.error("%s: %s", image, error)
                continue
            print(f"{image}: {_shown(response)}", flush=True)
            if args.out:
                write_atomically(file.with_suffix(".npz"), _npz(response))
    return 1 if failed else 0


def _images_of(path: Path, out: Path) -> list[Path]:
    try:
        return find_images(path, leave_out=out)
    except FileNotFoundError as error:
        raise WrongUsage(f"{path}: {error}") from error


def _shown(response: Arrays) -> str:
    return ", ".join(f"{name} {list(array.shape)}" for name, array in response.items())


def _npz(response: Arrays) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **{name: _kept(array) for name, array in response.items()})
    return file.getvalue()


def _kept(array: NDArray[Any]) -> NDArray[Any]:
    """Texts as strings, which np.load reads without pickle."""
    if array.dtype != np.object_:
        return array
    return np.array([text.decode() for text in array.reshape(-1)]).reshape(array.shape)
