"""MixUp and CutMix, on the device: images of a batch mixed with their neighbours.

The partner of image 2 n is image 2 n + 1 and the other way round. Batches are shuffled,
so that is as good as any pairing; and as each device has an even number of neighbours in
a row, no image travels between devices, and which are paired does not depend on their
number, nor on that of the processes. (Where a device has an odd number, images are
exchanged with the next.)

One mixture is drawn for a whole batch, as both papers' code and timm do, so that all
devices draw the same. It is a function of the key of the step, and a run that is resumed
draws what it would have drawn.
"""

import jax
import jax.numpy as jnp

from hrnet_jax.classification.options import LossOptions
from hrnet_jax.errors import ConfigError


def mixed(
    images: jax.Array, targets: jax.Array, options: LossOptions, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Images and targets of a batch, mixed with those of their neighbours.

    Args:
        images: [B, H, W, 3], values of any scale.
        targets: float32 [B, K].
        options: which mixtures, and how often.
        key: of the step.

    Returns:
        float32 [B, H, W, 3] and [B, K].

    Raises:
        ConfigError: for an odd number of images.
    """
    if len(images) % 2:
        raise ConfigError(
            f"batches (or micro-batches) of {len(images)} images cannot be mixed in pairs; "
            "expected an even config key 'batch_size', or loss.mixup=0 and loss.cutmix=0"
        )
    height, width = images.shape[1:3]
    weights, share = _drawn((height, width), options, key)
    images = images.astype(jnp.float32)
    weights = weights[:, :, None]
    return (
        weights * images + (1 - weights) * neighbours(images),
        share * targets + (1 - share) * neighbours(targets),
    )


def neighbours(rows: jax.Array) -> jax.Array:
    """Rows [B, ...] in the order 1, 0, 3, 2, ..."""
    pairs = rows.reshape(len(rows) // 2, 2, *rows.shape[1:])
    return pairs[:, ::-1].reshape(rows.shape)


def _drawn(
    size: tuple[int, int], options: LossOptions, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Weight of each pixel of the own image [H, W], and the share of the own target."""
    whether, which, how = jax.random.split(key, 3)
    mixes = jax.random.uniform(whether) < options.mix_probability
    if options.mixup and options.cutmix:
        cuts = jax.random.uniform(which) < 0.5
    else:
        cuts = jnp.asarray(options.cutmix > 0)
    weights, share = jnp.ones(size), jnp.ones(())
    if options.mixup:
        share = beta(how, options.mixup)
        weights = jnp.full(size, share)
    if options.cutmix:
        cut, kept = cut_out(size, options.cutmix, how)
        weights, share = jnp.where(cuts, cut, weights), jnp.where(cuts, kept, share)
    return jnp.where(mixes, weights, 1.0), jnp.where(mixes, share, 1.0)


def beta(key: jax.Array, parameter: float) -> jax.Array:
    """A number of the distribution Beta(a, a), which is uniform for a = 1."""
    if parameter == 1:
        return jax.random.uniform(key)
    return jax.random.beta(key, parameter, parameter)


def cut_out(
    size: tuple[int, int], parameter: float, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Which pixels stay, and the share of them.

    A rectangle of the image's proportions and of 1 - lambda of its area, around a point
    anywhere in it, as far as it is inside (Yun et al. 2019, "CutMix", section 3.1, and
    `rand_bbox` of its code).

    Args:
        size: (H, W).
        parameter: lambda is of Beta(a, a).
        key: of the step.

    Returns:
        float32 [H, W], 0 in the rectangle and 1 around it; their mean.
    """
    of_area, *of_centre = jax.random.split(key, 3)
    side = jnp.sqrt(1 - beta(of_area, parameter))
    inside = []
    for length, own in zip(size, of_centre, strict=True):
        half = jnp.floor(length * side).astype(jnp.int32) // 2
        centre = jax.random.randint(own, (), 0, length)
        places = jnp.arange(length)
        inside.append((places >= centre - half) & (places < centre + half))
    kept = jnp.where(inside[0][:, None] & inside[1][None, :], 0.0, 1.0)
    area = jnp.sum(inside[0]) * jnp.sum(inside[1])
    return kept, 1 - area / (size[0] * size[1])
