import base64
import io
import struct
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image

from peopleseg.errors import InvalidInput
from peopleseg.pixels.geometry import PAD_VALUE, Letterbox
from peopleseg.pixels.images import MAX_IMAGE_PIXELS, decode_image, prepare, prepare_file

LOSSLESS: dict[str, dict[str, Any]] = {"PNG": {}, "BMP": {}, "WEBP": {"lossless": True}}
FORMATS: dict[str, dict[str, Any]] = {**LOSSLESS, "JPEG": {"quality": 95, "subsampling": 0}}


def encode(image: Image.Image, name: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def quarters(width: int = 40, height: int = 24) -> np.ndarray:
    """Four flat quarters: red, green, blue, white. (height, width, 3) uint8 RGB."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[: height // 2, : width // 2] = (255, 0, 0)
    image[: height // 2, width // 2 :] = (0, 255, 0)
    image[height // 2 :, : width // 2] = (0, 0, 255)
    image[height // 2 :, width // 2 :] = (255, 255, 255)
    return image


def assert_close(decoded: np.ndarray, expected: np.ndarray, tolerance: int) -> None:
    assert decoded.dtype == np.uint8
    assert decoded.shape == expected.shape
    assert np.abs(decoded.astype(int) - expected).max() <= tolerance


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_images_decode_to_their_pixels(name, random):
    image = random.integers(0, 256, (17, 23, 3), dtype=np.uint8)
    assert_close(decode_image(encode(Image.fromarray(image), name, **LOSSLESS[name])), image, 0)


def test_jpeg_decodes_to_rgb_not_bgr():
    image = quarters()
    assert_close(decode_image(encode(Image.fromarray(image), "JPEG", **FORMATS["JPEG"])), image, 12)


@pytest.mark.parametrize("name", FORMATS)
def test_one_pixel(name):
    image = np.full((1, 1, 3), 77, dtype=np.uint8)
    assert_close(decode_image(encode(Image.fromarray(image), name, **FORMATS[name])), image, 1)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "BMP"])
def test_greyscale_becomes_three_equal_channels(name, random):
    grey = np.repeat(np.repeat(random.integers(0, 256, (4, 4), dtype=np.uint8), 8, 0), 8, 1)
    expected = np.stack([grey] * 3, axis=-1)
    options = {"quality": 95} if name == "JPEG" else {}
    assert_close(decode_image(encode(Image.fromarray(grey), name, **options)), expected, 12)


@pytest.mark.parametrize("name", ["PNG", "WEBP"])
def test_alpha_is_dropped(name):
    image = quarters()
    alpha = np.full(image.shape[:2], 255, dtype=np.uint8)
    alpha[:4] = 128
    rgba = Image.fromarray(np.dstack((image, alpha)))
    assert_close(decode_image(encode(rgba, name, **LOSSLESS[name])), image, 2)


def test_palette_png_decodes_to_its_colours():
    image = quarters()
    assert_close(decode_image(encode(Image.fromarray(image).quantize(8), "PNG")), image, 0)


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_become_the_upper_eight(channels, random):
    high = random.integers(0, 256, (9, 11, channels), dtype=np.uint16)
    done, data = cv2.imencode(".png", high * 257)  # v * 257 = v in both bytes
    assert done
    expected = np.repeat(high, 3, axis=2) if channels == 1 else high[..., ::-1]
    assert_close(decode_image(data.tobytes()), expected.astype(np.uint8), 1)


def test_cmyk_jpeg_shows_its_colours():
    image = quarters()
    cmyk = Image.fromarray(image).convert("CMYK")
    data = encode(cmyk, "JPEG", quality=95)
    assert Image.open(io.BytesIO(data)).mode == "CMYK"
    assert_close(decode_image(data), image, 24)


TURNS = {  # orientation: from the image as it should look to the stored one
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", TURNS)
def test_exif_orientation_is_respected(name, orientation):
    image = quarters()
    stored = Image.fromarray(np.ascontiguousarray(TURNS[orientation](image)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(stored, name, exif=exif, **FORMATS[name])
    assert_close(decode_image(data), image, 12)


def test_empty_bytes_are_refused():
    with pytest.raises(InvalidInput, match=r"image has 0 bytes; send one JPEG, PNG, WebP or BMP"):
        decode_image(b"")


@pytest.mark.parametrize("length", [1, 2, 10, 1000, 100_000])
def test_random_bytes_are_refused_with_what_to_send(length, random):
    data = b"\x00" + random.bytes(length - 1)  # no format begins with zero
    with pytest.raises(InvalidInput, match=rf"{length} bytes.*send one JPEG, PNG, WebP or BMP"):
        decode_image(data)


def test_text_is_refused_and_its_beginning_named():
    with pytest.raises(InvalidInput, match=r"starting with b'Dear ser'.*send one JPEG"):
        decode_image(b"Dear server, please find my image attached." * 20)


@pytest.mark.parametrize("name", ["GIF", "TIFF", "PPM"])
def test_other_formats_are_refused(name):
    with pytest.raises(InvalidInput, match="is not an image; send one JPEG, PNG, WebP or BMP"):
        decode_image(encode(Image.fromarray(quarters()), name))


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
@pytest.mark.parametrize("name", FORMATS)
def test_truncated_images_are_refused(name, share, random):
    image = random.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    data = encode(Image.fromarray(image), name, **FORMATS[name])
    with pytest.raises(InvalidInput, match="; send "):
        decode_image(data[: int(len(data) * share)])


def test_a_progressive_jpeg_without_its_last_scans_is_refused(random):
    image = Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = encode(image, "JPEG", progressive=True)
    assert decode_image(data).shape == (64, 64, 3)
    for share in (0.3, 0.6, 0.9):
        with pytest.raises(InvalidInput, match="truncated JPEG"):
            decode_image(data[: int(len(data) * share)])


def test_a_truncated_jpeg_with_a_whole_thumbnail_is_refused(random):
    # The thumbnail within EXIF has an end mark of its own.
    image = Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = encode(image, "JPEG")
    thumbnail = encode(image.resize((16, 16)), "JPEG")
    segment = b"Exif\0\0" + thumbnail
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]
    assert decode_image(data).shape == (64, 64, 3)
    with pytest.raises(InvalidInput, match="truncated JPEG"):
        decode_image(data[: len(data) * 3 // 4])


def test_a_jpeg_of_several_images_gives_the_first():
    # Phones write these (MPO): the photo, then a smaller or a depth image.
    first, second = Image.fromarray(quarters()), Image.fromarray(255 - quarters())
    data = encode(first, "MPO", save_all=True, append_images=[second], **FORMATS["JPEG"])
    assert Image.open(io.BytesIO(data)).format == "MPO"
    assert_close(decode_image(data), quarters(), 12)
    with pytest.raises(InvalidInput, match="(?i)truncated"):
        decode_image(data[: len(data) // 4])


@pytest.mark.parametrize(("size", "said"), [((2_000_000, 1), "wide"), ((1, 1_100_000), "high")])
def test_an_image_longer_than_the_decoder_takes_is_refused(size, said):
    with pytest.raises(InvalidInput, match=f"is {max(size)} pixels {said}, more than the limit of"):
        decode_image(encode(Image.new("L", size), "PNG"))


# A video has marks of JPEGs in it, as of its own previews.
BEHIND = {"zeros": b"\0" * 100, "video": b"\0\0\0\x18ftypmp42" + b"\xff\xd8\xff\xda\0\0" * 9}


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("name", FORMATS)
def test_bytes_behind_an_image_do_no_harm(name, behind):
    data = encode(Image.fromarray(quarters()), name, **FORMATS[name])
    assert_close(decode_image(data + BEHIND[behind]), quarters(), 12)


@pytest.mark.parametrize("off", [-100, -1, 1, 100])
def test_a_bmp_may_be_wrong_about_the_length_of_its_file(off):
    data = bytearray(encode(Image.fromarray(quarters()), "BMP"))
    data[2:6] = struct.pack("<I", len(data) + off)
    assert_close(decode_image(bytes(data)), quarters(), 0)
    with pytest.raises(InvalidInput, match="truncated BMP"):
        decode_image(bytes(data[:-1]))


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"tEXt"])
def test_a_png_may_have_long_texts(kind):
    words = b"word " * 500_000
    texts = {
        b"tEXt": b"key\0" + words,
        b"zTXt": b"key\0\0" + zlib.compress(words),
        b"iTXt": b"key\0\1\0\0\0" + zlib.compress(words),
    }
    data = encode(Image.fromarray(quarters()), "PNG")
    body = kind + texts[kind]
    length = struct.pack(">I", len(texts[kind]))
    chunk = length + body + struct.pack(">I", zlib.crc32(body))
    first = 8 + 25  # the signature and IHDR
    assert_close(decode_image(data[:first] + chunk + data[first:]), quarters(), 0)


def test_a_colour_profile_is_no_news(capfd):
    """Many PNGs have one that libpng knows to be wrong, and prints a line about."""
    wrong = (Path(skimage.data.__file__).parent / "astronaut.png").read_bytes()
    assert b"iCCP" in wrong
    assert decode_image(wrong).shape == (512, 512, 3)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", FORMATS)
def test_text_that_stands_for_an_image_is_told_apart(name):
    text = base64.b64encode(encode(Image.fromarray(quarters()), name, **FORMATS[name]))
    with pytest.raises(InvalidInput, match="is the base64 text of an image; decode it and send"):
        decode_image(text)
    with pytest.raises(InvalidInput, match="is a data URL; send the bytes"):
        decode_image(b"data:image/jpeg;base64," + text)


def test_a_jpeg_whose_line_ends_were_changed_is_refused(random):
    image = Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = encode(image, "JPEG").replace(b"\n", b"\r\n")
    with pytest.raises(InvalidInput):
        decode_image(data)


def png_header(width: int, height: int) -> bytes:
    """The beginning of a PNG that claims a size and has no pixels."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    empty = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    return b"\x89PNG\r\n\x1a\n" + chunk + empty


def test_too_many_pixels_are_refused_from_the_header():
    with pytest.raises(InvalidInput) as refused:
        decode_image(png_header(20_000, 20_000))
    message = str(refused.value)
    assert "20000 x 20000 = 400000000 pixels" in message
    assert f"limit of {MAX_IMAGE_PIXELS}" in message and "send a smaller image" in message


def test_one_pixel_row_over_the_limit_is_refused_and_the_limit_itself_is_not():
    with pytest.raises(InvalidInput, match="limit"):
        decode_image(png_header(10_000, 10_001))
    with pytest.raises(InvalidInput, match="damaged or truncated PNG"):
        decode_image(png_header(10_000, 10_000))


def test_pillows_own_limit_is_left_as_it_was_by_many_threads():
    before, interval = Image.MAX_IMAGE_PIXELS, sys.getswitchinterval()
    data = encode(Image.fromarray(quarters()), "PNG")
    sys.setswitchinterval(1e-6)  # threads meet within a header
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(decode_image, [data] * 1000))
    finally:
        sys.setswitchinterval(interval)
    assert before is not None and before == Image.MAX_IMAGE_PIXELS


