"""Windows of images brought to a size, from pixels or from the bytes of a file.

Of a file only its beginning is read until the window is known; JPEG files can then be
decoded at a fraction of their size.
"""

import dataclasses
import io

import cv2
import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from hrnet_jax.errors import DataError
from hrnet_jax.imaging.opencv import decoded
from hrnet_jax.imaging.pillow import DAMAGE, in_short, pixels_of

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
# Pillow's modes that become RGB in one step, transparency left out.
_PLAIN = ("RGB", "L", "CMYK", "YCbCr")

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
        elif resizing.library == "opencv" and not resizing.scaled_decoding:
            self._pixels = self._by_opencv(image, cv2.IMREAD_COLOR_RGB)
        else:
            self._open(image)
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
        if self._opened is None:
            assert self._pixels is not None
            return self._of_pixels(self._pixels, window, size)
        if self._resizing.library == "opencv":
            return self._reduced_by_opencv(window, size)
        try:
            return self._by_pillow(self._opened, window, size)
        except DAMAGE as error:
            raise self._damaged(in_short(error)) from None

    def _open(self, data: bytes) -> None:
        """Reads the beginning of a file; all of it where it has to be turned."""
        try:
            opened = Image.open(io.BytesIO(data))
            turned = opened.getexif().get(ExifTags.Base.Orientation, 1) != 1
            if turned or opened.mode not in _PLAIN:
                self._pixels = pixels_of(opened)
                return
        except (UnidentifiedImageError, *DAMAGE) as error:
            raise self._damaged(in_short(error)) from None
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

    def _by_pillow(self, opened: Image.Image, window: Window, size: Size) -> np.ndarray:
        how = _PILLOW[self._resizing.interpolation]
        top, left, height, width = window
        corners = (left, top, left + width, top + height)
        factor = self._factor(window, size)
        if factor == 1 or opened.format != "JPEG":
            part = opened.crop(corners).convert("RGB")
            return np.asarray(part.resize(size[::-1], how))
        opened.draft(None, (opened.width // factor, opened.height // factor))
        small = opened.convert("RGB")
        x1, y1, x2, y2 = (corner / factor for corner in corners)
        box = (x1, y1, x2, y2)
        return np.asarray(small.resize(size[::-1], how, box=box))

    def _reduced_by_opencv(self, window: Window, size: Size) -> np.ndarray:
        factor = self._factor(window, size)
        if factor == 1:
            pixels = self._by_opencv(self._data, cv2.IMREAD_COLOR_RGB)
            return self._of_pixels(pixels, window, size)
        pixels = self._by_opencv(self._data, _REDUCED[factor])
        # To whole pixels of the smaller image, which has no others.
        top, left, height, width = (round(side / factor) for side in window)
        inside = top, left, max(height, 1), max(width, 1)
        return self._of_pixels(pixels, inside, size)[..., ::-1]

    def _factor(self, window: Window, size: Size) -> int:
        """The share of the image that is enough: 1, 2, 4 or 8."""
        wanted = self._resizing.scaled_decoding
        if not wanted:
            return 1
        least = min(side / new for side, new in zip(window[2:], size, strict=True))
        return next((one for one in _REDUCED if least >= wanted * one), 1)

    def _by_opencv(self, data: bytes, mode: int) -> np.ndarray:
        pixels = decoded(data, mode)
        if pixels is None:
            raise self._damaged(f"{len(data)} bytes")
        return pixels

    def _damaged(self, reason: str) -> DataError:
        return DataError(
            f"image {self._name!r} of the records does not decode ({reason}); prepare "
            "the data set again (--overwrite)"
        )
