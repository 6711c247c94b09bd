"""Reads and checks image and label files while records are prepared.

A broken file is found here, once, by name, instead of in the middle of a
training run.
"""

import dataclasses
import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from hrnet_jax.data.info import IGNORE_LABEL
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.pillow import pixels_of

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")

# Marks values of a label table that no file may contain.
NOT_A_LABEL = -1

# MPO is what phones call a JPEG with a second picture behind it.
_STORED_AS_IS = ("JPEG", "MPO")
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
    """

    stored: dict[str, Any]
    size: tuple[int, int]
    labels: np.ndarray | None = None


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


def read_pixels(path: Path) -> np.ndarray:
    """Decodes an image file, upright, to uint8 RGB [H, W, 3].

    The pixels are those of `read_image`, without a record to be made.

    Raises:
        DataError: if it is missing, no image, truncated or damaged.
    """
    return _decode(read_bytes(path), path)[0]


@dataclasses.dataclass(frozen=True)
class LabelFile:
    """A label image as found on disk.

    Attributes:
        values: uint8 [H, W], grey values or palette indices.
        palette: RGB colours of a palette image, else None.
    """

    values: np.ndarray
    palette: tuple[tuple[int, int, int], ...] | None


def read_label(path: Path) -> LabelFile:
    """Reads an 8-bit label PNG: grey values, palette indices or one bit.

    Raises:
        DataError: if the file is missing, damaged, or another kind of image.
    """
    data = read_bytes(path)
    opened = _open_completely(data, path)
    if opened.format != "PNG" or opened.mode not in ("L", "P", "1"):
        raise DataError(
            f"{path} is a {opened.format} image of mode {opened.mode}; expected an "
            "8-bit label PNG with one channel, or a palette PNG"
        )
    # Byte 24 of a PNG is its bit depth. Decoders stretch 2- and 4-bit grey
    # values to 0..255, so labels would arrive multiplied.
    bit_depth = data[24]
    if opened.mode == "L" and bit_depth < 8:
        raise DataError(f"{path} has {bit_depth}-bit grey values, expected 8 bits")
    palette = None
    if opened.mode == "P":
        flat = opened.getpalette("RGB")
        palette = tuple(zip(flat[0::3], flat[1::3], flat[2::3], strict=True))
    values = np.asarray(opened).astype(np.uint8)
    return LabelFile(values, palette)


def labelled_example(
    image_path: Path, label_path: Path, image_id: str, table: np.ndarray, meaning: str
) -> Example:
    """One example of a segmentation data set made of image and label files.

    Args:
        image_path: a JPEG, PNG or other image file.
        label_path: an 8-bit label PNG.
        image_id: name of the image, unique in its split.
        table: int16 [256], file value -> label; `NOT_A_LABEL` marks values
            that are errors.
        meaning: the values a label file may hold, in words, for the message.

    Raises:
        DataError: naming the file, if one is broken, sizes differ, or a label
            value is not in the table.
    """
    image = read_image(image_path)
    label = read_label(label_path)
    height, width = label.values.shape
    if (height, width) != (image.height, image.width):
        raise DataError(
            f"{label_path} is {width}x{height} but its image {image_path} is "
            f"{image.width}x{image.height} pixels"
        )
    values = apply_table(label.values, table, label_path, meaning)
    stored = {
        "image": image.data,
        "label": encode_png(values),
        "image_id": image_id,
    }
    return Example(stored, (height, width), values)


def apply_table(
    values: np.ndarray, table: np.ndarray, path: Path, meaning: str
) -> np.ndarray:
    """Maps uint8 file values to uint8 labels through `table` (int16 [256]).

    Raises:
        DataError: naming the file and the values that `table` does not allow.
    """
    labels = table[values]
    wrong = labels == NOT_A_LABEL
    if wrong.any():
        found, counts = np.unique(values[wrong], return_counts=True)
        shown = ", ".join(
            f"{value} ({count} pixels)"
            for value, count in zip(found[:5], counts[:5], strict=True)
        )
        more = f" and {len(found) - 5} more values" if len(found) > 5 else ""
        raise DataError(f"{path} holds label {shown}{more}; expected {meaning}")
    return labels.astype(np.uint8)


def label_table(file_values: list[int], ignored_value: int | None) -> np.ndarray:
    """Table for `apply_table`: the k-th file value becomes label k.

    Args:
        file_values: the value of each class in the files, in class order.
        ignored_value: the file value that becomes the ignore label, if any.
    """
    table = np.full(256, NOT_A_LABEL, np.int16)
    if ignored_value is not None:
        table[ignored_value] = IGNORE_LABEL
    table[np.asarray(file_values, int)] = np.arange(len(file_values))
    return table


def encode_png(pixels: np.ndarray) -> bytes:
    """Encodes labels uint8 [H, W] or RGB uint8 [H, W, 3], to decode fast."""
    encoding = _LABEL_ENCODING
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
    opened = _open_completely(data, path)
    # Early versions of Pillow open 16-bit grey in 32 bits.
    if opened.format == "PNG" and opened.mode != "I":
        return pixels_of(opened), "PNG"
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    if pixels is None:
        raise DataError(f"{path}: OpenCV cannot decode this {opened.format} image")
    return pixels, opened.format or ""


def _open_completely(data: bytes, path: Path) -> Image.Image:
    """Decodes with Pillow, which refuses truncated files that OpenCV fills up."""
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise DataError("PIL.ImageFile.LOAD_TRUNCATED_IMAGES hides broken files")
    try:
        opened = Image.open(io.BytesIO(data))
        opened.load()
    except UnidentifiedImageError:
        raise DataError(f"{path} is not an image file") from None
    except Image.DecompressionBombError as error:
        raise DataError(f"{path} is too large, cut it into tiles: {error}") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path} is truncated or damaged: {error}") from None
    if opened.format == "PNG" and _PNG_END not in data:
        raise DataError(f"{path} is truncated: its PNG end marker is missing")
    return opened