def test_an_image_is_letterboxed_or_stretched_as_asked():
    data = encode(Image.fromarray(np.full((24, 40, 3), 250, dtype=np.uint8)), "PNG")
    boxed, letterbox = prepare(data)
    assert letterbox == Letterbox.fit(40, 24) and (boxed[0, :, 0] == PAD_VALUE).all()
    stretched, placement = prepare(data, "stretch")
    assert placement == Letterbox.stretch(40, 24) and (stretched == 250).all()
    assert boxed.shape == stretched.shape == (1, 3, 640, 640)


def test_another_way_of_resizing_is_named():
    data = encode(Image.fromarray(quarters()), "PNG")
    with pytest.raises(ValueError, match="'crop'; expected one of letterbox, stretch"):
        prepare(data, "crop")  # type: ignore[arg-type]


def test_a_file_is_prepared_as_its_bytes_and_named_when_it_is_broken(tmp_path: Path) -> None:
    path, data = tmp_path / "image.jpg", encode(Image.fromarray(quarters()), "JPEG")
    path.write_bytes(data)
    (found, found_at), (expected, expected_at) = prepare_file(path), prepare(data)
    np.testing.assert_array_equal(found, expected)
    assert found_at == expected_at
    path.write_bytes(data[:-20])
    with pytest.raises(InvalidInput, match=r"image\.jpg: image is a damaged or truncated JPEG"):
        prepare_file(path)
