"""Reads and checks image files while records are prepared.

A broken file is found here, once, by name, instead of in the middle of a
training run.
"""

import contextlib
import dataclasses
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from hrnet_jax.errors import DataError
from hrnet_jax.imaging.opencv import decoded
from hrnet_jax.imaging.pillow import DAMAGE, in_short, pixels_of, quietly

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")

# MPO is what phones call a JPEG with a second picture behind it.
_STORED_AS_IS = ("JPEG", "MPO")
# Pixels of an image that OpenCV decodes at most (CV_IO_MAX_IMAGE_PIXELS).
_OPENCV_LARGEST = 2**30
_PNG_END = b"IEND\xaeB`\x82"

# Records are written once and decoded in every epoch. A single cheap filter
# decodes in half to nine tenths of the time of the mixture that encoders choose,
# at files 1.05 to 1.1 times as large.
_IMAGE_ENCODING = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 3),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_DEFAULT),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP),
)
# Label maps are flat: without a filter they decode in half the time, at like size.
_LABEL_ENCODING = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 9),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE),
)


@dataclasses.dataclass(frozen=True)
class Example:
    """One example on its way into the records.

    Attributes:
        stored: what is written, feature name -> value, images encoded.
        size: (height, width) of the image.
        labels: uint8 [H, W] for the statistics, where the task has labels.
        classes: indices of the classes of the image, for the statistics.
        notes: what was changed on the way, in plain words, for the summary.
    """

    stored: dict[str, Any]
    size: tuple[int, int]
    labels: np.ndarray | None = None
    classes: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class EncodedImage:
    """Bytes of a JPEG or PNG file with the size it decodes to."""

    data: bytes
    height: int
    width: int


def read_bytes(path: Path) -> bytes:
    """Bytes of a file.

    Raises:
        DataError: if it is missing, unreadable or empty.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    if not data:
        raise DataError(f"{path} is empty")
    return data


def read_image(path: Path) -> EncodedImage:
    """Reads an image file and proves that it decodes completely.

    JPEG bytes are kept as they are; other formats become PNG that decodes fast
    (see `encode_png`). The size is that of the upright image: an EXIF orientation
    is applied, as image viewers and annotation tools do.

    Raises:
        DataError: if the file is missing, no image, truncated or damaged.
    """
    data = read_bytes(path)
    pixels, file_format = _decode(data, path)
    if file_format not in _STORED_AS_IS:
        data = encode_png(pixels)
    return EncodedImage(data, pixels.shape[0], pixels.shape[1])


def read_pixels(path: Path, *, of_any_size: bool = False) -> np.ndarray:
    """Decodes an image file, upright, to uint8 RGB [H, W, 3].

    The pixels are those of `read_image`, without a record to be made.

    Args:
        path: of the file.
        of_any_size: whether files that name a size beyond Pillow's limit are read.

    Raises:
        DataError: if it is missing, no image, truncated or damaged.
    """
    with _largest(None if of_any_size else Image.MAX_IMAGE_PIXELS):
        return _decode(read_bytes(path), path)[0]


@contextlib.contextmanager
def _largest(pixels: int | None) -> Iterator[None]:
    """Within this context Pillow opens images of up to twice so many pixels, or all."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = pixels
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def read_size(path: Path | IO[bytes]) -> tuple[int, int] | None:
    """(height, width) of the upright image in a file, from its beginning alone.

    None where that does not tell; who reads the file then learns what is wrong.
    """
    try:
        with quietly(), Image.open(path) as opened:
            width, height = opened.size
            turned = opened.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    except (UnidentifiedImageError, Image.DecompressionBombError, *DAMAGE):
        return None
    return (width, height) if turned else (height, width)


def encode_png(pixels: np.ndarray) -> bytes:
    """Encodes labels uint8 [H, W] or RGB uint8 [H, W, 3], to decode fast."""
    encoding: Sequence[int] = _LABEL_ENCODING
    if pixels.ndim == 3:
        pixels, encoding = pixels[..., ::-1], _IMAGE_ENCODING
    done, encoded = cv2.imencode(".png", np.ascontiguousarray(pixels), encoding)
    if not done:
        raise DataError(f"cannot encode an image of shape {pixels.shape} as PNG")
    return encoded.tobytes()


def _decode(data: bytes, path: Path) -> tuple[np.ndarray, str]:
    """Upright uint8 RGB [H, W, 3] of a complete image file, and its format.

    Pillow proves that nothing is missing. Of a PNG its pixels are taken as well, as
    both libraries agree on every kind; other formats are decoded by OpenCV, which
    decodes the records.
    """
    opened = open_completely(data, path)
    # Early versions of Pillow open 16-bit grey in 32 bits.
    if opened.format == "PNG" and opened.mode != "I":
        return pixels_of(opened), "PNG"
    if Image.MAX_IMAGE_PIXELS is None and math.prod(opened.size) > _OPENCV_LARGEST:
        return pixels_of(opened), opened.format or ""
    pixels = decoded(data, cv2.IMREAD_COLOR_RGB)
    if pixels is None:
        raise DataError(f"{path}: OpenCV cannot decode this {opened.format} image")
    return pixels, opened.format or ""


def is_stored_as_is(opened: Image.Image) -> bool:
    """Whether the bytes of an image file can be those of a record."""
    return opened.format in _STORED_AS_IS


def open_completely(data: bytes, path: Path | str) -> Image.Image:
    """Decodes with Pillow, which refuses truncated files that OpenCV fills up.

    Args:
        data: from `read_bytes`.
        path: of the file, for messages.

    Raises:
        DataError: if it is no image, truncated, damaged or too large.
    """
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise DataError("PIL.ImageFile.LOAD_TRUNCATED_IMAGES hides broken files")
    try:
        with quietly():
            opened = Image.open(io.BytesIO(data))
            opened.load()
    except UnidentifiedImageError:
        bits = _jpeg_bits(data)
        if bits not in (0, 8):
            raise DataError(
                f"{path} is a JPEG of {bits} bits, of which no library here reads more "
                "than 8; convert it"
            ) from None
        raise DataError(f"{path} is not an image file") from None
    except Image.DecompressionBombError as error:
        raise DataError(f"{path} is too large, cut it into tiles: {error}") from None
    except DAMAGE as error:
        raise DataError(f"{path} is truncated or damaged: {in_short(error)}") from None
    if opened.format == "PNG" and _PNG_END not in data:
        raise DataError(f"{path} is truncated: its PNG end marker is missing")
    return opened


def _jpeg_bits(data: bytes) -> int:
    """Bits of a value by the header of a JPEG's frame (ITU T.81, B.2.2); 0 for none."""
    at = 2 if data.startswith(b"\xff\xd8\xff") else len(data)
    while at + 5 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return data[at + 4]
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return 0
