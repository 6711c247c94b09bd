"""Targets and decoding as in the published landmark code, on the device.

Source: HRNet-Facial-Landmark-Detection, `generate_target` in
`lib/utils/transforms.py`, `get_preds` and `decode_preds` in
`lib/core/evaluation.py`. The host's part stands in `geometry` and
`crop`.
"""

import jax
import jax.numpy as jnp

from hrnet_jax.keypoints.decoding import highest_cells, quarter_offsets


def gaussian_heatmaps(
    points: jax.Array,
    size: tuple[int, int],
    sigma: float,
    kept: jax.Array | None = None,
) -> jax.Array:
    """Targets with a peak of one, cut off three sigmas away.

    Where 3 sigma is no whole number, the peak of a point closer than that to the
    left or upper edge stands one cell further right or down.

    Args:
        points: float [B, K, 2], x, y of cells counted from zero; whole numbers
            in the published code (`geometry.heatmap_points`).
        size: height and width of the heatmaps.
        sigma: in cells; 1.0 for 300W, else 1.5.
        kept: bool [B, K]; the maps of other points are zero. None keeps all.

    Returns:
        float32 [B, h, w, K].
    """
    (rows, columns), (inside_y, inside_x) = _patch_distances(points, size, sigma)
    # exp of a sum is a product: one factor per row and one per column.
    factor_y = jnp.where(inside_y, jnp.exp(-(rows**2) / (2 * sigma**2)), 0)
    factor_x = jnp.where(inside_x, jnp.exp(-(columns**2) / (2 * sigma**2)), 0)
    if kept is not None:
        factor_y = factor_y * kept[:, None, :]
    return factor_y[:, :, None, :] * factor_x[:, None, :, :]


def decode_cells(heatmaps: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Peaks of heatmaps, moved by a quarter of a cell towards the higher side.

    A peak in the outermost rows and columns stays. A half is added in the end.

    Args:
        heatmaps: float [B, h, w, K].

    Returns:
        `cells` float32 [B, K, 2], x, y counted from one, for
        `geometry.image_points`; 0.5, 0.5 for maps without a positive
        value. `scores` [B, K], the height of the peaks.
    """
    peak, scores = highest_cells(heatmaps)
    is_positive = (scores > 0)[..., None]
    cells = jnp.where(is_positive, peak + 1, 0).astype(jnp.float32)
    moved = jnp.where(is_positive, quarter_offsets(heatmaps, peak), 0)
    return cells + moved + 0.5, scores


def _patch_distances(
    points: jax.Array, size: tuple[int, int], sigma: float
) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
    """Distances from the peak and the extent of the patch that is written.

    Returns:
        For y and for x: float32 [B, h, K] and [B, w, K] cells from the peak, and
        bool of the same shapes, true inside the patch.
    """
    reach = 3 * sigma
    # A patch has the samples 0, 1, ... < 2 * reach + 1 and its peak at this one.
    peak = (2 * reach + 1) // 2
    points = points.astype(jnp.float32)

    def along(axis: int, length: int) -> tuple[jax.Array, jax.Array]:
        # Both truncate toward zero, which moves negative corners inwards.
        first = jnp.trunc(points[:, None, :, axis] - reach)
        last = jnp.trunc(points[:, None, :, axis] + reach + 1)
        cell = jnp.arange(length, dtype=jnp.float32)[None, :, None]
        return cell - first - peak, (cell >= first) & (cell < last)

    (down, in_rows), (right, in_columns) = along(1, size[0]), along(0, size[1])
    return (down, right), (in_rows, in_columns)
