"""Where regions lie on the levels of a pyramid, and what their bins take of the cells."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.detection import boxes as box_math
from hrnet_jax.detection.boxes import Conventions

# How regions in pixels become places on cells:
#   aligned   cells are centred at half numbers: half a cell less; no least size
#   legacy    no shift; at least one cell wide and high
#   plus_one  no shift; regions end one pixel later, as HRNet's published detectors
ALIGNMENTS = ("aligned", "legacy", "plus_one")

# Cells; shorter steps between samples count as this.
_LEAST_STEP = 1e-12


@dataclasses.dataclass(frozen=True)
class Layout:
    """All of a pooling that is known when it is traced.

    Attributes:
        shapes: (B, h, w, C) of every level.
        strides: pixels per cell, of every level.
        dtype: of the levels.
        size: bins along each side.
        finest: see `roi_align`.
        conventions: see `roi_align`.
    """

    shapes: tuple[tuple[int, ...], ...]
    strides: tuple[int, ...]
    dtype: np.dtype
    size: int
    finest: float
    conventions: Conventions

    @property
    def sides(self) -> np.ndarray:
        """Cells (h, w) of every level, int32 [L, 2]."""
        return np.asarray([shape[1:3] for shape in self.shapes], np.int32)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Regions:
    """Regions on the cells of their levels; the last axis is (y, x).

    Attributes:
        valid: bool [B, R].
        level: int32 [B, R].
        start: [B, R, 2]; cell 0 is centred at 0.
        length: [B, R, 2], in cells.
        limit: int32 [B, R, 2], cells of the level.
        first: int32 [B, R, 2], first cell that samples may touch.
        last: int32 [B, R, 2], last of them.
    """

    valid: jax.Array
    level: jax.Array
    start: jax.Array
    length: jax.Array
    limit: jax.Array
    first: jax.Array
    last: jax.Array


def roi_levels(
    rois: jax.Array, levels: int, finest: float = 56, plus_one: float = 0.0
) -> jax.Array:
    """Level of every region: floor(log2(sqrt(w h) / finest + 1e-6)), within 0..levels-1.

    Args:
        rois: [..., 4] in pixels.
        levels: how many there are.
        finest: side in pixels of the smallest square that is not for level -1.
        plus_one: see `Conventions`.

    Returns:
        int32 [...].
    """
    area = jnp.maximum(box_math.areas(rois, plus_one), 0)
    relative = jnp.sqrt(area) / finest + 1e-6
    # Comparisons, as logarithms of powers of two need not be whole.
    above = [relative >= 2**level for level in range(1, levels)]
    return sum((flag.astype(jnp.int32) for flag in above), jnp.zeros_like(area, int))


def place_regions(layout: Layout, rois: jax.Array, valid: jax.Array) -> Regions:
    """Finds level and place of regions [B, R, 4]."""
    conventions = layout.conventions
    level = roi_levels(
        rois, len(layout.shapes), layout.finest, conventions.plus_one
    ).astype(jnp.int32)
    stride = jnp.asarray(layout.strides, rois.dtype)[level][..., None]
    start, end = rois[..., 1::-1] / stride, rois[..., :1:-1] / stride
    if conventions.roi_align == "plus_one":
        length = jnp.maximum(end + 1 / stride - start, 0)
    elif conventions.roi_align == "legacy":
        length = jnp.maximum(end - start, 1)
    else:
        start, length = start - 0.5, end - start
    limit = jnp.asarray(layout.sides)[level]
    end = start + length
    first = jnp.floor(jnp.minimum(start, end)).astype(jnp.int32)
    last = jnp.floor(jnp.maximum(start, end)).astype(jnp.int32) + 1
    return Regions(
        valid,
        level,
        start,
        length,
        limit,
        jnp.clip(first, 0, limit - 1),
        jnp.clip(last, 0, limit - 1),
    )


def axis_weights(
    start: jax.Array,
    length: jax.Array,
    bins: int,
    first: jax.Array | int,
    cells: int,
    limit: jax.Array | int,
    samples: int = 0,
) -> jax.Array:
    """What the bins of a region take of cells along one axis.

    A bin has g samples at equal distances; of a sample at y, cell c takes
    max(0, 1 - |y - c|). Samples up to one cell outside count as on the outermost cell,
    others as 0.

    Args:
        start: [...], where regions begin; cell 0 is centred at 0.
        length: [...], in cells.
        bins: of a region.
        first: int [...], first cell that weights are wanted of; may be below 0.
        cells: how many cells weights are wanted of.
        limit: int [...], cells that there are: 0 to limit - 1.
        samples: g; 0 for ceil(length / bins), as many as there are cells.

    Returns:
        [..., bins, cells], the mean over the samples; 0 for cells that there are not.
    """
    dtype = start.dtype
    count = jnp.full_like(length, samples) if samples else _samples(length, bins)
    width = length / bins
    step = width / jnp.maximum(count, 1)
    number = jnp.arange(bins, dtype=dtype)
    origin = start[..., None] + number * width[..., None] + step[..., None] / 2
    # Samples of a region that ends before it starts come in the other order.
    back = ((count - 1) * step)[..., None]
    origin = jnp.where(step[..., None] < 0, origin + back, origin)[..., None]
    step, count = jnp.abs(step)[..., None, None], count[..., None, None]

    limit = jnp.asarray(limit, dtype)[..., None, None]
    begin = jnp.asarray(first, dtype)[..., None, None]
    edge = begin + jnp.arange(-1, cells + 1, dtype=dtype)
    # How many samples lie before each edge; at the end of the level, up to it.
    steps = (edge - origin) / jnp.maximum(step, _LEAST_STEP)
    before = jnp.where(edge == limit, jnp.floor(steps) + 1, jnp.ceil(steps))
    before = jnp.clip(before, 0, count)

    cell = edge[..., 1:-1]
    a, b, c = before[..., :-2], before[..., 1:-1], before[..., 2:]
    # Of the samples a to b - 1, the sum of y - (cell - 1); of b to c - 1, that of
    # (cell + 1) - y.
    rise = (b - a) * (origin - (cell - 1) + step * (a + b - 1) / 2)
    fall = (c - b) * ((cell + 1) - origin - step * (b + c - 1) / 2)
    rise = jnp.where(cell == 0, b - a, rise)
    fall = jnp.where(cell == limit - 1, c - b, fall)
    there = (cell >= 0) & (cell < limit)
    return jnp.where(there, rise + fall, 0) / jnp.maximum(count, 1)


def _samples(length: jax.Array, bins: int) -> jax.Array:
    """ceil(length / bins), at least 0.

    Compilers multiply by 1 / bins, which makes multiples of 7 cells a sample too many.
    """
    count = jnp.floor(length / bins)
    count = jnp.where(count * bins > length, count - 1, count)
    return jnp.maximum(jnp.where(count * bins < length, count + 1, count), 0)


def precision(dtype: np.dtype) -> jax.lax.Precision:
    """Of products with weights: as exact as the features are."""
    wide = math.log2(1 / jnp.finfo(dtype).eps) > 16
    return jax.lax.Precision.HIGHEST if wide else jax.lax.Precision.DEFAULT
