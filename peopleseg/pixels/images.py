"""Decode the images that people send and prepare them for the networks."""

import io
import threading
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from peopleseg.errors import InvalidInput
from peopleseg.pixels.geometry import INPUT_SIZE, Letterbox, Resize
from peopleseg.pixels.whole import is_whole, png_chunk, without_png_profile

MAX_IMAGE_PIXELS = 100_000_000  # larger images are refused before they are decoded
MAX_SIDE_PIXELS = 1 << 20  # as many the decoder takes
FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
_pillow_limit = threading.Lock()  # Pillow's limit is one for all threads
_ORIENTATION = 0x0112  # of EXIF
_TURNED_BY_DECODER = ("JPEG", "PNG")
# What its values ask for: a mirrored image or not, then so many quarters to the left.
_TURNS = {
    2: (True, 0),
    3: (False, 2),
    4: (True, 2),
    5: (True, 1),
    6: (False, 3),
    7: (True, 3),
    8: (False, 1),
}
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BASE64_STARTS = (b"/9j/", b"iVBORw0KGgo", b"UklGR", b"Qk")  # of JPEG, PNG, WebP, BMP
_SEND = "send one JPEG, PNG, WebP or BMP file"


class Header(NamedTuple):
    """What an encoded image says of itself."""

    name: str  # one of FORMATS
    width: int  # as stored, before it is turned
    height: int
    orientation: int = 1  # of EXIF; 1 is upright

    @property
    def shown_wh(self) -> tuple[int, int]:
        """(width, height) as EXIF turns it."""
        sides = self.width, self.height
        return sides[::-1] if _TURNS.get(self.orientation, (False, 0))[1] % 2 else sides


def decode_image(
    data: bytes, *, upright: bool = True, header: Header | None = None
) -> NDArray[np.uint8]:
    """An encoded image to (height, width, 3) uint8 RGB, turned as its EXIF orientation says.

    upright: False leaves it as it is stored. header: what `header_of` gave for it, where that is
    known. Greyscale, alpha (dropped), CMYK and 16 bits a channel become 8-bit RGB. Raises
    InvalidInput for anything else than one whole JPEG, PNG, WebP or BMP of at most MAX_IMAGE_PIXELS
    and MAX_SIDE_PIXELS; the limits are checked in the header, before the image is decoded.
    """
    header = header or header_of(data)
    _check_size(header.width, header.height)
    whole = is_whole(data, header.name)
    if header.name == "PNG":
        data = without_png_profile(data)
    flags = cv2.IMREAD_COLOR if upright else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if whole else None
    if decoded is None:
        raise InvalidInput(
            f"image is a damaged or truncated {header.name} file of {len(data)} bytes; send the "
            "whole file"
        )
    image = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
    left_to_do = upright and header.name not in _TURNED_BY_DECODER
    return _turned(image, header.orientation if left_to_do else 1)  # type: ignore[arg-type]


def prepare(
    image: bytes, resize: Resize = "letterbox", size: int = INPUT_SIZE
) -> tuple[NDArray[np.uint8], Letterbox]:
    """An encoded image to pixels (1, 3, size, size) and where it lies in them.

    resize: "stretch" fills the square, for networks trained that way, such as the published ones of
    PINTO0309/human-instance-segmentation. Raises InvalidInput, and ValueError for another `resize`.
    """
    image_rgb = decode_image(image)
    letterbox = Letterbox.placed(resize, image_rgb.shape[1], image_rgb.shape[0], size)
    return _planes(letterbox.apply(image_rgb, size))[np.newaxis], letterbox


def prepare_file(path: Path, size: int = INPUT_SIZE) -> tuple[NDArray[np.uint8], Letterbox]:
    """An image's file as `prepare` makes it. Raises InvalidInput, which names it, and OSError."""
    try:
        return prepare(path.read_bytes(), size=size)
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from error


def _planes(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) to (3, H, W), several times as fast as a transposed copy."""
    planes = np.empty((3, *image.shape[:2]), dtype=np.uint8)
    cv2.split(image, mv=list(planes))
    return planes


def _check_size(width: int, height: int) -> None:
    """Raises InvalidInput."""
    if width * height > MAX_IMAGE_PIXELS:
        raise InvalidInput(
            f"image has {width} x {height} = {width * height} pixels, more than the limit of "
            f"{MAX_IMAGE_PIXELS}; send a smaller image"
        )
    for side, pixels in (("wide", width), ("high", height)):
        if pixels > MAX_SIDE_PIXELS:
            raise InvalidInput(
                f"image is {pixels} pixels {side}, more than the limit of {MAX_SIDE_PIXELS}; send "
                "a smaller image"
            )


def header_of(data: bytes) -> Header:
    """Of an encoded image, without decoding it. Raises InvalidInput."""
    if not data:
        raise InvalidInput(f"image has 0 bytes; {_SEND}")
    if data.startswith(_PNG_SIGNATURE) and data[12:16] == b"IHDR":
        # By hand: Pillow reads all texts of a PNG, and refuses long ones.
        width, height = (int.from_bytes(data[i : i + 4], "big") for i in (16, 20))
        return Header("PNG", width, height, _orientation(png_chunk(data, b"eXIf")))
    with _pillow_limit:
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None  # our own limit comes with our own message
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                return opened_header(image)
        except UnidentifiedImageError:
            raise InvalidInput(
                f"image of {len(data)} bytes, starting with {data[:8]!r}, {_described(data)}"
            ) from None
        except Exception as error:  # broken further in: Pillow has no common error
            raise InvalidInput(f"image has a broken header ({error}); {_SEND}") from error
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def opened_header(image: Image.Image) -> Header:
    """Of an image that Pillow has opened; its `getexif` would decode a whole PNG."""
    # MPO: a JPEG with further images behind it, as phones write them.
    name = "JPEG" if image.format == "MPO" else str(image.format)
    return Header(name, *image.size, _orientation(image.info.get("exif")))


def _orientation(exif_bytes: bytes | None) -> int:
    exif = Image.Exif()
    try:
        exif.load(exif_bytes or b"")
        return int(exif.get(_ORIENTATION, 1))
    except Exception:  # damaged: Pillow has no common error, and decoders turn nothing then
        return 1


def _described(data: bytes) -> str:
    """What bytes that are no image are, and the next step."""
    if data.startswith(b"data:"):
        return "is a data URL; send the bytes that its base64 text after the comma stands for"
    if data.lstrip().startswith(_BASE64_STARTS):
        return "is the base64 text of an image; decode it and send the bytes"
    return f"is not an image; {_SEND}"


def _turned(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """As EXIF's orientation says, where the decoder has not done so."""
    mirrored, quarters = _TURNS.get(orientation, (False, 0))
    if mirrored:
        image = image[:, ::-1]
    return np.ascontiguousarray(np.rot90(image, quarters))
