"""Whether labels were drawn on an image as EXIF turns it, or as it is stored."""

from collections.abc import Callable
from pathlib import Path

import cv2

from peopleseg.errors import InvalidInput
from peopleseg.pixels.images import Header, decode_image, header_of


def drawn_upright(header: Header, size_wh: tuple[int, int], upright: bool = True) -> bool:
    """Whether labels of this size were drawn on the image as EXIF turns it, as it is served.

    upright: whether they were, where both ways have that size. Raises InvalidInput where neither
    has.
    """
    stored_wh = header.width, header.height
    if size_wh not in (header.shown_wh, stored_wh):
        turned = header.shown_wh != stored_wh
        before = f", before EXIF turns it {stored_wh[0]} x {stored_wh[1]}" if turned else ""
        raise InvalidInput(
            f"image is {header.shown_wh[0]} x {header.shown_wh[1]} pixels{before}, its "
            f"annotations are for {size_wh[0]} x {size_wh[1]}"
        )
    if header.shown_wh == stored_wh:
        return upright or header.orientation == 1
    return size_wh == header.shown_wh


def read_upright(path: Path, is_upright: Callable[[Header], bool]) -> bytes:
    """The encoded image, which shows upright what its labels were drawn on.

    So one that was labelled as it is stored, without its EXIF turn, is encoded anew. Raises
    OSError; InvalidInput, which names the file.
    """
    data = path.read_bytes()
    try:
        header = header_of(data)
        if is_upright(header):
            return data
        stored_rgb = decode_image(data, upright=False, header=header)
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from error
    return cv2.imencode(".png", cv2.cvtColor(stored_rgb, cv2.COLOR_RGB2BGR))[1].tobytes()
