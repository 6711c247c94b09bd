"""Heatmap losses over the whole (global) batch."""

import jax
import jax.numpy as jnp


def heatmap_mse(
    heatmaps: jax.Array, targets: jax.Array, weights: jax.Array | None = None
) -> jax.Array:
    """Mean squared error over all elements of all heatmaps.

    Source: HRNet-Facial-Landmark-Detection, `torch.nn.MSELoss(size_average=True)`
    in `tools/train.py`, which weights nothing; there per GPU, here over all
    devices.

    Args:
        heatmaps: float [B, h, w, K].
        targets: float [B, h, w, K], in the same units.
        weights: float [B, K], not negative; zero for points that nobody
            annotated. None weights all points alike.

    Returns:
        Scalar in the type of the heatmaps: the sum of the weighted errors
        divided by that of the weights of all elements. Points of weight zero
        count nowhere, and the loss is zero where all are.

    Raises:
        ValueError: for shapes that differ, which would broadcast silently.
    """
    if targets.shape != heatmaps.shape:
        raise ValueError(
            f"targets of shape {targets.shape} for heatmaps {heatmaps.shape}"
        )
    errors = jnp.square(heatmaps - targets.astype(heatmaps.dtype))
    if weights is None:
        return jnp.mean(errors)
    batch, height, width, points = heatmaps.shape
    if weights.shape != (batch, points):
        raise ValueError(
            f"weights of shape {weights.shape}, expected one for each of "
            f"{batch} x {points} points"
        )
    weights = weights.astype(heatmaps.dtype)
    total = jnp.sum(weights * jnp.sum(errors, (1, 2)))
    count = jnp.sum(weights)
    return total / (jnp.where(count > 0, count, 1) * (height * width))
