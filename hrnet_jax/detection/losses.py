"""Losses of detectors, element by element; the caller sums and divides.

All are computed in float32 or wider.
"""

import jax
import jax.numpy as jnp
import numpy as np

# Overlaps below count as this one, so that the logarithm stays finite (mmdetection).
_LEAST_OVERLAP = 1e-6
_EPSILON = float(np.finfo(np.float32).eps)


def smooth_l1(difference: jax.Array, beta: float) -> jax.Array:
    """d^2 / (2 beta) for |d| < beta, else |d| - beta / 2; |d| for beta 0.

    Girshick 2015, equation 3, with the width `beta` of its parabola.
    """
    size = jnp.abs(difference)
    if beta == 0:
        return size
    return jnp.where(size < beta, 0.5 * size * size / beta, size - 0.5 * beta)


def binary_cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """-t log p - (1 - t) log(1 - p) with p = sigmoid(logits); targets in 0..1."""
    targets = targets.astype(logits.dtype)
    return jnp.maximum(logits, 0) - logits * targets + jax.nn.softplus(-abs(logits))


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """-log softmax of [..., K] at int labels [...]."""
    chosen = jnp.take_along_axis(logits, labels[..., None], -1)[..., 0]
    return jax.nn.logsumexp(logits, -1) - chosen


def focal(
    logits: jax.Array, targets: jax.Array, alpha: float = 0.25, gamma: float = 2.0
) -> jax.Array:
    """Cross entropy that counts little where the network is right already.

    w (1 - p_t)^gamma (-log p_t), where p_t is the probability of the target and w is
    alpha for positives, 1 - alpha for others: Lin et al. 2017, equation 5.

    Args:
        logits: of independent classes, any shape.
        targets: bool of the same shape.
        alpha: weight of positives.
        gamma: exponent.
    """
    wrong = jax.nn.sigmoid(jnp.where(targets, -logits, logits))
    weight = jnp.where(targets, alpha, 1 - alpha)
    return weight * wrong**gamma * binary_cross_entropy(logits, targets)


def overlap_loss(overlap: jax.Array) -> jax.Array:
    """-log of an intersection over union (Yu et al. 2016)."""
    return -jnp.log(jnp.maximum(overlap, _LEAST_OVERLAP))


def mean_over(
    total: jax.Array, count: jax.Array | float, least: float = 1
) -> jax.Array:
    """A sum over a number of examples, which counts as `least` if smaller.

    The number is larger by 1e-7, as in mmdetection, which shows in float64 alone.
    """
    return total / (jnp.maximum(jnp.asarray(count, total.dtype), least) + _EPSILON)
