"""Losses of the overlap of whole classes: Dice and Lovasz-softmax.

Both are of the global batch: a class is one region over all its images, and classes
that no pixel of it is labelled with do not count.
"""

import jax
import jax.numpy as jnp

from hrnet_jax.segmentation.phases import at_pixels, is_large
from hrnet_jax.segmentation.weighing import is_labelled, mean_over_classes


def dice_loss(
    logits: jax.Array,
    labels: jax.Array,
    class_weights: tuple[float, ...],
    upsample: str,
) -> jax.Array:
    """Weighted mean over classes of 1 - 2 sum(p y) / (sum(p) + sum(y)).

    p are softmax probabilities and y is 1 where the label is the class; sums are over
    the labelled pixels of the batch. Source: Sudre et al., "Generalised Dice overlap
    as a deep learning loss function", DLMIA 2017, equation 1, without a constant, as
    absent classes are left out. Large maps go by phases: nothing larger than one phase
    of the logits is made.

    Args:
        logits: float [B, h, w, K], resized to the labels.
        labels: int [B, H, W]; outside 0..K-1 is ignored.
        class_weights: one factor per class, or empty for none.
        upsample: `bilinear` or `align_corners`.

    Returns:
        Scalar, in the type of the logits; zero where no pixel is labelled.
    """

    def sums(logits: jax.Array, labels: jax.Array) -> jax.Array:
        labelled = is_labelled(labels, logits.shape[-1])[..., None]
        p = jnp.where(labelled, jax.nn.softmax(logits), 0)
        y = labels[..., None] == jnp.arange(logits.shape[-1])
        pixels = tuple(range(labels.ndim))
        both, truth = jnp.where(y, p, 0), y.astype(p.dtype)
        return jnp.stack([jnp.sum(x, pixels) for x in (both, p, truth)])

    large = is_large(logits, labels)
    found = at_pixels(sums, logits, labels, upsample, large)
    both, p, y = jnp.sum(found.reshape(-1, 3, logits.shape[-1]), 0)
    # Where a class is absent the quotient may be 0 / 0.
    dice = 2 * both / jnp.where(y > 0, p + y, 1)
    return mean_over_classes(1 - dice, y, class_weights)


def lovasz_softmax(
    logits: jax.Array,
    labels: jax.Array,
    class_weights: tuple[float, ...],
    upsample: str,
) -> jax.Array:
    """Weighted mean over classes of the Lovasz extension of 1 - IoU.

    Source: Berman et al., "The Lovasz-Softmax loss", CVPR 2018, equation 9 and
    algorithm 1; over the batch, classes that are present.

    Class after class, and computed again in the backward pass: beside the logits it
    holds some ten arrays of one number for each pixel of the batch, whatever the number
    of classes. Sorting gathers them on every device.

    Args:
        logits: as for `dice_loss`, as the others.
        labels: see there.
        class_weights: see there.
        upsample: see there.

    Returns:
        Scalar, in the type of the logits; zero where no pixel is labelled.
    """
    large = is_large(logits, labels)
    sums, order = at_pixels(
        lambda x, y: (jax.nn.logsumexp(x, -1), y), logits, labels, upsample, large
    )
    sums, order = sums.ravel(), order.ravel()
    labelled = is_labelled(order, logits.shape[-1])

    @jax.checkpoint
    def of_class(inputs: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        scores, number = inputs
        scores = at_pixels(lambda x, _: x[..., 0], scores, labels, upsample, large)
        p = jnp.exp(scores.ravel() - sums)
        truth = order == number
        errors = jnp.where(labelled, jnp.where(truth, 1 - p, p), 0)
        slopes = jaccard_slopes(errors, truth, labelled)
        return jnp.sum(errors * slopes), jnp.sum(truth)

    maps = jnp.moveaxis(logits, -1, 0)[..., None]
    losses, pixels = jax.lax.map(of_class, (maps, jnp.arange(len(maps))))
    return mean_over_classes(losses, pixels, class_weights)


def jaccard_slopes(
    errors: jax.Array, truth: jax.Array, labelled: jax.Array
) -> jax.Array:
    """What 1 - IoU grows by when pixels become wrong, those of largest error first.

    With I pixels of the class still right and a union of U, a pixel of the class adds
    1 / U, and another one I / (U (U - 1)): differences of IoU without their
    cancellation, which in float32 would be most of them.

    Args:
        errors: float [N].
        truth: bool [N], whether a pixel is labelled with the class.
        labelled: bool [N], others come last.

    Returns:
        In the order and the type of the errors; constant to derivatives.
    """
    keys = jnp.where(labelled, -jax.lax.stop_gradient(errors), 1)
    places = jnp.arange(errors.size, dtype=jnp.int32)
    # Sorted back instead of scattered, which is slow where scattering is serial.
    _, is_truth, places = jax.lax.sort(
        (keys, truth.astype(jnp.int32), places), num_keys=1
    )
    right = jnp.cumsum(is_truth)
    count = right[-1]
    union = (count + 1 + jnp.arange(errors.size) - right).astype(errors.dtype)
    left = (count - right).astype(errors.dtype)
    slopes = jnp.where(
        is_truth == 1,
        1 / jnp.maximum(union, 1),
        left / union / jnp.maximum(union - 1, 1),
    )
    return jax.lax.sort((places, slopes), num_keys=1)[1]
