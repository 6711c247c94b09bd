"""RoIAlign for CPUs: one region after the other.

Regions are put in groups by their level and by the smallest window that holds them, so
each group is a loop over windows of one shape, cut out of the level itself. Nothing is
copied but these windows, and gradients are added in place.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from hrnet_jax.detection.roi_axes import Layout, Regions, axis_weights, precision

# Cells (h, w) of windows, in the order in which they are tried. A region of the first
# levels is below 28 x 28 cells by area: longer ones are narrow.
_WINDOWS = ((16, 16), (24, 24), (32, 32), (16, 64), (64, 16))


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
    order, groups = _groups(layout, regions)
    shape = (batch * count, layout.size, layout.size, layout.shapes[0][-1])
    pooled = jnp.zeros(shape, layout.dtype)
    exact = precision(layout.dtype)

    def loop(group: _Group) -> Callable:
        level = levels[group.level]

        def one_region(place: jax.Array, pooled: jax.Array) -> jax.Array:
            index = order[place]
            corner, weights_y, weights_x = _window(layout, regions, group, index)
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
    order, groups = _groups(layout, regions)
    gradient = gradient.reshape(-1, *gradient.shape[2:])
    levels = [jnp.zeros(shape, layout.dtype) for shape in layout.shapes]
    exact = precision(layout.dtype)

    def loop(group: _Group) -> Callable:
        def one_region(place: jax.Array, level: jax.Array) -> jax.Array:
            index = order[place]
            corner, weights_y, weights_x = _window(layout, regions, group, index)
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


def _groups(layout: Layout, regions: Regions) -> tuple[jax.Array, list[_Group]]:
    """An order of all regions of all images, and the groups that stand in it.

    Returns:
        order: int32 [B * R], regions of images one after the other.
        groups: with their part of the order; regions that are not valid are in none.
    """
    level, valid = regions.level.ravel(), regions.valid.ravel()
    needed = (regions.last - regions.first + 1).reshape(-1, 2)
    windows = [
        (number, window)
        for number, (height, width) in enumerate(layout.sides.tolist())
        for window in _windows(height, width)
    ]
    key = jnp.full(level.shape, len(windows), jnp.int32)
    for number, (of_level, window) in reversed(list(enumerate(windows))):
        holds = (level == of_level) & (needed <= jnp.asarray(window)).all(-1)
        key = jnp.where(holds & valid, number, key)
    index = jax.lax.iota(jnp.int32, len(key))
    _, order = jax.lax.sort((key, index), is_stable=True, num_keys=1)
    ends = (key[:, None] <= jnp.arange(len(windows))).sum(0, dtype=jnp.int32)
    begins = jnp.concatenate([jnp.zeros(1, jnp.int32), ends[:-1]])
    return order, [
        _Group(*window, begins[number], ends[number])
        for number, window in enumerate(windows)
    ]


def _windows(height: int, width: int) -> list[tuple[int, int]]:
    """Shapes of windows on a level, the whole one last."""
    cut = [(min(height, h), min(width, w)) for h, w in _WINDOWS]
    return list(dict.fromkeys([*cut, (height, width)]))


def _window(
    layout: Layout, regions: Regions, group: _Group, index: jax.Array
) -> tuple[tuple[jax.Array, ...], jax.Array, jax.Array]:
    """Corner (image, row, column, 0) of a window, and the weights of its cells.

    Returns:
        corner: four int32.
        weights_y: [size, h].
        weights_x: [size, w].
    """
    image = index // regions.valid.shape[1]
    start, length, first = (
        value.reshape(-1, 2)[index]
        for value in (regions.start, regions.length, regions.first)
    )
    _, *sides, _ = layout.shapes[group.level]
    corner, weights = [], []
    for axis in range(2):
        # Windows at the end begin earlier than their region.
        begin = jnp.minimum(first[axis], sides[axis] - group.window[axis])
        corner.append(begin)
        weight = axis_weights(
            start[axis],
            length[axis],
            layout.size,
            begin,
            group.window[axis],
            sides[axis],
            layout.conventions.roi_samples,
        )
        weights.append(weight.astype(layout.dtype))
    zero = jnp.zeros((), jnp.int32)
    return (image.astype(jnp.int32), *corner, zero), weights[0], weights[1]
