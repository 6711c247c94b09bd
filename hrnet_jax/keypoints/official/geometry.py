"""Coordinates as the published landmark code computes them, on the host.

Source: HRNet-Facial-Landmark-Detection, `lib/utils/transforms.py` and
`lib/core/evaluation.py`. Against correct geometry this code

- takes a pixel's corner for its centre (`R / 2` instead of `(R - 1) / 2`),
- truncates coordinates toward zero, so that negative ones round upwards,
- keeps the centre of the face in single precision,
- mirrors x to `W - x` although pixels are mirrored to `W - 1 - x`.

A size is one side for both directions, or height and width. Points are x, y.
"""

from collections.abc import Sequence

import numpy as np

from hrnet_jax.keypoints.geometry import PIXELS_PER_SCALE as BOX_UNIT
from hrnet_jax.keypoints.geometry import mirrored_order

Size = int | tuple[int, int]


def matrix(
    center: np.ndarray, scale: np.ndarray | float, size: Size, rotation: float = 0.0
) -> np.ndarray:
    """The map of image coordinates to those of a crop, `get_transform`.

    q = (p - center) * R / (200 * scale) + R / 2 in both directions, followed by
    a rotation by -`rotation` about R / 2 (matrix [cos -sin; sin cos], y down).

    Args:
        center: [..., 2], middle of the face box in pixels.
        scale: [...], side of the box / 200; positive.
        size: R, of the crop or of its heatmaps.
        rotation: degrees, the same for all boxes.

    Returns:
        float64 [..., 3, 3], for columns (x, y, 1).
    """
    # float32 first: the published code keeps centres in a torch.Tensor.
    center = np.asarray(center, np.float32).astype(np.float64)
    box = BOX_UNIT * np.asarray(scale, np.float64)
    height, width = _height_width(size)
    result = np.zeros((*box.shape, 3, 3))
    for axis, side in enumerate((width, height)):
        result[..., axis, axis] = side / box
        result[..., axis, 2] = side * (-center[..., axis] / box + 0.5)
    result[..., 2, 2] = 1.0
    if rotation == 0:
        return result
    to_middle = np.eye(3)
    to_middle[:2, 2] = -width / 2, -height / 2
    from_middle = np.eye(3)
    from_middle[:2, 2] = width / 2, height / 2
    sine, cosine = np.sin(-np.deg2rad(rotation)), np.cos(-np.deg2rad(rotation))
    turn = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    return from_middle @ turn @ to_middle @ result


def transform_pixel(
    points: np.ndarray,
    center: np.ndarray,
    scale: np.ndarray | float,
    size: Size,
    *,
    invert: bool = False,
    rotation: float = 0.0,
) -> np.ndarray:
    """Whole-numbered pixels of points counted from one.

    One is subtracted, the point mapped, truncated toward zero, and one added.

    Args:
        points: [..., 2] for one box, or [..., K, 2] for many.
        center: [2], or [..., 2].
        scale: scalar, or [...].
        size: of the crop or of its heatmaps.
        invert: whether to map from the crop to the image.
        rotation: degrees.

    Returns:
        int64 of the shape of `points`.
    """
    transform = matrix(center, scale, size, rotation)
    if invert:
        # Not the closed form: at whole numbers the last bit decides.
        transform = np.linalg.inv(transform)
    if np.ndim(scale):
        transform = transform[..., None, :, :]
    points = np.asarray(points, np.float64) - 1
    mapped = (
        transform[..., :2, 0] * points[..., :1]
        + transform[..., :2, 1] * points[..., 1:]
        + transform[..., :2, 2]
    )
    return np.trunc(mapped).astype(np.int64) + 1


def heatmap_points(
    points: np.ndarray,
    center: np.ndarray,
    scale: float,
    size: Size,
    rotation: float = 0.0,
) -> np.ndarray:
    """Cells of the heatmaps, counted from zero, where targets are centred.

    Args:
        points: [K, 2], as annotated (taken as counted from zero, which the
            annotations of 300W are not).
        center: [2], of the crop.
        scale: of the crop.
        size: of the heatmaps.
        rotation: degrees.

    Returns:
        float64 [K, 2], whole numbers, possibly outside.
    """
    moved = np.asarray(points, np.float64) + 1
    pixels = transform_pixel(moved, center, scale, size, rotation=rotation)
    return (pixels - 1).astype(np.float64)


def kept_points(points: np.ndarray) -> np.ndarray:
    """Which points [..., K, 2] get a target: those with y > 0 in the image.

    Returns:
        bool [..., K].
    """
    return np.asarray(points)[..., 1] > 0


def image_points(
    cells: np.ndarray, center: np.ndarray, scale: np.ndarray | float, size: Size
) -> np.ndarray:
    """Points in the image, the last step of `decode_preds`.

    The rotation of a crop is ignored.

    Args:
        cells: [..., K, 2] from `official.decode_cells`, counted from one.
        center: [..., 2], of the crops.
        scale: [...], of the crops.
        size: of the heatmaps.

    Returns:
        float64 [..., K, 2], whole numbers, in the frame of the annotations.
    """
    pixels = transform_pixel(cells, center, scale, size, invert=True)
    return pixels.astype(np.float64)


def mirror_points(
    points: np.ndarray, width: int, pairs: Sequence[tuple[int, int]]
) -> np.ndarray:
    """Points of the mirrored image, `fliplr_joints`: x to `width` - x, then swaps.

    Args:
        points: [..., K, 2].
        width: of the image in pixels.
        pairs: indices of points that are each other's mirror image.

    Returns:
        float64 [..., K, 2], a new array.
    """
    points = np.array(points, np.float64)
    points[..., 0] = width - points[..., 0]
    chosen = tuple((int(left), int(right)) for left, right in pairs)
    return points[..., mirrored_order(points.shape[-2], chosen), :]


def _height_width(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size
