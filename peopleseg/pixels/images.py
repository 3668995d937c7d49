"""Decode the pictures that people send and prepare them for the networks."""

import io
import threading
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from peopleseg.errors import InvalidInput
from peopleseg.pixels.geometry import Letterbox, Resize

MAX_IMAGE_PIXELS = 100_000_000  # larger pictures are refused before they are decoded
FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
_PLACEMENTS = {"letterbox": Letterbox.fit, "stretch": Letterbox.stretch}
_pillow_limit = threading.Lock()  # Pillow's limit is one for all threads
_END_OF_IMAGE, _START_OF_SCAN = b"\xff\xd9", b"\xff\xda"  # markers of a JPEG
_SEND = "send one JPEG, PNG, WebP or BMP file"


def decode_image(data: bytes) -> NDArray[np.uint8]:
    """An encoded picture to (height, width, 3) uint8 RGB, turned as its EXIF orientation says.

    Greyscale, alpha (dropped), CMYK and 16 bits a channel become 8-bit RGB. Raises InvalidInput for
    anything else than one whole JPEG, PNG, WebP or BMP of at most MAX_IMAGE_PIXELS; the limit is
    checked in the header, before the picture is decoded.
    """
    if not data:
        raise InvalidInput(f"image has 0 bytes; {_SEND}")
    name, (width, height) = _header(data)
    if width * height > MAX_IMAGE_PIXELS:
        raise InvalidInput(
            f"image has {width} x {height} = {width * height} pixels, more than the limit of "
            f"{MAX_IMAGE_PIXELS}; send a smaller picture"
        )
    whole = _is_whole(data, name)
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if whole else None
    if decoded is None:
        raise InvalidInput(
            f"image is a damaged or truncated {name} file of {len(data)} bytes; send the whole file"
        )
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def prepare(image: bytes, resize: Resize = "letterbox") -> tuple[NDArray[np.uint8], Letterbox]:
    """An encoded picture to pixels (1, 3, 640, 640) and where it lies in them.

    resize: "stretch" fills the square, for networks trained that way, such as the published ones of
    PINTO0309/human-instance-segmentation. Raises InvalidInput, and ValueError for another `resize`.
    """
    if resize not in _PLACEMENTS:
        raise ValueError(f"resize is {resize!r}; expected one of {', '.join(_PLACEMENTS)}")
    image_rgb = decode_image(image)
    letterbox = _PLACEMENTS[resize](width=image_rgb.shape[1], height=image_rgb.shape[0])
    return _planes(letterbox.apply(image_rgb))[np.newaxis], letterbox


def prepare_file(path: Path) -> tuple[NDArray[np.uint8], Letterbox]:
    """A picture's file as `prepare` makes it. Raises InvalidInput, which names it, and OSError."""
    try:
        return prepare(path.read_bytes())
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from error


def is_whole_jpeg(data: bytes) -> bool:
    """Whether a JPEG goes on to its end; OpenCV fills what is missing with grey."""
    # An embedded thumbnail's end of image comes before the last start of scan.
    return data.rfind(_END_OF_IMAGE) > data.rfind(_START_OF_SCAN)


def _planes(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) to (3, H, W), several times as fast as a transposed copy."""
    planes = np.empty((3, *image.shape[:2]), dtype=np.uint8)
    cv2.split(image, mv=list(planes))
    return planes


def _header(data: bytes) -> tuple[str, tuple[int, int]]:
    """Format and (width, height), without decoding."""
    with _pillow_limit:
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None  # our own limit comes with our own message
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                # MPO: a JPEG with further pictures behind it, as phones write them.
                return "JPEG" if image.format == "MPO" else str(image.format), image.size
        except UnidentifiedImageError:
            raise InvalidInput(
                f"image of {len(data)} bytes, starting with {data[:8]!r}, is not a picture; {_SEND}"
            ) from None
        except Exception as error:  # broken further in: Pillow has no common error
            raise InvalidInput(f"image has a broken header ({error}); {_SEND}") from error
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _is_whole(data: bytes, name: str) -> bool:
    """Whether the file goes on to its end mark."""
    if name == "JPEG":
        return is_whole_jpeg(data)
    if name == "PNG":
        return b"IEND" in data
    if name == "WEBP":  # RIFF: the length of what follows the first 8 bytes
        return len(data) >= int.from_bytes(data[4:8], "little") + 8
    return len(data) >= int.from_bytes(data[2:6], "little")  # BMP: the file's length
