"""Anchors and points on the cells of feature maps, and which of them an image has.

Made of the shapes of the features, never of an image's size over a stride: a pyramid
drops incomplete windows, so its last level of 800x1344 pixels is 12x21, not 13x21.
Order: levels from fine to coarse, then row, column, and the anchors of a cell.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.detection.boxes import MODERN, Conventions
from hrnet_jax.errors import ConfigError

Shapes = Sequence[tuple[int, int]]

# Sides of batches are multiples of this many pixels, and so are those of images in
# them as far as anchors are concerned.
PADDING = 32


def base_anchors(
    side: float,
    scales: Sequence[float] = (8,),
    ratios: Sequence[float] = (0.5, 1, 2),
    conventions: Conventions = MODERN,
    scale_major: bool = True,
    dtype: np.typing.DTypeLike = np.float32,
) -> np.ndarray:
    """Anchors of the cell at (0, 0).

    Args:
        side: of the anchor of scale 1 and ratio 1, in pixels: the stride.
        scales: of the anchors.
        ratios: height over width.
        conventions: whether corners are whole.
        scale_major: all scales of the first ratio come first; otherwise all ratios of
            the first scale.
        dtype: float32 or float64.

    Returns:
        [len(ratios) * len(scales), 4] around 0, or around (side - 1) / 2 where
        corners are whole.
    """
    scale = np.asarray(scales, dtype)
    tall = np.sqrt(np.asarray(ratios, dtype))
    wide = np.asarray(1, dtype) / tall
    of_one = np.asarray(side, dtype)
    if scale_major:
        widths, heights = (of_one * x[:, None] * scale[None] for x in (wide, tall))
    else:
        widths, heights = (of_one * scale[:, None] * x[None] for x in (wide, tall))
    half = np.stack([widths.ravel(), heights.ravel()], axis=-1) / 2
    if not conventions.rounded_anchors:
        return np.concatenate([-half, half], axis=-1)
    centre, half = (of_one - 1) / 2, half - np.asarray(0.5, dtype)
    return np.round(np.concatenate([centre - half, centre + half], axis=-1))


def grid_anchors(
    shapes: Shapes,
    strides: Sequence[int],
    scales: Sequence[float] = (8,),
    ratios: Sequence[float] = (0.5, 1, 2),
    conventions: Conventions = MODERN,
    dtype: np.typing.DTypeLike = np.float32,
) -> tuple[np.ndarray, ...]:
    """Anchors of all cells of all levels, computed when a program is traced.

    Args:
        shapes: (h, w) of the features of every level.
        strides: pixels per cell, one a level.
        scales: see `base_anchors`.
        ratios: see `base_anchors`.
        conventions: see `base_anchors`.
        dtype: float32 or float64.

    Returns:
        Per level [h * w * len(ratios) * len(scales), 4], (x1, y1, x2, y2) in pixels.

    Raises:
        ConfigError: if there is not one stride a level.
    """
    _check_strides(shapes, strides)
    levels = []
    for shape, stride in zip(shapes, strides, strict=True):
        base = base_anchors(stride, scales, ratios, conventions, dtype=dtype)
        corners = _cells(shape, dtype) * np.asarray(stride, dtype)
        shifts = np.concatenate([corners, corners], axis=-1)
        levels.append((shifts[:, None] + base[None]).reshape(-1, 4))
    return tuple(levels)


def point_grid(
    shapes: Shapes, strides: Sequence[int], dtype: np.typing.DTypeLike = np.float32
) -> tuple[np.ndarray, ...]:
    """Centres of all cells of all levels (FCOS).

    Args:
        shapes: (h, w) of the features of every level.
        strides: pixels per cell, one a level.
        dtype: float32 or float64.

    Returns:
        Per level [h * w, 2], (x, y) in pixels.

    Raises:
        ConfigError: if there is not one stride a level.
    """
    _check_strides(shapes, strides)
    half = np.asarray(0.5, dtype)
    return tuple(
        (_cells(shape, dtype) + half) * np.asarray(stride, dtype)
        for shape, stride in zip(shapes, strides, strict=True)
    )


def _check_strides(shapes: Shapes, strides: Sequence[int]) -> None:
    if len(shapes) != len(strides):
        raise ConfigError(
            f"strides: expected one for each of {len(shapes)} levels, got "
            f"{len(strides)}: {', '.join(map(str, strides))}"
        )


def _cells(shape: tuple[int, int], dtype: np.typing.DTypeLike) -> np.ndarray:
    """(column, row) [h * w, 2] of all cells, row by row."""
    height, width = shape
    rows, columns = np.mgrid[:height, :width].astype(dtype)
    return np.stack([columns.ravel(), rows.ravel()], axis=-1)


def cells_of_image(
    shapes: Shapes,
    strides: Sequence[int],
    size: jax.Array | tuple[int, int],
    per_cell: int = 3,
    padding: int = PADDING,
) -> jax.Array:
    """Which anchors stand on cells that an image of a larger canvas has.

    So what is trained does not depend on the canvas: mmdetection's valid flags.

    Args:
        shapes: (h, w) of the features of every level.
        strides: pixels per cell, one a level.
        size: int [2], (height, width) of the image in the canvas, in pixels.
        per_cell: anchors of a cell.
        padding: sides of the image count as the next multiple of so many pixels.

    Returns:
        bool [anchors of all levels].

    Raises:
        ConfigError: if there is not one stride a level.
    """
    _check_strides(shapes, strides)
    height, width = (-(-jnp.asarray(side) // padding) * padding for side in size)
    levels = []
    for (rows, columns), stride in zip(shapes, strides, strict=True):
        in_rows = jnp.arange(rows) < -(-height // stride)
        in_columns = jnp.arange(columns) < -(-width // stride)
        cells = (in_rows[:, None] & in_columns[None]).ravel()
        levels.append(jnp.repeat(cells, per_cell))
    return jnp.concatenate(levels)


def inside(
    anchors: jax.Array | np.ndarray,
    size: jax.Array | tuple[int, int],
    border: float = 0,
) -> jax.Array:
    """Which anchors lie within an image.

    Args:
        anchors: [..., 4] in pixels.
        size: (height, width) of the image in pixels.
        border: pixels that they may reach out of it.

    Returns:
        bool [...]. The last corner has to be below the side, not at it, in all
        conventions: mmdetection's rule.
    """
    anchors = jnp.asarray(anchors)
    height, width = (jnp.asarray(side, anchors.dtype) for side in size)
    x1, y1, x2, y2 = (anchors[..., index] for index in range(4))
    first = (x1 >= -border) & (y1 >= -border)
    return first & (x2 < width + border) & (y2 < height + border)
