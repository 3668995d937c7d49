"""Where an encoded image ends, by the marks of its own format: bytes behind it are not its."""

import re
from collections.abc import Callable, Iterator

_PNG_SIGNATURE_BYTES, _PNG_FRAME_BYTES = 8, 12  # of a chunk: length, type, CRC
_BMP_PLAIN = (0, 3, 6)  # compressions without compression: none, and colours by bit masks
# In a scan of a JPEG a 0xFF belongs to the data before 0, and to a restart mark before D0 to D7.
_NEXT_MARK = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_MARK = re.compile(rb"\xff+[\x01-\xfe]")  # with fill bytes before it
_END_OF_IMAGE, _START_OF_SCAN = 0xD9, 0xDA
_WITHOUT_LENGTH = {0x01, 0xD8, *range(0xD0, 0xD8)}


def is_whole(data: bytes, name: str) -> bool:
    """Whether a file of the format that Pillow calls `name` goes on to the end of its image."""
    return _ENDS[name](data) is not None


def jpeg_end(data: bytes) -> int | None:
    """Where the first image of a JPEG ends; None where its marks do not lead to an end.

    A phone's motion photo has a video behind, and a thumbnail within is passed over.
    """
    place = 2
    while mark := _MARK.match(data, place):
        kind, place = data[mark.end() - 1], mark.end()
        if kind == _END_OF_IMAGE:
            return place
        if kind in _WITHOUT_LENGTH:
            continue
        place += int.from_bytes(data[place : place + 2], "big")
        if kind == _START_OF_SCAN:
            following = _NEXT_MARK.search(data, place)
            if following is None:
                return None
            place = following.start()
    return None


def png_end(data: bytes) -> int | None:
    """Where the chunk IEND ends."""
    return next((end for kind, _, end in _png_chunks(data) if kind == b"IEND"), None)


def png_chunk(data: bytes, wanted: bytes) -> bytes | None:
    """What is in the first chunk of a kind; None where there is none before the pixels."""
    place = _place_before_pixels(data, wanted)
    return place and data[place[0] : place[1] - 4]


def without_png_profile(data: bytes) -> bytes:
    """A PNG without its colour profile, which decoders here do not use and print complaints of."""
    place = _place_before_pixels(data, b"iCCP")
    return data[: place[0] - 8] + data[place[1] :] if place else data


def _place_before_pixels(data: bytes, wanted: bytes) -> tuple[int, int] | None:
    """Where the content of a chunk starts, and where the next chunk does."""
    for kind, start, end in _png_chunks(data):
        if kind == wanted:
            return start, end
        if kind == b"IDAT":
            break
    return None


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind of each chunk, where its content starts, and where the next one does."""
    place = _PNG_SIGNATURE_BYTES
    while place + _PNG_FRAME_BYTES <= len(data):
        kind, start = data[place + 4 : place + 8], place + 8
        place += _PNG_FRAME_BYTES + int.from_bytes(data[place : place + 4], "big")
        yield kind, start, place


def webp_end(data: bytes) -> int | None:
    """RIFF: the length of what follows the first 8 bytes."""
    end = int.from_bytes(data[4:8], "little") + 8
    return end if end <= len(data) else None


def bmp_end(data: bytes) -> int | None:
    """Where the pixels end. The length of the file that its header says is often a little off."""
    start = int.from_bytes(data[10:14], "little")
    header_bytes = int.from_bytes(data[14:18], "little")
    if header_bytes < 40:  # OS/2's of 12: 16 bits a side, never compressed
        width, height, bits = (int.from_bytes(data[i : i + 2], "little") for i in (18, 20, 24))
        compression = size = 0
    else:
        width, height = (int.from_bytes(data[i : i + 4], "little", signed=True) for i in (18, 22))
        bits, compression = (int.from_bytes(data[i : i + 2], "little") for i in (28, 30))
        size = int.from_bytes(data[34:38], "little")
    if compression in _BMP_PLAIN:
        size = abs(height) * ((width * bits + 31) // 32 * 4)
    end = start + max(size, 1)
    return end if end <= len(data) else None


_ENDS: dict[str, Callable[[bytes], int | None]] = {
    "JPEG": jpeg_end,
    "PNG": png_end,
    "WEBP": webp_end,
    "BMP": bmp_end,
}
