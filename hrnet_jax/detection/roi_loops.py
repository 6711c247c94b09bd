"""RoIAlign for CPUs: one region after the other.

Regions are put in groups by their level and by the smallest window that holds them, so
each group is a loop over windows of one shape, cut out of the level itself. Nothing is
copied but these windows, and gradients are added in place.
"""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from hrnet_jax.detection.roi_axes import Layout, Regions, axis_weights, precision

# Time goes with the cells that are read, so windows are to fit; every one is a loop more
# to compile. A region of all levels but the last is below 28 x 28 cells by area: the
# longer, the narrower. Two cells are added where it lies between cells.
_SQUARE = ((10, 10), (16, 16), (24, 24), (16, 32), (32, 16), (32, 32))
_LONG = ((28, 48), (20, 84))
# Of windows as long as the level.
_NARROW = 12
# Weights are computed at once of windows up to this side, of others one by one.
_COMMON = 84


@dataclasses.dataclass(frozen=True)
class _Group:
    """Regions of one level whose cells lie in a window of one shape."""

    level: int
    window: tuple[int, int]
    begin: jax.Array  # int32: in the order of all regions
    end: jax.Array  # int32


def pool(layout: Layout, levels: tuple[jax.Array, ...], regions: Regions) -> jax.Array:
    """Features [B, R, size, size, C] of regions; 0 of those that are not valid."""
    batch, count = regions.valid.shape
    order, groups, weights = _groups(layout, regions)
    shape = (batch * count, layout.size, layout.size, layout.shapes[0][-1])
    pooled = jnp.zeros(shape, layout.dtype)
    exact = precision(layout.dtype)

    def loop(group: _Group) -> Callable:
        level = levels[group.level]

        def one_region(place: jax.Array, pooled: jax.Array) -> jax.Array:
            index = order[place]
            corner, weights_y, weights_x = weights(group, index)
            size = (1, *group.window, level.shape[-1])
            cells = jax.lax.dynamic_slice(level, corner, size)[0]
            rows = jnp.einsum("ph,hwc->pwc", weights_y, cells, precision=exact)
            bins = jnp.einsum("qw,pwc->pqc", weights_x, rows, precision=exact)
            return jax.lax.dynamic_update_index_in_dim(pooled, bins, index, 0)

        return one_region

    for group in groups:
        pooled = jax.lax.fori_loop(group.begin, group.end, loop(group), pooled)
    return pooled.reshape(batch, count, *shape[1:])


def spread(
    layout: Layout, gradient: jax.Array, regions: Regions
) -> tuple[jax.Array, ...]:
    """Gradients of all levels from that of the features [B, R, size, size, C]."""
    order, groups, weights = _groups(layout, regions)
    gradient = gradient.reshape(-1, *gradient.shape[2:])
    levels = [jnp.zeros(shape, layout.dtype) for shape in layout.shapes]
    exact = precision(layout.dtype)

    def loop(group: _Group) -> Callable:
        def one_region(place: jax.Array, level: jax.Array) -> jax.Array:
            index = order[place]
            corner, weights_y, weights_x = weights(group, index)
            bins = gradient[index]
            rows = jnp.einsum("qw,pqc->pwc", weights_x, bins, precision=exact)
            cells = jnp.einsum("ph,pwc->hwc", weights_y, rows, precision=exact)
            size = (1, *group.window, level.shape[-1])
            cells = jax.lax.dynamic_slice(level, corner, size) + cells[None]
            return jax.lax.dynamic_update_slice(level, cells, corner)

        return one_region

    for group in groups:
        levels[group.level] = jax.lax.fori_loop(
            group.begin, group.end, loop(group), levels[group.level]
        )
    return tuple(levels)


# Of a group and a region: corner (image, row, column, 0) of its window, four int32, and
# the weights [size, h] and [size, w] of its cells.
_Weights = Callable[
    [_Group, jax.Array], tuple[tuple[jax.Array, ...], jax.Array, jax.Array]
]


def _groups(
    layout: Layout, regions: Regions
) -> tuple[jax.Array, list[_Group], _Weights]:
    """An order of all regions of all images, and the groups that stand in it.

    Returns:
        order: int32 [B * R], regions of images one after the other.
        groups: with their part of the order; regions that are not valid are in none.
        weights: see `_Weights`.
    """
    count = regions.valid.shape[1]
    regions = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), regions)
    needed = regions.last - regions.first + 1
    windows = [
        (level, window)
        for level, (height, width) in enumerate(layout.sides.tolist())
        for window in _windows(height, width)
    ]
    shapes = jnp.asarray([window for _, window in windows], jnp.int32)
    holds = (needed[:, None] <= shapes).all(-1)
    holds &= regions.level[:, None] == jnp.asarray([level for level, _ in windows])
    key = jnp.where(regions.valid, holds.argmax(1), len(windows)).astype(jnp.int32)
    index = jax.lax.broadcasted_iota(jnp.int32, key.shape, 0)
    _, order = jax.lax.sort((key, index), is_stable=True, num_keys=1)
    ends = (key[:, None] <= jnp.arange(len(windows))).sum(0, dtype=jnp.int32)
    begins = jnp.concatenate([jnp.zeros(1, jnp.int32), ends[:-1]])
    groups = [
        _Group(*window, begins[number], ends[number])
        for number, window in enumerate(windows)
    ]
    # Windows at the end begin earlier than their region.
    shape = shapes.at[key].get(mode="fill", fill_value=0)
    corners = jnp.minimum(regions.first, regions.limit - shape)
    common = _axes(layout, regions, corners, (_COMMON, _COMMON))

    def weights(group: _Group, index: jax.Array):
        height, width = group.window
        zero = jnp.zeros((), jnp.int32)
        image = (index // count).astype(jnp.int32)
        corner = (image, corners[index, 0], corners[index, 1], zero)
        if max(height, width) <= _COMMON:
            return corner, common[0][index, :, :height], common[1][index, :, :width]
        region = jax.tree.map(lambda rows: rows[index], regions)
        return corner, *_axes(layout, region, corners[index], group.window)

    return order, groups, weights


def _windows(height: int, width: int) -> list[tuple[int, int]]:
    """Shapes of windows on a level in the order to try them, the whole one last."""
    long = (*_LONG, (_NARROW, width), *((w, h) for h, w in _LONG), (height, _NARROW))
    kept: list[tuple[int, int]] = []
    for h, w in (*sorted((*_SQUARE, *long), key=math.prod), (height, width)):
        window = min(height, h), min(width, w)
        # None for what an earlier one holds.
        if not any(window[0] <= y and window[1] <= x for y, x in kept):
            kept.append(window)
    return kept


def _axes(
    layout: Layout, regions: Regions, corners: jax.Array, cells: tuple[int, int]
) -> tuple[jax.Array, jax.Array]:
    """Weights [..., size, h] and [..., size, w] of cells from corners [..., 2] on."""
    weights_y, weights_x = (
        axis_weights(
            regions.start[..., axis],
            regions.length[..., axis],
            layout.size,
            corners[..., axis],
            cells[axis],
            regions.limit[..., axis],
            layout.conventions.roi_samples,
        ).astype(layout.dtype)
        for axis in range(2)
    )
    return weights_y, weights_x
