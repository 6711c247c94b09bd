"""Image files on their way into the records."""

import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFile

from hrnet_jax.data.files.image_files import encode_png, read_image, read_pixels

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 13, 3), np.uint8)
UP, NONE = 2, 0


def row_filters(png: bytes) -> set[int]:
    """Filter types of the rows of a PNG file (PNG specification, section 9)."""
    data, position = b"", 8
    while position < len(png):
        length = int.from_bytes(png[position : position + 4])
        kind = png[position + 4 : position + 8]
        if kind == b"IHDR":
            height = int.from_bytes(png[position + 12 : position + 16])
        if kind == b"IDAT":
            data += png[position + 8 : position + 8 + length]
        position += 12 + length
    rows = zlib.decompress(data)
    return set(rows[:: len(rows) // height])


def decode(data: bytes, mode: int) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), mode)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp"])
def test_lossless_images_keep_their_pixels_and_decode_fast(tmp_path, suffix):
    path = tmp_path / f"image{suffix}"
    lossless = [cv2.IMWRITE_WEBP_QUALITY, 101] if suffix == ".webp" else []
    cv2.imwrite(str(path), PIXELS[..., ::-1], lossless)
    image = read_image(path)
    np.testing.assert_array_equal(decode(image.data, cv2.IMREAD_COLOR_RGB), PIXELS)
    # The first row has no row above it, so encoders may leave it unfiltered.
    assert row_filters(image.data) <= {UP, NONE}
    assert UP in row_filters(image.data)


def test_a_grey_png_becomes_the_colour_image_it_is_read_as(tmp_path):
    path = tmp_path / "grey.png"
    cv2.imwrite(str(path), PIXELS[..., 0])
    got = decode(read_image(path).data, cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(got, np.repeat(PIXELS[..., :1], 3, axis=2))


def test_labels_are_stored_without_filters():
    label = PIXELS[..., 0] % 19
    data = encode_png(label)
    assert row_filters(data) == {NONE}
    np.testing.assert_array_equal(decode(data, cv2.IMREAD_GRAYSCALE), label)


MODES = {
    "rgb": PIXELS,
    "grey": PIXELS[..., 0],
    "alpha": np.random.default_rng(1).integers(0, 256, (9, 13, 4), np.uint8),
    "grey and alpha": PIXELS[..., :2],
    "16-bit grey": np.random.default_rng(2).integers(0, 65536, (9, 13), np.uint16),
}


@pytest.mark.parametrize("mode", [*MODES, "palette", "transparent palette", "one bit"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_png_has_the_pixels_of_opencv_in_every_mode(mode, orientation, tmp_path):
    options, image = {}, Image.fromarray(MODES.get(mode, PIXELS))
    if mode.endswith("palette"):
        image = image.quantize(16)
        options = {"transparency": bytes(range(16))} if " " in mode else {}
    elif mode == "one bit":
        image = image.convert("1")
    exif = Image.Exif()
    exif[0x112] = orientation
    path = tmp_path / "a.png"
    image.save(path, exif=exif, **options)
    expected = decode(path.read_bytes(), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(read_pixels(path), expected, strict=True)
    stored = decode(read_image(path).data, cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(stored, expected)


@pytest.mark.parametrize(("suffix", "by_opencv"), [(".png", 0), (".jpg", 1)])
def test_reading_pixels_decodes_a_png_once_and_encodes_nothing(
    suffix, by_opencv, tmp_path, monkeypatch
):
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), PIXELS)
    calls = []
    for owner, name in ((ImageFile.ImageFile, "load"), (cv2, "imdecode")):
        own = getattr(owner, name)

        def counted(*arguments, own=own, name=name):
            # A file that is decoded has no tiles left to decode.
            if name != "load" or arguments[0].tile:
                calls.append(name)
            return own(*arguments)

        monkeypatch.setattr(owner, name, counted)
    monkeypatch.setattr(cv2, "imencode", None)
    assert read_pixels(path).shape == PIXELS.shape
    assert calls == ["load"] + ["imdecode"] * by_opencv
