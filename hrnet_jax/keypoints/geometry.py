"""Crops of faces and persons: one affine map between image and crop.

Points are (x, y) in pixels, pixel centres at integers, in the image, in the crop and
in heatmaps alike. A box of width 200 * scale around a centre fills the width of the
crop; its height follows from the shape of the crop. All on the host, in float64.
"""

import functools
import math

import cv2
import numpy as np

from hrnet_jax.errors import DataError

# The unit of `scale`, a habit of MPII that all HRNet code keeps.
PIXELS_PER_SCALE = 200.0

# Shrunk further than this, pixels are averaged first, or detail would alias.
_LARGEST_STEP = 2.0


def crop_matrix(
    center: np.ndarray,
    scale: float,
    size: tuple[int, int],
    rotation: float = 0.0,
    *,
    mirror: bool = False,
) -> np.ndarray:
    """The map from image pixels to crop pixels.

    The middle of the box lands on the middle of the crop, ((w - 1) / 2, (h - 1) / 2),
    and the edges of the box, which are half a pixel outside its outer pixel centres, on
    the edges of the crop. Shifting, magnifying and mirroring therefore commute with the
    pixel grid, unlike in the published code (see `official/geometry.py`).

    Args:
        center: (x, y) of the box in the image.
        scale: width of the box / 200.
        size: (height, width) of the crop.
        rotation: degrees that the content turns counter-clockwise, as seen.
        mirror: whether left and right of the crop are exchanged, last of all.

    Returns:
        float64 [2, 3].
    """
    height, width = size
    zoom = width / (PIXELS_PER_SCALE * scale)
    cos = zoom * math.cos(math.radians(rotation))
    sin = zoom * math.sin(math.radians(rotation))
    matrix = np.array([[cos, sin, 0.0], [-sin, cos, 0.0]])
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    matrix[:, 2] = middle - matrix[:, :2] @ np.asarray(center, np.float64)
    if mirror:
        matrix[0] = -matrix[0]
        matrix[0, 2] += width - 1
    return matrix


def inverse(matrix: np.ndarray) -> np.ndarray:
    """The inverse of an affine map, float64 [2, 3]."""
    turn = np.linalg.inv(matrix[:, :2])
    return np.concatenate([turn, -turn @ matrix[:, 2:]], axis=1)


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Maps points [..., 2] by an affine map [2, 3]."""
    return np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]


def to_image(
    points: np.ndarray, center: np.ndarray, scale: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Maps points of upright crops back to their images.

    Args:
        points: [N, K, 2], crop pixels.
        center: [N, 2], image pixels.
        scale: [N].
        size: (height, width) of the crops.

    Returns:
        float64 [N, K, 2], image pixels.
    """
    height, width = size
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    pixels = PIXELS_PER_SCALE * np.asarray(scale, np.float64)[:, None, None] / width
    centers = np.asarray(center, np.float64)[:, None]
    return (np.asarray(points, np.float64) - middle) * pixels + centers


def checked_boxes(boxes: np.ndarray) -> np.ndarray:
    """Boxes as float64 [N, 4], (x1, y1, x2, y2).

    Raises:
        DataError: for another shape, numbers that are not finite, and boxes of no size.
    """
    boxes = np.asarray(boxes, np.float64)
    if not boxes.size:
        return boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise DataError(
            f"boxes must be [N, 4] (x1, y1, x2, y2), got {list(boxes.shape)}"
        )
    size = boxes[:, 2:] - boxes[:, :2]
    wrong = ~(np.isfinite(boxes).all(1) & (size > 0).all(1))
    if wrong.any():
        index = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"box {index} is {boxes[index].tolist()}; expected finite x1 < x2, y1 < y2"
        )
    return boxes


def box_center_scale(
    boxes: np.ndarray, size: tuple[int, int], margin: float
) -> tuple[np.ndarray, np.ndarray]:
    """The crops that show whole boxes with a margin around them.

    Args:
        boxes: [N, 4], (x1, y1, x2, y2).
        size: (height, width) of the crops; boxes of another shape are extended.
        margin: factor on the side, 1 for none.

    Returns:
        Centres float64 [N, 2] and scales float64 [N], the margin included.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    side = np.maximum(width, height * aspect_ratio(size))
    return (boxes[:, :2] + boxes[:, 2:]) / 2, margin * side / PIXELS_PER_SCALE


def aspect_ratio(size: tuple[int, int]) -> float:
    """Width over height of a crop of (height, width)."""
    return size[1] / size[0]


@functools.cache
def mirrored_order(count: int, pairs: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Index of each point's counterpart in the mirrored image, int [K], read only."""
    order = np.arange(count)
    for left, right in pairs:
        order[[left, right]] = right, left
    order.setflags(write=False)
    return order


def warp(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Cuts a crop out of an image: bilinear, black outside the image.

    Where the crop shows the image at less than half its size, blocks of pixels are
    averaged first.

    Args:
        image: uint8 [H, W, 3].
        matrix: from `crop_matrix`.
        size: (height, width) of the crop.

    Returns:
        uint8 [h, w, 3].
    """
    step = 1 / math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if step >= _LARGEST_STEP:
        image, matrix = _shrink(image, matrix, size, int(step))
    height, width = size
    return cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)


def _shrink(
    image: np.ndarray, matrix: np.ndarray, size: tuple[int, int], factor: int
) -> tuple[np.ndarray, np.ndarray]:
    """The part of the image that a crop sees, reduced by a whole factor."""
    height, width = size
    corners = np.array(
        [[-1, -1], [width, -1], [-1, height], [width, height]], np.float64
    )
    seen = apply(inverse(matrix), corners)
    limit = np.array(image.shape[1::-1])
    low = np.clip(np.floor(seen.min(0)).astype(int) - factor, 0, limit)
    high = np.clip(np.ceil(seen.max(0)).astype(int) + factor + 1, 0, limit)
    # Whole blocks, as far as the image goes.
    count = -(-(high - low) // factor)
    part = image[low[1] : high[1], low[0] : high[0]]
    if not part.size:
        return image[:1, :1] * 0, matrix
    bottom, right = (
        int(blocks * factor - length)
        for blocks, length in zip(count[::-1], part.shape[:2], strict=True)
    )
    if bottom or right:
        part = cv2.copyMakeBorder(part, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
    small = cv2.resize(part, tuple(int(n) for n in count), interpolation=cv2.INTER_AREA)
    # Block k covers source pixels factor * k ... factor * k + factor - 1.
    enlarge = np.array(
        [
            [factor, 0, low[0] + (factor - 1) / 2],
            [0, factor, low[1] + (factor - 1) / 2],
        ],
        np.float64,
    )
    return small, compose(matrix, enlarge)


def compose(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The map that applies `first`, then `second`; both [2, 3]."""
    shift = second[:, :2] @ first[:, 2] + second[:, 2]
    return np.concatenate([second[:, :2] @ first[:, :2], shift[:, None]], axis=1)
