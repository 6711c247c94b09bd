"""Crops of persons as the published pose code cuts them, on the host.

Source: deep-high-resolution-net.pytorch, `lib/utils/transforms.py` and `__getitem__`
in `lib/dataset/JointsDataset.py`. Against correct geometry this code

- takes a pixel's corner for its centre (w / 2 instead of (w - 1) / 2), so that crops of
  a mirrored image are not mirrored crops,
- counts a cell of the heatmaps from its first pixel (x / 4), so that mirrored heatmaps
  lie three quarters of a cell beside the others,
- solves for the map from three points in single precision.

Images and points are pixels counted from 0.
"""

import dataclasses
import math

import cv2
import numpy as np

from hrnet_jax.keypoints.geometry import PIXELS_PER_SCALE, apply, mirrored_order

# Pixels of a crop in a cell of the heatmaps, on each axis.
STRIDE = 4


@dataclasses.dataclass(frozen=True)
class PersonSample:
    """One sample, ready but for normalisation and targets.

    Attributes:
        image: uint8 [h, w, 3].
        points: float64 [K, 2], pixels of the crop.
        center: float64 [2], of the crop, in the image, mirrored if the sample is.
    """

    image: np.ndarray
    points: np.ndarray
    center: np.ndarray

    def cells(self) -> np.ndarray:
        """Centres of the targets: whole cells float64 [K, 2], halves rounded up.

        Of negative numbers what is behind the point is cut off.
        """
        return np.trunc(self.points / STRIDE + 0.5)


def sample(
    image: np.ndarray,
    points: np.ndarray,
    center: np.ndarray,
    scale: float,
    size: tuple[int, int],
    *,
    rotation: float = 0.0,
    flip: bool = False,
    pairs: tuple[tuple[int, int], ...] = (),
) -> PersonSample:
    """Cuts a person out; the caller draws the augmentation.

    Args:
        image: uint8 [H, W, 3].
        points: [K, 2], (x, y) in the image.
        center: [2], middle of the box.
        scale: width of the crop in the image / 200.
        size: (height, width) of the crop.
        rotation: degrees.
        flip: whether the image is mirrored first.
        pairs: points that swap then.
    """
    points, center = np.array(points, np.float64), np.array(center, np.float64)
    if flip:
        last = image.shape[1] - 1
        image = image[:, ::-1]
        points[:, 0], center[0] = last - points[:, 0], last - center[0]
        points = points[mirrored_order(len(points), pairs)]
    matrix = affine_matrix(center, scale, size, rotation)
    return PersonSample(warp(image, matrix, size), apply(matrix, points), center)


def warp(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 [h, w, 3] of a crop: bilinear, black outside, nothing averaged."""
    height, width = size
    return cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)


def affine_matrix(
    center: np.ndarray,
    scale: np.ndarray | float,
    size: tuple[int, int],
    rotation: float = 0.0,
    *,
    invert: bool = False,
) -> np.ndarray:
    """The similarity that maps a box to a crop, `get_affine_transform`.

    q = A (p - center) + (w, h) / 2, where A enlarges by w / box width and turns
    by -`rotation`; from where it takes the centre, the middle of the upper edge and the
    point beside that to.

    Args:
        center: [2], middle of the box in pixels.
        scale: box width / 200, or width and height / 200, of which only the
            width counts.
        size: (height, width) of the crop.
        rotation: degrees.
        invert: whether to map from the crop to the image.

    Returns:
        float64 [2, 3], for columns (x, y, 1).
    """
    height, width = size
    angle = math.radians(rotation)
    half = PIXELS_PER_SCALE * float(np.ravel(scale)[0]) / 2
    box = _corner(center, (half * math.sin(angle), -half * math.cos(angle)))
    crop = _corner((width / 2, height / 2), (0, -width / 2))
    return cv2.getAffineTransform(*((crop, box) if invert else (box, crop)))


def _corner(center: np.ndarray | tuple, up: tuple[float, float]) -> np.ndarray:
    """A centre, the point `up` from there, and the third of a right angle; [3, 2]."""
    corner = np.zeros((3, 2), np.float32)
    corner[0] = center
    corner[1] = np.asarray(center, np.float64) + up
    aside = corner[0] - corner[1]
    corner[2] = corner[1] + np.array([-aside[1], aside[0]], np.float32)
    return corner


def image_points(
    points: np.ndarray, center: np.ndarray, scale: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Maps points of upright crops back to their images, `transform_preds`.

    Args:
        points: [N, K, 2], pixels of the crops.
        center: [N, 2].
        scale: [N], widths / 200.
        size: (height, width) of the crops.

    Returns:
        float64 [N, K, 2].
    """
    height, width = size
    middle = np.array([width / 2, height / 2])
    pixels = PIXELS_PER_SCALE * np.asarray(scale, np.float64)[:, None, None] / width
    centers = np.asarray(center, np.float64)[:, None]
    return (np.asarray(points, np.float64) - middle) * pixels + centers
