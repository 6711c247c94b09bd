"""Weights of targets, and decoding, as in the published pose code, on the device.

Source: deep-high-resolution-net.pytorch, `generate_target` in
`lib/dataset/JointsDataset.py` and `get_final_preds` in `lib/core/inference.py`. Targets
themselves are those of `targets.gaussian_heatmaps`, around whole cells.
"""

import jax
import jax.numpy as jnp

from hrnet_jax.keypoints.decoding import highest_cells, quarter_offsets


def reaching(cells: jax.Array, size: tuple[int, int], sigma: float) -> jax.Array:
    """Whether the patch of a target, three sigmas to each side, meets the map.

    One that ends just before the first row or column counts as well, with an empty map.

    Args:
        cells: float [B, K, 2], (x, y), whole numbers.
        size: (height, width) of the heatmaps.
        sigma: in cells.

    Returns:
        bool [B, K].
    """
    reach = 3 * sigma
    limit = jnp.array([size[1], size[0]], jnp.float32)
    first, end = jnp.trunc(cells - reach), jnp.trunc(cells + reach + 1)
    return jnp.all((first < limit) & (end >= 0), -1)


def decode_cells(heatmaps: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Peaks of heatmaps, moved by a quarter of a cell towards the higher side.

    A peak in the two first or the last rows or columns stays.

    Args:
        heatmaps: float [B, h, w, K].

    Returns:
        Cells float32 [B, K, 2], (x, y) counted from zero; (0, 0) for maps without a
        positive value. Scores [B, K], the height of the peaks.
    """
    peak, scores = highest_cells(heatmaps)
    moved = peak + quarter_offsets(heatmaps, peak, first=2)
    return jnp.where((scores > 0)[..., None], moved, 0).astype(jnp.float32), scores
