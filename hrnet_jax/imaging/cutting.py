"""Windows of images brought to a size, from pixels or from the bytes of a file.

OpenCV decodes, whoever resizes: it is faster than Pillow, and their pixels are the same.
JPEG files can be decoded at a fraction of their size, once the window is known.
"""

import dataclasses
import io

import cv2
import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from hrnet_jax.errors import DataError
from hrnet_jax.imaging.opencv import decoded
from hrnet_jax.imaging.pillow import DAMAGE, in_short

LIBRARIES = ("pillow", "opencv")
INTERPOLATIONS = ("bilinear", "bicubic")

_PILLOW = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
_OPENCV = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}
# Shares that libjpeg decodes at, and OpenCV's flag of each.
_REDUCED = {
    8: cv2.IMREAD_REDUCED_COLOR_8,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    2: cv2.IMREAD_REDUCED_COLOR_2,
}

Window = tuple[int, int, int, int]
Size = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Resizing:
    """How pixels become others.

    Attributes:
        library: `pillow`, whose filters grow with the factor (antialiasing), or
            `opencv`, whose filters do not.
        interpolation: `bilinear` or `bicubic`.
        scaled_decoding: JPEG files are decoded at a half, a fourth or an eighth of
            their size as long as this many pixels are left for each of the result, on
            both axes; 0 decodes all.
    """

    library: str = "pillow"
    interpolation: str = "bilinear"
    scaled_decoding: float = 0.0


class WindowedImage:
    """An image of which a window is wanted.

    Args:
        image: uint8 RGB [H, W, 3], or the bytes of an image file. An EXIF orientation
            of a file is applied.
        resizing: how the window will be resized.
        name: of the image, for messages.

    Attributes:
        size: (height, width) of the whole image, in pixels.

    Raises:
        DataError: naming the image, if it does not decode.
    """

    def __init__(
        self, image: np.ndarray | bytes, resizing: Resizing, name: str
    ) -> None:
        self._resizing = resizing
        self._name = name
        self._data = b""
        self._opened: Image.Image | None = None
        self._pixels: np.ndarray | None = None
        if isinstance(image, np.ndarray):
            self._pixels = image
        elif resizing.scaled_decoding:
            self._open(image)
        else:
            self._pixels = self._decoded(image, cv2.IMREAD_COLOR_RGB)
        if self._pixels is not None:
            self.size: Size = (self._pixels.shape[0], self._pixels.shape[1])

    def resized(self, window: Window, size: Size) -> np.ndarray:
        """A window, resized.

        Args:
            window: (top, left, height, width) in pixels, inside of the image.
            size: (height, width) of the result.

        Returns:
            uint8 RGB [height, width, 3].

        Raises:
            DataError: naming the image, if it does not decode.
        """
        factor = self._factor(window, size)
        if self._opened is None or factor == 1:
            if self._pixels is None:
                self._pixels = self._decoded(self._data, cv2.IMREAD_COLOR_RGB)
            return self._of_pixels(self._pixels, window, size)
        if self._resizing.library == "opencv":
            return self._reduced_by_opencv(factor, window, size)
        # Pillow decodes a file at one size only.
        opened, self._opened = self._opened, None
        try:
            return self._reduced_by_pillow(opened, factor, window, size)
        except DAMAGE as error:
            raise self._damaged(in_short(error)) from None

    def _open(self, data: bytes) -> None:
        """Reads the beginning of a JPEG file; all of one to be turned, and of others."""
        try:
            opened = Image.open(io.BytesIO(data))
            turned = opened.getexif().get(ExifTags.Base.Orientation, 1) != 1
        except (UnidentifiedImageError, *DAMAGE) as error:
            raise self._damaged(in_short(error)) from None
        if turned or opened.format != "JPEG":
            self._pixels = self._decoded(data, cv2.IMREAD_COLOR_RGB)
            return
        self._data, self._opened = data, opened
        self.size = opened.height, opened.width

    def _of_pixels(self, pixels: np.ndarray, window: Window, size: Size) -> np.ndarray:
        top, left, height, width = window
        part = pixels[top : top + height, left : left + width]
        how = self._resizing.interpolation
        if self._resizing.library == "opencv":
            return cv2.resize(part, size[::-1], interpolation=_OPENCV[how])
        # Not `box=`, whose filters see what is around the window.
        image = Image.fromarray(np.ascontiguousarray(part))
        return np.asarray(image.resize(size[::-1], _PILLOW[how]))

    def _reduced_by_pillow(
        self, opened: Image.Image, factor: int, window: Window, size: Size
    ) -> np.ndarray:
        opened.draft(None, (opened.width // factor, opened.height // factor))
        top, left, height, width = (side / factor for side in window)
        small = opened.convert("RGB")
        box = (left, top, left + width, top + height)
        how = _PILLOW[self._resizing.interpolation]
        return np.asarray(small.resize(size[::-1], how, box=box))

    def _reduced_by_opencv(self, factor: int, window: Window, size: Size) -> np.ndarray:
        pixels = self._decoded(self._data, _REDUCED[factor])
        # To whole pixels of the smaller image, which has no others.
        top, left, height, width = (round(side / factor) for side in window)
        inside = top, left, max(height, 1), max(width, 1)
        return cv2.cvtColor(self._of_pixels(pixels, inside, size), cv2.COLOR_BGR2RGB)

    def _factor(self, window: Window, size: Size) -> int:
        """The share of the image that is enough: 1, 2, 4 or 8."""
        wanted = self._resizing.scaled_decoding
        if not wanted:
            return 1
        least = min(side / new for side, new in zip(window[2:], size, strict=True))
        return next((one for one in _REDUCED if least >= wanted * one), 1)

    def _decoded(self, data: bytes, mode: int) -> np.ndarray:
        pixels = decoded(data, mode)
        if pixels is None:
            raise self._damaged(f"{len(data)} bytes")
        return pixels

    def _damaged(self, reason: str) -> DataError:
        return DataError(
            f"image {self._name!r} of the records does not decode ({reason}); prepare "
            "the data set again (--overwrite)"
        )
