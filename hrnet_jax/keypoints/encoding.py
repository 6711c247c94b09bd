"""From points to heatmaps, on the device, at any heatmap size."""

import jax
import jax.numpy as jnp


def crop_to_cells(
    points: jax.Array, crop_size: tuple[int, int], heatmap_size: tuple[int, int]
) -> jax.Array:
    """Crop pixels to heatmap cells.

    A cell covers a block of pixels, as many as the network's stride; its centre is the
    middle of the block. So the mirror of a point in the crop is the mirror of its cell,
    where whole cells make up the crop.

    Args:
        points: float [..., 2], (x, y).
        crop_size: (height, width) of the crop.
        heatmap_size: (height, width) of the heatmaps.
    """
    ratio = _pixels_per_cell(crop_size, heatmap_size)
    return (points + 0.5) / ratio - 0.5


def cells_to_crop(
    cells: jax.Array, crop_size: tuple[int, int], heatmap_size: tuple[int, int]
) -> jax.Array:
    """The inverse of `crop_to_cells`."""
    ratio = _pixels_per_cell(crop_size, heatmap_size)
    return (cells + 0.5) * ratio - 0.5


def _pixels_per_cell(
    crop_size: tuple[int, int], heatmap_size: tuple[int, int]
) -> jax.Array:
    (height, width), (rows, columns) = crop_size, heatmap_size
    # Heatmaps are rounded up; the last cells may look beyond the crop.
    return jnp.array([-(-width // columns), -(-height // rows)], jnp.float32)


def inside(cells: jax.Array, size: tuple[int, int], reach: float = 0.0) -> jax.Array:
    """Whether points are on a heatmap, bool [...], for cells [..., 2].

    Args:
        cells: (x, y).
        size: (height, width) of the heatmap.
        reach: how many cells outside a point still counts as on it.
    """
    rows, columns = size
    limit = jnp.array([columns, rows], jnp.float32) + reach
    return jnp.all((cells >= -0.5 - reach) & (cells < limit - 0.5), -1)


def gaussian_heatmaps(
    cells: jax.Array, size: tuple[int, int], sigma: float
) -> jax.Array:
    """A Gaussian with peak 1 for every point, centred between cells where it is.

    exp(-((x - px)^2 + (y - py)^2) / (2 sigma^2)); the published code rounds the centre
    and cuts the tails (`official.gaussian_heatmaps`), which costs accuracy (Zhang et
    al., "Distribution-aware coordinate representation", CVPR 2020, section 3.2).

    Args:
        cells: float [B, K, 2], (x, y) in heatmap cells.
        size: (height, width) of the heatmaps.
        sigma: standard deviation in cells.

    Returns:
        float32 [B, height, width, K].
    """
    height, width = size
    along_x = _gaussian(cells[..., 0], width, sigma)
    along_y = _gaussian(cells[..., 1], height, sigma)
    return along_y[:, :, None, :] * along_x[:, None, :, :]


def _gaussian(centers: jax.Array, length: int, sigma: float) -> jax.Array:
    """[B, K] to [B, length, K]."""
    places = jnp.arange(length, dtype=jnp.float32)[:, None]
    distance = places - centers.astype(jnp.float32)[:, None, :]
    return jnp.exp(-jnp.square(distance) / (2 * sigma**2))
