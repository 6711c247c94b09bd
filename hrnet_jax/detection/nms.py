"""Non-maximum suppression with static shapes, and the best of many scores.

Both are exact: they choose what the plain algorithms choose, whatever the threshold,
the ties and the number of candidates.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.detection import boxes as box_math
from hrnet_jax.runtime.mesh import on_own_images
from hrnet_jax.runtime.target import is_only_for, per_target, target
from hrnet_jax.runtime.whole_operations import whole


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
    later = jnp.triu(suppressing, 1).T

    def one_round(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        keep, _ = state
        better = valid & ~_any_of(later, keep)
        return better, (better != keep).any()

    start = (valid, jnp.asarray(True))
    return jax.lax.while_loop(lambda state: state[1], one_round, start)[0]


def _any_of(matrix: jax.Array, flags: jax.Array) -> jax.Array:
    """Which rows of a bool matrix are true where one of the flags is.

    As a product: compilers fuse what makes a matrix into a search along it, which then
    is not vectorised. Sums of zeros and ones are exact in all precisions.
    """
    return matrix.astype(jnp.float32) @ flags.astype(jnp.float32) > 0


class _Kept(NamedTuple):
    """What is kept so far, in the order of scores."""

    number: jax.Array  # int32: kept boxes; more than there is room for at the end
    indices: jax.Array  # int32 [R], with room for R >= max_out
    corners: jax.Array  # [4, R]
    groups: jax.Array  # int32 [R]


class _Candidates(NamedTuple):
    """Boxes to look at, best first; a whole number of blocks."""

    indices: jax.Array  # int32 [K]
    live: jax.Array  # bool [K]
    corners: jax.Array  # [4, K]
    groups: jax.Array  # int32 [K]


# Candidates that are sorted together: sorting all of 80,000 would take longer than
# all the rest.
_SORTED = 4096
# Kept boxes that a block is compared with together, for CPUs: most of the room for them
# is empty most of the time. Elsewhere it is one comparison, whatever the room.
_COMPARED = 256


def nms(
    boxes: jax.Array,
    scores: jax.Array,
    valid: jax.Array,
    threshold: float,
    max_out: int,
    group: jax.Array | None = None,
    plus_one: float = 0.0,
    block: int | None = None,
    at_least: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """Greedy non-maximum suppression: the best boxes that no better one suppresses.

    Boxes are taken in blocks in the order of scores, ties by index, until `max_out` are
    kept; memory is that of max_out times block overlaps. Over images use `jax.vmap`;
    for levels and classes `group`, which is faster.

    Args:
        boxes: float [N, 4].
        scores: float [N], not NaN.
        valid: bool [N]; other boxes neither suppress nor are kept.
        threshold: a box is suppressed by overlaps above it.
        max_out: boxes to keep at most.
        group: int [N], level or class; boxes of different groups do not suppress each
            other.
        plus_one: see `Conventions`.
        block: boxes to look at together, 128 for CPUs and 256 elsewhere if None; the
            result does not depend on it.
        at_least: see `suppresses`.

    Returns:
        index: int32 [max_out], best first; 0 where nothing is kept.
        kept: bool [max_out], true at the front.
    """
    boxes, scores = jax.lax.stop_gradient((jnp.asarray(boxes), jnp.asarray(scores)))
    if not len(scores) or not max_out:
        return jnp.zeros(max_out, jnp.int32), jnp.zeros(max_out, bool)
    block = block or (128 if is_only_for("cpu") else 256)
    groups = jnp.asarray(np.zeros(len(scores)) if group is None else group, jnp.int32)
    # Valid ones come before others, which count as -inf.
    scores = jnp.maximum(scores, jnp.finfo(scores.dtype).min)

    suppressed_by = functools.partial(
        _suppressed_by, threshold=threshold, plus_one=plus_one, at_least=at_least
    )

    def one_sorting(state: tuple[_Kept, jax.Array]) -> tuple[_Kept, jax.Array]:
        kept, left = state
        _, index = top_candidates(scores, _SORTED, left)
        candidates = _Candidates(index, left[index], boxes[index].T, groups[index])
        kept = _look_through(kept, candidates, suppressed_by, min(block, len(scores)))
        return kept, left.at[index].set(False)

    def goes_on(state: tuple[_Kept, jax.Array]) -> jax.Array:
        return (state[0].number < max_out) & state[1].any()

    start = _nothing_kept(max_out, boxes.dtype), jnp.asarray(valid)
    kept, _ = jax.lax.while_loop(goes_on, one_sorting, start)
    return kept.indices[:max_out], jnp.arange(max_out) < kept.number


def nms_of_images(
    boxes: jax.Array,
    scores: jax.Array,
    valid: jax.Array,
    threshold: float,
    max_out: int,
    group: jax.Array,
    groups: int,
    plus_one: float = 0.0,
) -> tuple[jax.Array, jax.Array]:
    """`nms` of every image of a batch; one operation where a format has it.

    Args:
        boxes: float [B, N, 4].
        scores: float [B, N].
        valid: bool [B, N].
        threshold: see `nms`, as for all others.
        max_out: boxes of an image to keep at most.
        group: int [B, N].
        groups: how many there are; numbers in `group` are below it.
        plus_one: see `Conventions`.

    Returns:
        index: int32 [B, max_out].
        kept: bool [B, max_out].
    """

    def of_image(
        boxes: jax.Array, scores: jax.Array, valid: jax.Array, group: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        return nms(boxes, scores, valid, threshold, max_out, group, plus_one)

    shape = (boxes.shape[0], max_out)
    index, kept = whole(
        "nms",
        on_own_images(jax.vmap(of_image)),
        boxes,
        scores,
        valid,
        group,
        shapes=(
            jax.ShapeDtypeStruct(shape, np.int32),
            jax.ShapeDtypeStruct(shape, np.bool_),
        ),
        threshold=threshold,
        max_out=max_out,
        groups=groups,
        plus_one=plus_one,
    )
    return index, kept


def chosen(rows: jax.Array, index: jax.Array, kept: jax.Array) -> jax.Array:
    """Rows [B, M, ...] that `nms_of_images` has kept of [B, N, ...]; 0 elsewhere."""
    more = (1,) * (rows.ndim - 2)
    found = jnp.take_along_axis(rows, index.reshape(*index.shape, *more), 1)
    return jnp.where(kept.reshape(*kept.shape, *more), found, 0)


def _suppressed_by(
    first: tuple, second: tuple, threshold: float, plus_one: float, at_least: bool
) -> jax.Array:
    """Of (boxes [4, N], groups [N]): bool [second, first]."""
    overlap = suppresses(second[0].T, first[0].T, threshold, plus_one, at_least)
    return overlap & (second[1][:, None] == first[1][None])


def _nothing_kept(max_out: int, dtype: jnp.dtype) -> _Kept:
    room = max_out
    if is_only_for("cpu") and max_out > _COMPARED:
        room = -(-max_out // _COMPARED) * _COMPARED
    return _Kept(
        jnp.int32(0),
        jnp.zeros(room, jnp.int32),
        jnp.zeros((4, room), dtype),
        jnp.zeros(room, jnp.int32),
    )


def _suppressed_by_kept(
    kept: _Kept, pair: tuple, suppressed_by: Callable[[tuple, tuple], jax.Array]
) -> jax.Array:
    """Which boxes of a block, (boxes [4, N], groups [N]), a kept one suppresses."""
    room = len(kept.indices)
    size = _COMPARED if room > _COMPARED and is_only_for("cpu") else room
    place = jnp.arange(size)

    def part(start: jax.Array) -> tuple[jax.Array, jax.Array]:
        corners, groups = (
            jax.lax.dynamic_slice_in_dim(rows, start, size, -1)
            for rows in (kept.corners, kept.groups)
        )
        return corners, groups

    # A part is cut one round before it is looked at: where both happen in one kernel,
    # the kernel cuts number by number, which is not vectorised.
    def one_part(state: tuple) -> tuple:
        start, before, found = state
        taken = start + place < kept.number
        found |= _any_of(suppressed_by(before, pair), taken)
        return start + size, part(start + size), found

    first, nothing = jnp.int32(0), jnp.zeros(len(pair[1]), bool)
    state = first, part(first), nothing
    if size == room:
        return one_part(state)[2]
    end = jnp.minimum(kept.number, room)
    return jax.lax.while_loop(lambda state: state[0] < end, one_part, state)[2]


def _look_through(
    kept: _Kept,
    candidates: _Candidates,
    suppressed_by: Callable[[tuple, tuple], jax.Array],
    block: int,
) -> _Kept:
    """Keeps what is to be kept of candidates, block by block, until the room is full."""
    room, space = len(kept.indices), -len(candidates.indices) % block
    candidates = jax.tree.map(
        lambda rows: jnp.pad(rows, ((0, 0),) * (rows.ndim - 1) + ((0, space),)),
        candidates,
    )
    # Blocks after the last live candidate need no look.
    number = jnp.arange(len(candidates.live)) // block + 1
    blocks = jnp.where(candidates.live, number, 0).max()

    def one_block(state: tuple[jax.Array, _Kept]) -> tuple[jax.Array, _Kept]:
        start, kept = state
        these = jax.tree.map(
            lambda rows: jax.lax.dynamic_slice_in_dim(rows, start * block, block, -1),
            candidates,
        )
        pair = these.corners, these.groups
        live = these.live & ~_suppressed_by_kept(kept, pair, suppressed_by)
        keep = fixed_point(suppressed_by(pair, pair).T, live)
        places = jnp.where(keep, kept.number + jnp.cumsum(keep) - 1, room)
        return start + 1, _Kept(
            kept.number + keep.sum(dtype=jnp.int32),
            kept.indices.at[places].set(these.indices, mode="drop"),
            kept.corners.at[:, places].set(these.corners, mode="drop"),
            kept.groups.at[places].set(these.groups, mode="drop"),
        )

    return jax.lax.while_loop(
        lambda state: (state[0] < blocks) & (state[1].number < room),
        one_block,
        (jnp.int32(0), kept),
    )[1]


def top_candidates(
    scores: jax.Array, count: int, valid: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
    """The best scores, best first, ties by index.

    For TPUs `jax.lax.top_k` of many among many takes half a minute to compile, and for
    CPUs it is fast for float32 alone; otherwise the bits of the last score that is
    wanted are found by counting, one by one.

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
        on = target()
        if count and (on == "tpu" or (on == "cpu" and scores.dtype != jnp.float32)):
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
