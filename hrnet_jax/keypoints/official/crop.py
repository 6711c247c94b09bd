"""Samples as the published landmark code makes them, on the host.

Source: HRNet-Facial-Landmark-Detection, `crop` in `lib/utils/transforms.py` and
`__getitem__` in `lib/datasets`. The crop was written for functions that SciPy
removed in version 1.3, `misc.imresize` and `misc.imrotate`. They turn whatever is
not a byte into one such that the smallest and the largest value of the image
become 0 and 255, so every crop has its contrast stretched.
"""

import dataclasses
import math
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from hrnet_jax.errors import DataError
from hrnet_jax.keypoints.official import geometry

# A crop is larger than the face box of the annotation by this factor.
BOX_MARGIN = 1.25
_COFW_POINTS = 29
# A box of this many sides of the crop is shrunk with its image first.
_SHRINK_FROM = 2.0


@dataclasses.dataclass(frozen=True)
class OfficialSample:
    """One sample, ready but for normalisation and targets.

    Attributes:
        image: uint8 [size, size, 3], RGB.
        points: float64 [K, 2], in the image (mirrored if the sample is).
        cells: float64 [K, 2], whole numbers: centres of the targets, counted
            from zero.
        kept: bool [K], False for points whose target is empty.
        center: float32 [2], of the crop.
        scale: side of the crop in the image / 200.
    """

    image: np.ndarray
    points: np.ndarray
    cells: np.ndarray
    kept: np.ndarray
    center: np.ndarray
    scale: float


def sample(
    image: np.ndarray,
    points: np.ndarray,
    center: np.ndarray,
    scale: float,
    *,
    scale_factor: float = 1.0,
    rotation: float = 0.0,
    flip: bool = False,
    pairs: Sequence[tuple[int, int]] = (),
    size: int = 256,
    heatmap_size: int = 64,
    as_float: bool = True,
) -> OfficialSample:
    """One sample of an annotation; the caller draws the augmentation.

    The published draws are, in this order: U(0.75, 1.25) for the scale; with
    probability 0.6 U(-30, 30) degrees for the rotation; a coin for the flip.

    Args:
        image: uint8 or float [H, W, 3], RGB in 0..255.
        points: [K, 2], as annotated.
        center: [2], middle of the face box, as annotated.
        scale: side of the face box / 200, as annotated.
        scale_factor: 1 in evaluation.
        rotation: degrees, counter-clockwise; 0 in evaluation.
        flip: whether to mirror.
        pairs: points that swap when mirrored.
        size: side of the crop in pixels.
        heatmap_size: side of the heatmaps in cells.
        as_float: see `crop`.

    Raises:
        DataError: for a box without a pixel.
    """
    scale = scale * BOX_MARGIN * scale_factor
    center = np.array(center, np.float32)
    points = np.array(points, np.float64)
    if flip:
        width = image.shape[1]
        image = image[:, ::-1]
        points = geometry.mirror_points(points, width, pairs)
        center[0] = width - center[0]
    return OfficialSample(
        image=crop(image, center, scale, rotation, size, as_float),
        points=points,
        cells=geometry.heatmap_points(points, center, scale, heatmap_size, rotation),
        kept=geometry.kept_points(points),
        center=center,
        scale=scale,
    )


def is_read_as_float(num_points: int) -> bool:
    """Whether the published code reads a set's images as floating point numbers.

    It does so for all sets but COFW, the one with 29 points.
    """
    return num_points != _COFW_POINTS


