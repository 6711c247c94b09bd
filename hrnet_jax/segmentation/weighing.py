"""Which pixels count in a loss, and how much."""

import jax
import jax.numpy as jnp


def is_labelled(labels: jax.Array, num_classes: int) -> jax.Array:
    """Whether pixels have a class, bool like the labels; 255 and any other have none."""
    return (labels >= 0) & (labels < num_classes)


def pixel_weights(
    labels: jax.Array, logits: jax.Array, class_weights: tuple[float, ...]
) -> jax.Array:
    """Weight of every pixel, in the type of the logits; zero without a class.

    Args:
        labels: int, any shape.
        logits: [..., K], for the number of classes and the type alone.
        class_weights: one factor per class, or empty for none.
    """
    weights = is_labelled(labels, logits.shape[-1]).astype(logits.dtype)
    if class_weights:
        factors = jnp.asarray(class_weights, logits.dtype)
        one_hot = labels[..., None] == jnp.arange(logits.shape[-1])
        weights = weights * jnp.sum(jnp.where(one_hot, factors, 0), axis=-1)
    return weights


def mean_over_classes(
    losses: jax.Array, pixels: jax.Array, class_weights: tuple[float, ...]
) -> jax.Array:
    """Weighted mean over the classes that are there, zero if none is.

    Args:
        losses: [K], one for each class.
        pixels: [K], how many are labelled with it; a class without does not count.
        class_weights: one factor per class, or empty for none.
    """
    factors = jnp.asarray(class_weights or 1.0, losses.dtype)
    weights = jnp.where(pixels > 0, factors, 0)
    return ratio(jnp.sum(weights * losses), jnp.sum(weights))


def ratio(total: jax.Array, count: jax.Array) -> jax.Array:
    """total / count, and zero where nothing counts."""
    return total / jnp.where(count > 0, count, 1).astype(total.dtype)
