"""Geometry of boxes.

A box is (x1, y1, x2, y2) in pixels of the image, pixel centres at integers.
"""

import numpy as np

from hrnet_jax.errors import DataError

# No image is so large, in pixels; what is calculated with larger numbers may overflow.
FARTHEST = 1e9


def check_inside(boxes: np.ndarray, image: np.ndarray, where: str) -> np.ndarray:
    """Returns boxes, each of which overlaps its image.

    Args:
        boxes: [N, 4].
        image: [H, W, ...].
        where: what to name in the message.

    Raises:
        DataError: naming the first box outside its image.
    """
    height, width = image.shape[:2]
    for box in np.asarray(boxes):
        x1, y1, x2, y2 = box
        if x2 <= -0.5 or y2 <= -0.5 or x1 >= width - 0.5 or y1 >= height - 0.5:
            raise DataError(
                f"{where}: box {box.tolist()} is outside the image of "
                f"{width}x{height} pixels; expected x1, y1, x2, y2 in pixels"
            )
    return boxes


def from_edges(boxes: np.ndarray) -> np.ndarray:
    """Boxes of objects, as boxes of this module; float32 [N, 4].

    Args:
        boxes: [N, 4], as in COCO's files and what detectors find: the left edge of the
            first pixel is 0, its centre 0.5.
    """
    return (np.asarray(boxes, np.float64).reshape(-1, 4) - 0.5).astype(np.float32)


def whole_image(image: np.ndarray) -> np.ndarray:
    """The box of a whole image [H, W, ...], float32 [1, 4]."""
    height, width = image.shape[:2]
    return np.array([[-0.5, -0.5, width - 0.5, height - 0.5]], np.float32)


def box_of_points(points: np.ndarray) -> np.ndarray:
    """The square box that HRNet's face lists give to points.

    The side is max(ceil(max) - floor(min)) of both axes, the centre the middle of
    floor(min) and ceil(max), as in their CSV files.

    Args:
        points: [K, 2], finite.

    Returns:
        float32 [4].
    """
    low, high = np.floor(points.min(0)), np.ceil(points.max(0))
    half = (high - low).max() / 2
    center = (low + high) / 2
    return np.concatenate([center - half, center + half]).astype(np.float32)


def sides(boxes: np.ndarray) -> np.ndarray:
    """Geometric mean of width and height of boxes [N, 4]: [N], 0 for empty ones."""
    return np.sqrt(np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), 1))


def intersections(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Common areas of boxes [N, 4] and [M, 4]: [N, M]."""
    low = np.maximum(left[:, None, :2], right[None, :, :2])
    high = np.minimum(left[:, None, 2:], right[None, :, 2:])
    return np.prod(np.clip(high - low, 0, None), 2)


def overlaps(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes [N, 4] and [M, 4]: [N, M]."""
    common = intersections(left, right)
    union = sides(left)[:, None] ** 2 + sides(right)[None] ** 2 - common
    return common / np.maximum(union, np.finfo(common.dtype).tiny)