def crop(
    image: np.ndarray,
    center: np.ndarray,
    scale: float,
    rotation: float = 0.0,
    size: int = 256,
    as_float: bool = True,
) -> np.ndarray:
    """Cuts a face out, black where the box leaves the image.

    Args:
        image: uint8 or float [H, W, 3].
        center: [2], x, y of the box's middle.
        scale: side of the box / 200.
        rotation: degrees, counter-clockwise.
        size: side of the crop in pixels.
        as_float: whether uint8 images are treated as floats, so that shrinking
            stretches their contrast; true of the sets read from CSV files, not
            of COFW. It matters only where the box is twice as large as the
            crop or larger.

    Returns:
        uint8 [size, size, 3].

    Raises:
        DataError: for a box without a pixel.
    """
    center = np.asarray(center, np.float32)
    if not scale > 0:
        raise _no_pixel(center, scale)
    shrink = scale * geometry.BOX_UNIT / size
    if shrink >= _SHRINK_FROM:
        height, width = (math.floor(side / shrink) for side in image.shape[:2])
        if math.floor(max(image.shape[:2]) / shrink) < 2:
            return np.zeros((size, size, 3), np.uint8)
        image = stretch(image) if as_float else _to_bytes(image)
        image = _resize(image, (max(1, width), max(1, height)))
        center, scale = center / np.float32(shrink), scale / shrink
    # Counted from one, so these are where the crop's -1 and size - 1 are.
    upper, lower = (
        geometry.transform_pixel(
            np.array([corner, corner]), center, scale, size, invert=True
        )
        for corner in (0, size)
    )
    if (lower <= upper).any():
        raise _no_pixel(center, scale)
    if rotation == 0:
        return _resize(stretch(_window(image, upper, lower)), (size, size))
    pad = int(np.linalg.norm(lower - upper) / 2 - (lower[1] - upper[1]) / 2)
    canvas = stretch(_window(image, upper - pad, lower + pad))
    turned = Image.fromarray(canvas).rotate(rotation, Image.Resampling.BILINEAR)
    height, width = canvas.shape[:2]
    inside = np.asarray(turned)[pad : height - pad, pad : width - pad]
    return _resize(inside, (size, size))


def stretch(image: np.ndarray) -> np.ndarray:
    """Bytes that fill 0..255, `scipy.misc.bytescale`.

    uint8((v - min) * (255 / (max - min)) + 0.5) over all channels, in single
    precision; zero where all values are equal.

    Args:
        image: uint8 or float [H, W, 3].

    Returns:
        uint8 [H, W, 3].
    """
    low, high = np.float32(image.min()), np.float32(image.max())
    factor = np.float32(255) / (high - low if high > low else np.float32(1))
    if image.dtype != np.uint8:
        return _scaled(image.astype(np.float32), low, factor)
    if (low, high) == (0, 255):
        return image
    # Values below the smallest do not occur.
    return cv2.LUT(image, _scaled(np.arange(256, dtype=np.float32), low, factor))


def _no_pixel(center: np.ndarray, scale: float) -> DataError:
    return DataError(
        f"the face box around {center.tolist()} has a side of "
        f"{geometry.BOX_UNIT * scale:g} pixels, expected at least one pixel"
    )


def _scaled(values: np.ndarray, low: np.float32, factor: np.float32) -> np.ndarray:
    scaled = np.clip((values - low) * factor, 0, 255)
    return (scaled + np.float32(0.5)).astype(np.uint8)


def _to_bytes(image: np.ndarray) -> np.ndarray:
    """Bytes pass the functions of SciPy unchanged, everything else is stretched."""
    return image if image.dtype == np.uint8 else stretch(image)


def _window(image: np.ndarray, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Rows and columns from `upper` to before `lower` (x, y), black outside."""
    width, height = (int(side) for side in lower - upper)
    canvas = np.zeros((height, width, 3), image.dtype)
    columns, rows = (
        slice(max(0, int(first)), max(0, int(last)))
        for first, last in zip(upper, lower, strict=True)
    )
    part = image[rows, columns]
    top, left = max(0, -int(upper[1])), max(0, -int(upper[0]))
    canvas[top : top + part.shape[0], left : left + part.shape[1]] = part
    return canvas


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear, antialiased when shrinking; `size` is width and height."""
    resized = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(resized)
