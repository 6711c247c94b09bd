"""Pillow's images as arrays."""

import contextlib
import struct
import warnings
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageOps

from hrnet_jax.errors import DataError

# What Pillow raises for damaged files, whose formats are read by as many authors.
DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Without Pillow's warnings: of odd metadata, and of large photographs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def in_short(error: Exception) -> str:
    """What Pillow says of a file, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def pixels_of(image: Image.Image) -> np.ndarray:
    """The pixels of an image, upright, as uint8 RGB [H, W, 3].

    An EXIF orientation is applied, transparency is left out, and of 16-bit grey the
    upper eight bits count, as OpenCV reads files.

    Raises:
        DataError: for 32-bit modes, whose range nothing tells.
    """
    if image.mode in ("I", "F"):
        raise DataError(
            f"a Pillow image of mode {image.mode} has 32-bit pixels of unknown range; "
            "expected 8 or 16 bits, such as mode RGB"
        )
    upright = _upright(image)
    if upright.mode.startswith("I;16"):
        grey = (np.asarray(upright) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if "transparency" in upright.info:
        # Straight to RGB, Pillow warns that a transparent colour is lost.
        upright = upright.convert("RGBA")
    return np.array(upright.convert("RGB"))


def _upright(image: Image.Image) -> Image.Image:
    """Turns an image as its EXIF data say; what cannot be read turns nothing."""
    with quietly():
        try:
            return ImageOps.exif_transpose(image)
        except DAMAGE:
            return image
