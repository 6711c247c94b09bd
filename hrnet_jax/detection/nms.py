"""Non-maximum suppression with static shapes, and the best of many scores.

Both are exact: they choose what the plain algorithms choose, whatever the threshold,
the ties and the number of candidates.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.detection import boxes as box_math
from hrnet_jax.runtime.target import per_target, target


def suppresses(
    a: jax.Array,
    b: jax.Array,
    threshold: float,
    plus_one: float = 0.0,
    at_least: bool = False,
) -> jax.Array:
    """Which boxes overlap which by more than a threshold.

    Args:
        a: [N, 4].
        b: [M, 4].
        threshold: of intersection over union.
        plus_one: see `Conventions`.
        at_least: an overlap of just the threshold suffices, as in CPU programs of
            mmdetection 1; programs for GPUs were always as without.

    Returns:
        bool [N, M]; never for two empty boxes.
    """
    overlap = box_math.pair_iou(a, b, plus_one)
    return overlap >= threshold if at_least else overlap > threshold


def fixed_point(suppressing: jax.Array, valid: jax.Array) -> jax.Array:
    """What greedy suppression keeps of boxes in the order of their scores.

    That is the only set in which a box is exactly where no earlier box of the set
    suppresses it. Starting with all boxes, every round settles at least one more from
    the front: at most N rounds, about 5 to 10 on boxes that detectors make.

    Args:
        suppressing: bool [N, N]; [i, j] where box i, if kept, suppresses box j.
            What is not above the diagonal is not looked at.
        valid: bool [N].

    Returns:
        bool [N].
    """
    earlier = jnp.triu(suppressing, 1)

    def one_round(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        keep, _ = state
        better = valid & ~(keep[:, None] & earlier).any(0)
        return better, (better != keep).any()

    start = (valid, jnp.asarray(True))
    return jax.lax.while_loop(lambda state: state[1], one_round, start)[0]


class _Kept(NamedTuple):
    """What is kept so far, in the order of scores."""

    block: jax.Array  # int32: the next block to look at
    number: jax.Array  # int32: kept boxes; more than there is room for at the end
    indices: jax.Array  # int32 [max_out]
    boxes: jax.Array  # [max_out, 4]
    group: jax.Array  # int32 [max_out]


def nms(
    boxes: jax.Array,
    scores: jax.Array,
    valid: jax.Array,
    threshold: float,
    max_out: int,
    group: jax.Array | None = None,
    plus_one: float = 0.0,
    block: int = 256,
    at_least: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """Greedy non-maximum suppression: the best boxes that no better one suppresses.

    Boxes are taken in blocks in the order of scores, ties by index. What a kept box
    suppresses goes, then what boxes of the block suppress; it ends when `max_out` are
    kept. Memory is that of max_out times block overlaps, for any number of boxes.
    Over images use `jax.vmap`; for levels and classes `group`, which is faster.

    Args:
        boxes: float [N, 4].
        scores: float [N].
        valid: bool [N]; other boxes neither suppress nor are kept.
        threshold: a box is suppressed by overlaps above it.
        max_out: boxes to keep at most.
        group: int [N], level or class; boxes of different groups do not suppress each
            other.
        plus_one: see `Conventions`.
        block: boxes to look at together; the result does not depend on it.
        at_least: see `suppresses`.

    Returns:
        index: int32 [max_out], best first; 0 where nothing is kept.
        kept: bool [max_out], true at the front.
    """
    boxes, scores = jax.lax.stop_gradient((jnp.asarray(boxes), jnp.asarray(scores)))
    valid = jnp.asarray(valid)
    if not scores.shape[0] or not max_out:
        return jnp.zeros(max_out, jnp.int32), jnp.zeros(max_out, bool)
    block = min(block, scores.shape[0])
    order = _order(scores, valid, block)
    live = valid.at[order].get(mode="fill", fill_value=False)
    boxes = boxes.at[order].get(mode="fill", fill_value=0)
    groups = jnp.zeros_like(order)
    if group is not None:
        groups = jnp.asarray(group, jnp.int32)
        groups = groups.at[order].get(mode="fill", fill_value=0)
    # Blocks after the last valid box need no look.
    blocks = jnp.where(live, jnp.arange(len(order)) // block + 1, 0).max()

    def suppressed_by(first: tuple, second: tuple) -> jax.Array:
        overlap = suppresses(first[0], second[0], threshold, plus_one, at_least)
        return overlap & (first[1][:, None] == second[1][None])

    def one_block(state: _Kept) -> _Kept:
        cut = _cutter(state.block * block, block)
        these = (cut(boxes), cut(groups))
        kept = jnp.arange(max_out) < state.number
        by_kept = suppressed_by((state.boxes, state.group), these) & kept[:, None]
        keep = fixed_point(suppressed_by(these, these), cut(live) & ~by_kept.any(0))
        places = jnp.where(keep, state.number + jnp.cumsum(keep) - 1, max_out)
        return _Kept(
            state.block + 1,
            state.number + keep.sum(dtype=jnp.int32),
            state.indices.at[places].set(cut(order), mode="drop"),
            state.boxes.at[places].set(these[0], mode="drop"),
            state.group.at[places].set(these[1], mode="drop"),
        )

    start = _Kept(
        jnp.int32(0),
        jnp.int32(0),
        jnp.zeros(max_out, jnp.int32),
        jnp.zeros((max_out, 4), boxes.dtype),
        jnp.zeros(max_out, jnp.int32),
    )
    found = jax.lax.while_loop(
        lambda state: (state.block < blocks) & (state.number < max_out),
        one_block,
        start,
    )
    return found.indices, jnp.arange(max_out) < found.number


def _order(scores: jax.Array, valid: jax.Array, block: int) -> jax.Array:
    """Indices of boxes from the best, invalid ones last, filled to whole blocks."""
    worst_last = jnp.where(valid, -scores, jnp.inf)
    index = jax.lax.iota(jnp.int32, len(scores))
    _, order = jax.lax.sort((worst_last, index), is_stable=True, num_keys=1)
    return jnp.pad(order, (0, -len(scores) % block), constant_values=len(scores))


def _cutter(start: jax.Array, length: int):
    """The function that cuts rows `start` to `start + length` out of an array."""
    return lambda rows: jax.lax.dynamic_slice_in_dim(rows, start, length)


def top_candidates(
    scores: jax.Array, count: int, valid: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
    """The best scores, best first, ties by index.

    For TPUs `jax.lax.top_k` of many among many takes half a minute to compile; there
    the bits of the last score that is wanted are found by counting, one by one.

    Args:
        scores: float or unsigned integer [N], not NaN.
        count: how many are wanted; all if there are fewer.
        valid: bool [N]; other scores count as the smallest, -inf or 0.

    Returns:
        scores: [min(count, N)].
        index: int32 [min(count, N)].
    """
    count = min(count, len(scores))
    if jnp.issubdtype(scores.dtype, jnp.floating):
        # Both zeros are a tie.
        scores = jnp.where(scores == 0, jnp.zeros_like(scores), scores)
        worst = jnp.asarray(-jnp.inf, scores.dtype)
    else:
        worst = jnp.asarray(0, scores.dtype)
    if valid is not None:
        scores = jnp.where(valid, scores, worst)

    def best(scores: jax.Array) -> tuple[jax.Array, jax.Array]:
        if target() == "tpu" and count:
            return _best_by_counting(scores, count)
        values, index = jax.lax.top_k(scores, count)
        return values, index

    return per_target(best, scores)


def _best_by_counting(scores: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """`jax.lax.top_k` element for element, by counting and one small sort."""
    keys = _ordered_bits(scores)
    bits = keys.dtype.itemsize * 8
    one = jnp.ones((), keys.dtype)

    def settle(step: jax.Array, known: jax.Array) -> jax.Array:
        tried = known | one << (bits - 1 - step).astype(keys.dtype)
        enough = (keys >= tried).sum(dtype=jnp.int32) >= count
        return jnp.where(enough, tried, known)

    last = jax.lax.fori_loop(0, bits, settle, jnp.zeros((), keys.dtype))
    above, equal = keys > last, keys == last
    missing = count - above.sum(dtype=jnp.int32)
    chosen = above | (equal & (jnp.cumsum(equal, dtype=jnp.int32) <= missing))
    # The n-th chosen one is where the running count first is n.
    running = jnp.cumsum(chosen, dtype=jnp.int32)
    index = jnp.searchsorted(running, jnp.arange(1, count + 1, dtype=jnp.int32))
    found = keys[index]
    _, order = jax.lax.sort(
        (~found, jax.lax.iota(jnp.int32, count)), is_stable=True, num_keys=1
    )
    index = index[order].astype(jnp.int32)
    return scores[index], index


def _ordered_bits(scores: jax.Array) -> jax.Array:
    """Unsigned integers in the order of the scores."""
    if jnp.issubdtype(scores.dtype, jnp.unsignedinteger):
        return scores
    dtype = np.dtype(f"uint{scores.dtype.itemsize * 8}")
    keys = jax.lax.bitcast_convert_type(scores, dtype)
    sign = jnp.asarray(1 << (dtype.itemsize * 8 - 1), dtype)
    # Of negative numbers, those with larger bits are smaller.
    return jnp.where(keys & sign != 0, ~keys, keys | sign)
