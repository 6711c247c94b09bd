"""From heatmaps to points, on the device, at any heatmap size."""

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.keypoints.geometry import mirrored_order
from hrnet_jax.models.resize import size_of

METHODS = ("argmax", "quarter", "dark")

# Keeps the logarithm finite; as in the published code of DARK.
_SMALLEST = 1e-10


def decode(
    heatmaps: jax.Array, method: str, sigma: float
) -> tuple[jax.Array, jax.Array]:
    """The place and height of the peak of every heatmap.

    `argmax` is the highest cell, the first of equal ones. `quarter` moves from there a
    quarter of a cell towards the higher neighbour on each axis (Newell et al., "Stacked
    hourglass networks", 2016; HRNet's own decoding). `dark` smooths the map and moves
    to the maximum of the parabola through its logarithm (Zhang et al.,
    "Distribution-aware coordinate representation for human pose estimation", CVPR 2020,
    equations 5 to 9), which is exact for a Gaussian.

    Args:
        heatmaps: float [B, h, w, K].
        method: one of `METHODS`.
        sigma: of the smoothing of `dark`, in cells: that of the training targets.

    Returns:
        Points float32 [B, K, 2], (x, y) in cells, and scores float32 [B, K].
    """
    heatmaps = heatmaps.astype(jnp.float32)
    peak, scores = highest_cells(heatmaps)
    cells = peak.astype(jnp.float32)
    if method == "quarter":
        cells = cells + quarter_offsets(heatmaps, peak)
    elif method == "dark":
        cells = cells + _dark(heatmaps, peak, sigma)
    return cells, scores


def highest_cells(heatmaps: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The first of the highest cells of every heatmap, row by row, and its height.

    Args:
        heatmaps: float [B, h, w, K].

    Returns:
        int32 [B, K, 2], (x, y), and [B, K].
    """
    batch, height, width, points = heatmaps.shape
    flat = heatmaps.reshape(batch, height * width, points)
    scores = jnp.max(flat, 1)
    # XLA vectorises this on a CPU, and not argmax, which takes eight times as long.
    index = jax.lax.broadcasted_iota(jnp.int32, flat.shape, 1)
    highest = jnp.where(flat == scores[:, None], index, height * width - 1)
    first = jnp.min(highest, 1)
    return jnp.stack([first % width, first // width], -1), scores


def mirror_heatmaps(
    heatmaps: jax.Array, pairs: tuple[tuple[int, int], ...], *, shift: bool = False
) -> jax.Array:
    """Heatmaps [B, h, w, K] of a mirrored image, as those of the image itself.

    Args:
        heatmaps: of the mirrored image.
        pairs: points that swap.
        shift: whether they move one column to the right, where the first stays as
            well. Right for weights that count a cell from its first pixel, as the
            published pose code does (`SHIFT_HEATMAP` in `lib/core/function.py`).
    """
    order = mirrored_order(heatmaps.shape[-1], pairs)
    mirrored = heatmaps[:, :, ::-1][..., order]
    if not shift:
        return mirrored
    return jnp.concatenate([mirrored[:, :, :1], mirrored[:, :, :-1]], 2)


def quarter_offsets(heatmaps: jax.Array, peak: jax.Array, first: int = 1) -> jax.Array:
    """A quarter of the sign of the slope, zero on the border; [B, K, 2].

    Args:
        heatmaps: [B, h, w, K].
        peak: int [B, K, 2], (x, y).
        first: row and column from which on a peak moves; the last never does.
    """
    around = _patches(heatmaps, peak, 1)
    slope = jnp.stack(
        [around[:, 1, 2] - around[:, 1, 0], around[:, 2, 1] - around[:, 0, 1]], -1
    )
    is_inner = _is_inner(peak, size_of(heatmaps), 1) & (peak >= first).all(-1)
    return jnp.where(is_inner[..., None], 0.25 * jnp.sign(slope), 0.0)


def _dark(heatmaps: jax.Array, peak: jax.Array, sigma: float) -> jax.Array:
    """Newton's step from the peak on the logarithm of the smoothed map; [B, K, 2].

    The published code rescales the smoothed map to the old maximum, which shifts the
    logarithm by a constant and so changes nothing. It also takes the step where the
    parabola has no maximum; here such a peak stays where it is.
    """
    radius = round(2.5 * sigma)
    weights = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    kernel = jnp.asarray(weights / weights.sum(), jnp.float32)
    around = _patches(heatmaps, peak, 2 + radius)
    # Of the smoothed map, only the 5 x 5 cells around the peak are needed.
    rows = sum(w * around[:, i : i + 5] for i, w in enumerate(kernel))
    smooth = sum(w * rows[:, :, i : i + 5] for i, w in enumerate(kernel))
    log = jnp.log(jnp.maximum(smooth, _SMALLEST))
    dx = 0.5 * (log[:, 2, 3] - log[:, 2, 1])
    dy = 0.5 * (log[:, 3, 2] - log[:, 1, 2])
    dxx = 0.25 * (log[:, 2, 4] - 2 * log[:, 2, 2] + log[:, 2, 0])
    dyy = 0.25 * (log[:, 4, 2] - 2 * log[:, 2, 2] + log[:, 0, 2])
    dxy = 0.25 * (log[:, 3, 3] - log[:, 1, 3] - log[:, 3, 1] + log[:, 1, 1])
    determinant = dxx * dyy - dxy * dxy
    is_maximum = (dxx < 0) & (determinant > 0)
    is_maximum &= _is_inner(peak, size_of(heatmaps), 2)
    divisor = jnp.where(is_maximum, determinant, 1.0)
    step = jnp.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], -1)
    return jnp.where(is_maximum[..., None], step / divisor[..., None], 0.0)


def _is_inner(peak: jax.Array, size: tuple[int, int], border: int) -> jax.Array:
    """Whether a peak [B, K, 2] has `border` cells on every side; bool [B, K]."""
    limit = jnp.array([size[1], size[0]]) - border
    return jnp.all((peak >= border) & (peak < limit), -1)


def _patches(heatmaps: jax.Array, peak: jax.Array, radius: int) -> jax.Array:
    """Squares around peaks, zero outside the map.

    Args:
        heatmaps: [B, h, w, K].
        peak: int [B, K, 2], (x, y).
        radius: of the squares, in cells.

    Returns:
        [B, 2 * radius + 1, 2 * radius + 1, K], rows first.
    """
    batch, height, width, points = heatmaps.shape
    offsets = jnp.arange(-radius, radius + 1)
    rows = peak[:, None, None, :, 1] + offsets[:, None, None]
    columns = peak[:, None, None, :, 0] + offsets[None, :, None]
    is_inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    # Padding the maps instead would copy them all.
    index = jnp.where(is_inside, rows * width + columns, 0)
    flat = heatmaps.reshape(batch, height * width, points)
    found = jnp.take_along_axis(flat, index.reshape(batch, -1, points), 1)
    return jnp.where(is_inside, found.reshape(is_inside.shape), 0)
