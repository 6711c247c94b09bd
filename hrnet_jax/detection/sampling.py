"""Which anchors or regions a loss is computed of, drawn for one image."""

import dataclasses

import jax
import jax.numpy as jnp

from hrnet_jax.detection.matching import BACKGROUND
from hrnet_jax.detection.nms import top_candidates


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Sample:
    """What was drawn: positives, then background, then nothing.

    Attributes:
        index: int32 [count] into what was drawn from; 0 where nothing was.
        valid: bool [count].
        positive: bool [count].
    """

    index: jax.Array
    valid: jax.Array
    positive: jax.Array


def image_keys(key: jax.Array, positions: jax.Array, stage: int = 0) -> jax.Array:
    """A key for every image of a batch.

    What is drawn for an image depends on its place in the batch of all devices and
    hosts, on the step and on the seed, not on how the batch is divided.

    Args:
        key: of this training step: `fold_in(key(seed), step)`.
        positions: int [B], places of the images in the global batch.
        stage: number of the draw, where several are made for an image.

    Returns:
        Keys [B].
    """
    of_stage = jax.random.fold_in(key, stage)
    return jax.vmap(lambda place: jax.random.fold_in(of_stage, place))(positions)


def sample_labels(
    key: jax.Array,
    assigned: jax.Array,
    count: int,
    most_positive: int,
    priority: jax.Array | None = None,
) -> Sample:
    """Draws up to `count` of what is matched, without replacement.

    Args:
        key: of the image; not looked at with `priority`.
        assigned: int [A] of `match`: an object, background, or ignored.
        count: how many to draw; fewer are valid where there are fewer.
        most_positive: at most so many of them are positive; background takes the
            places that positives leave.
        priority: uint32 [A], instead of a random one: those with the smallest are
            taken, ties by index. The largest two numbers count as one.

    Returns:
        Positives and background in the order of their priorities.
    """
    if priority is None:
        priority = jax.random.bits(key, assigned.shape, jnp.uint32)
    # 0 is the urgency of what is not asked for.
    urgency = jnp.maximum(~priority.astype(jnp.uint32), 1)
    positive, background = assigned >= 0, assigned == BACKGROUND
    first = top_candidates(urgency, min(most_positive, count), positive)[1]
    others = top_candidates(urgency, count, background)[1]
    positives = jnp.minimum(positive.sum(dtype=jnp.int32), len(first))
    number = positives + background.sum(dtype=jnp.int32)
    place = jax.lax.iota(jnp.int32, count)
    valid = place < number
    candidates = jnp.concatenate([first, others])
    # Background begins behind all places of positives in `candidates`.
    shift = jnp.where(place < positives, 0, len(first) - positives)
    index = candidates.at[place + shift].get(mode="fill", fill_value=0)
    return Sample(jnp.where(valid, index, 0), valid, place < positives)
