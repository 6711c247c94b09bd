"""Losses of image classification."""

import jax
import jax.numpy as jnp


def smoothed(targets: jax.Array, smoothing: float) -> jax.Array:
    """Targets [..., K] of which a share is spread over all classes alike.

    (1 - s) t + s / K (Szegedy et al. 2016, "Rethinking the Inception Architecture",
    section 7; PyTorch's `label_smoothing`).
    """
    return (1 - smoothing) * targets + smoothing / targets.shape[-1]


def cross_entropy(
    logits: jax.Array, targets: jax.Array, *, several: bool = False
) -> jax.Array:
    """Mean loss of a batch.

    Args:
        logits: float32 [B, K].
        targets: float32 [B, K], probabilities of the classes.
        several: whether an image may have several classes: the mean over the classes of
            their binary cross-entropies, else -sum(t log softmax).
    """
    if several:
        losses = -(
            targets * jax.nn.log_sigmoid(logits)
            + (1 - targets) * jax.nn.log_sigmoid(-logits)
        )
        return jnp.mean(losses)
    return jnp.mean(-jnp.sum(targets * jax.nn.log_softmax(logits), -1))


def distillation(
    logits: jax.Array,
    teacher: jax.Array,
    temperature: float,
    *,
    several: bool = False,
) -> jax.Array:
    """Divergence of a network's probabilities from a teacher's, 0 where both agree.

    T^2 KL(softmax(z / T) || softmax(x / T)), which keeps the size of the gradient
    whatever T is (Hinton et al. 2015, "Distilling the Knowledge in a Neural Network",
    section 2).

    Args:
        logits: of the network, x, float32 [B, K].
        teacher: of the teacher, z, float32 [B, K]; no gradient flows to it.
        temperature: T.
        several: as for `cross_entropy`; the mean over the classes then.
    """
    soft = jax.lax.stop_gradient(teacher) / temperature
    probabilities = jax.nn.sigmoid(soft) if several else jax.nn.softmax(soft)
    # The entropy of the teacher is what is left where both agree.
    difference = cross_entropy(
        logits / temperature, probabilities, several=several
    ) - cross_entropy(soft, probabilities, several=several)
    return temperature**2 * difference
