"""RoIAlign for accelerators: many regions at a time.

All levels lie on one canvas, below each other, so one cut of windows of one shape
serves regions of all levels; both ways it is nothing but such cuts and small matrix
products. The few regions that a window does not hold, long and narrow ones, take the
whole canvas, in rounds of which there are none where all fit.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.detection.roi_axes import Layout, Regions, axis_weights, precision

# Cells of a window; its long side lies as that of the image does. A region of the
# first three levels is below 28 x 28 cells by area.
_SHORT, _LONG = 32, 48
# Regions of an image whose windows are cut together, and that share a round.
_CHUNK, _ROUND = 64, 8


@dataclasses.dataclass(frozen=True)
class _Canvas:
    """Where levels lie on the canvas."""

    sides: tuple[int, int]  # cells (h, w)
    window: tuple[int, int]
    rows: np.ndarray  # int32 [L], first row of every level


def _canvas(layout: Layout) -> _Canvas:
    sides = layout.sides
    wide = sides[0, 1] >= sides[0, 0]
    window = (_SHORT, _LONG) if wide else (_LONG, _SHORT)
    rows = np.concatenate([[0], np.cumsum(sides[:, 0])]).astype(np.int32)
    height = max(int(rows[-1]), window[0])
    width = max(int(sides[:, 1].max()), window[1])
    return _Canvas((height, width), window, rows[:-1])


def pool(layout: Layout, levels: tuple[jax.Array, ...], regions: Regions) -> jax.Array:
    """Features [B, R, size, size, C] of regions; 0 of those that are not valid."""
    canvas = _canvas(layout)
    batch, count = regions.valid.shape
    height, width = canvas.sides
    features = jnp.concatenate(
        [
            jnp.pad(level, ((0, 0), (0, 0), (0, width - level.shape[2]), (0, 0)))
            for level in levels
        ],
        axis=1,
    )
    features = jnp.pad(
        features, ((0, 0), (0, height - features.shape[1]), (0, 0), (0, 0))
    )
    product = _product(layout)

    def one_chunk(chunk: tuple[jax.Array, ...]) -> jax.Array:
        corners, weights_y, weights_x = chunk
        cells = jax.vmap(_cut, (0, 0, None))(features, corners, canvas.window)
        rows = product("bnph,bnhwc->bnpwc", weights_y, cells)
        return product("bnqw,bnpwc->bnpqc", weights_x, rows)

    pooled = jax.lax.map(one_chunk, _chunks(layout, canvas, regions))
    shape = (layout.size, layout.size, features.shape[-1])
    pooled = jnp.moveaxis(pooled, 0, 1).reshape(batch, -1, *shape)[:, :count]
    indices, rounds, weights = _rest(layout, canvas, regions)

    def one_round(number: jax.Array, pooled: jax.Array) -> jax.Array:
        weights_y, weights_x = weights(number)
        rows = product("bnph,bhwc->bnpwc", weights_y, features)
        bins = product("bnqw,bnpwc->bnpqc", weights_x, rows)
        place = jax.lax.dynamic_slice_in_dim(indices, number * _ROUND, _ROUND, 1)
        return jax.vmap(lambda all, at, some: all.at[at].set(some, mode="drop"))(
            pooled, place, bins
        )

    return jax.lax.fori_loop(0, rounds, one_round, pooled)


def spread(
    layout: Layout, gradient: jax.Array, regions: Regions
) -> tuple[jax.Array, ...]:
    """Gradients of all levels from that of the features [B, R, size, size, C]."""
    canvas = _canvas(layout)
    batch, count, *_, channels = gradient.shape
    product = _product(layout)
    features = jnp.zeros((batch, *canvas.sides, channels), layout.dtype)
    corners, weights_y, weights_x = _chunks(layout, canvas, regions)
    space = ((0, 0), (0, -count % _CHUNK), (0, 0), (0, 0), (0, 0))
    parts = jnp.pad(gradient, space)
    parts = parts.reshape(batch, -1, _CHUNK, *gradient.shape[2:]).swapaxes(0, 1)

    def one_chunk(features: jax.Array, chunk: tuple) -> tuple[jax.Array, None]:
        corners, weights_y, weights_x, bins = chunk
        rows = product("bnqw,bnpqc->bnpwc", weights_x, bins)
        cells = product("bnph,bnpwc->bnhwc", weights_y, rows)
        return jax.vmap(_add)(features, corners, cells), None

    chunks = (corners, weights_y, weights_x, parts)
    features, _ = jax.lax.scan(one_chunk, features, chunks)
    indices, rounds, weights = _rest(layout, canvas, regions)

    def one_round(number: jax.Array, features: jax.Array) -> jax.Array:
        weights_y, weights_x = weights(number)
        place = jax.lax.dynamic_slice_in_dim(indices, number * _ROUND, _ROUND, 1)
        bins = jax.vmap(lambda all, at: all.at[at].get(mode="fill", fill_value=0))(
            gradient, place
        )
        rows = product("bnqw,bnpqc->bnpwc", weights_x, bins)
        return features + product("bnph,bnpwc->bhwc", weights_y, rows)

    features = jax.lax.fori_loop(0, rounds, one_round, features)
    return tuple(
        features[:, row : row + height, :width]
        for row, (height, width) in zip(canvas.rows, layout.sides, strict=True)
    )


def _product(layout: Layout) -> Callable[..., jax.Array]:
    """Products that add up in float32 at least, and return the dtype of the levels."""
    exact = precision(layout.dtype)
    wide = jnp.promote_types(layout.dtype, jnp.float32)

    def product(names: str, weights: jax.Array, values: jax.Array) -> jax.Array:
        return jnp.einsum(
            names, weights, values, precision=exact, preferred_element_type=wide
        ).astype(layout.dtype)

    return product


def _cut(features: jax.Array, corners: jax.Array, window: tuple[int, int]) -> jax.Array:
    """Windows [N, h, w, C] out of a canvas [H, W, C], from corners [N, 2]."""
    size = (*window, features.shape[-1])
    numbers = jax.lax.GatherDimensionNumbers((1, 2, 3), (), (0, 1))
    return jax.lax.gather(
        features,
        corners,
        numbers,
        size,
        mode=jax.lax.GatherScatterMode.PROMISE_IN_BOUNDS,
    )


def _add(features: jax.Array, corners: jax.Array, windows: jax.Array) -> jax.Array:
    """Adds windows to a canvas; the reverse of `_cut`."""
    numbers = jax.lax.ScatterDimensionNumbers((1, 2, 3), (), (0, 1))
    return jax.lax.scatter_add(
        features,
        corners,
        windows,
        numbers,
        mode=jax.lax.GatherScatterMode.PROMISE_IN_BOUNDS,
    )


def _fits(canvas: _Canvas, regions: Regions) -> jax.Array:
    """Which regions [B, R] have all their cells in their window."""
    return (regions.last <= regions.first + jnp.asarray(canvas.window) - 1).all(-1)


def _weights(
    layout: Layout, regions: Regions, first: jax.Array, cells: tuple[int, int]
) -> list[jax.Array]:
    """Weights [..., size, h] and [..., size, w] of cells from `first` [..., 2] on."""
    return [
        axis_weights(
            regions.start[..., axis],
            regions.length[..., axis],
            layout.size,
            first[..., axis],
            cells[axis],
            regions.limit[..., axis],
            layout.conventions.roi_samples,
        )
        for axis in range(2)
    ]


def _chunks(layout: Layout, canvas: _Canvas, regions: Regions) -> tuple[jax.Array, ...]:
    """Windows and weights of all regions, chunk by chunk.

    Returns:
        corners: int32 [chunks, B, n, 2] on the canvas.
        weights_y: [chunks, B, n, size, h]; 0 of regions that a window does not hold.
        weights_x: [chunks, B, n, size, w].
    """
    row = jnp.asarray(canvas.rows)[regions.level]
    corners = regions.first + jnp.stack([row, jnp.zeros_like(row)], axis=-1)
    # Windows at the ends of the canvas begin earlier than their regions.
    most = jnp.asarray(canvas.sides) - jnp.asarray(canvas.window)
    shift = jnp.maximum(corners - most, 0)
    corners, first = corners - shift, regions.first - shift
    weights_y, weights_x = _weights(layout, regions, first, canvas.window)
    used = (regions.valid & _fits(canvas, regions))[..., None, None]
    weights_y = jnp.where(used, weights_y, 0)

    def in_chunks(values: jax.Array) -> jax.Array:
        batch, count, *rest = values.shape
        space = ((0, 0), (0, -count % _CHUNK)) + ((0, 0),) * len(rest)
        values = jnp.pad(values, space)
        return values.reshape(batch, -1, _CHUNK, *rest).swapaxes(0, 1)

    return (
        in_chunks(corners),
        in_chunks(weights_y.astype(layout.dtype)),
        in_chunks(weights_x.astype(layout.dtype)),
    )


def _rest(
    layout: Layout, canvas: _Canvas, regions: Regions
) -> tuple[jax.Array, jax.Array, Callable]:
    """The regions that their windows do not hold.

    Returns:
        indices: int32 [B, n], those of every image first; R behind them.
        rounds: int32, how many times `_ROUND` of every image have to be taken.
        weights: number of a round -> weights [B, 8, size, H] and [B, 8, size, W] of
            the whole canvas.
    """
    missing = regions.valid & ~_fits(canvas, regions)
    count = missing.shape[1]
    index = jnp.where(missing, jax.lax.iota(jnp.int32, count), count)
    space = ((0, 0), (0, -count % _ROUND))
    indices = jnp.pad(jnp.sort(index, axis=1), space, constant_values=count)
    rounds = -(-missing.sum(1).max(initial=0) // _ROUND)

    def weights(number: jax.Array) -> list[jax.Array]:
        place = jax.lax.dynamic_slice_in_dim(indices, number * _ROUND, _ROUND, 1)
        these = jax.tree.map(
            jax.vmap(lambda all, at: all.at[at].get(mode="fill", fill_value=0)),
            regions,
            jax.tree.map(lambda _: place, regions),
        )
        row = jnp.asarray(canvas.rows)[these.level]
        first = -jnp.stack([row, jnp.zeros_like(row)], axis=-1)
        values = _weights(layout, these, first, canvas.sides)
        return [value.astype(layout.dtype) for value in values]

    return indices, rounds, weights
