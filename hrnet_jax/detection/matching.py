"""Which object an anchor or a point is to find, for one image.

Objects are gone through one by one, with what is best so far of every anchor: a matrix
of all overlaps of 268,506 anchors with 100 objects would be 107 MB. Only as many steps
are made as there are objects, so these should stand in front of what is padding.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.detection import boxes as box_math

BACKGROUND = -1
IGNORED = -2

# Nowhere else is there an overlap below 0.
_NEVER = -1.0


class _Best(NamedTuple):
    """Of every anchor, after some objects."""

    overlap: jax.Array  # [A]: the largest
    object: jax.Array  # int32 [A]: where it is; the first of several
    forced: jax.Array  # int32 [A]: the last object with this among its best; or -1
    latest: jax.Array  # [A]: overlaps with the object to come


def match(
    anchors: jax.Array,
    anchor_valid: jax.Array | None,
    objects: jax.Array,
    object_valid: jax.Array,
    positive: float,
    negative: float | tuple[float, float],
    least: float = 0.0,
    low_quality: bool = True,
    all_best: bool = True,
    plus_one: float = 0.0,
    crowds: jax.Array | None = None,
    crowd_valid: jax.Array | None = None,
    crowd_share: float | None = None,
) -> jax.Array:
    """Assigns objects to anchors by their overlaps (mmdetection's `MaxIoUAssigner`).

    An anchor is positive from an overlap of `positive` with its best object, background
    below `negative`, ignored between them. Then every object takes its best anchors,
    if they overlap by at least `least`; later objects overwrite earlier ones.

    Args:
        anchors: [A, 4].
        anchor_valid: bool [A]; other anchors are ignored, and nobody's best.
        objects: [G, 4].
        object_valid: bool [G].
        positive: least overlap with the best object.
        negative: end of the overlaps of background; or their (first, end).
        least: overlap from which on an object takes its best anchors.
        low_quality: whether objects do.
        all_best: whether they take all anchors that share the best overlap; otherwise
            the first of them.
        plus_one: see `Conventions`.
        crowds: [K, 4], groups of objects that are not told apart.
        crowd_valid: bool [K].
        crowd_share: anchors that a crowd covers by more than this share are ignored;
            `None` in all published recipes: crowds have no influence.

    Returns:
        int32 [A]: index of the object, `BACKGROUND` (-1, all valid anchors where there
        is no object) or `IGNORED` (-2).
    """
    anchors, objects = jax.lax.stop_gradient((anchors, objects))
    crowd = crowds, crowd_valid, crowd_share
    usable = _outside_crowds(anchors, anchor_valid, *crowd, plus_one)
    best = _best_objects(
        anchors, usable, objects, object_valid, least, all_best, plus_one
    )
    # Of two objects of the same overlap the first; below 0 is what is not usable.
    first, end = negative if isinstance(negative, tuple) else (0.0, negative)
    background = (best.overlap >= max(first, 0.0)) & (best.overlap < end)
    assigned = jnp.where(background, BACKGROUND, IGNORED)
    assigned = jnp.where(best.overlap >= positive, best.object, assigned)
    if low_quality:
        assigned = jnp.where(best.forced >= 0, best.forced, assigned)
    assigned = jnp.where(jnp.any(object_valid), assigned, BACKGROUND)
    if anchor_valid is not None:
        assigned = jnp.where(anchor_valid, assigned, IGNORED)
    return assigned.astype(jnp.int32)


def _outside_crowds(
    anchors: jax.Array,
    anchor_valid: jax.Array | None,
    crowds: jax.Array | None,
    crowd_valid: jax.Array | None,
    crowd_share: float | None,
    plus_one: float,
) -> jax.Array | None:
    """Valid anchors that no crowd covers, bool [A]; None for all of them."""
    if crowds is None or crowd_share is None:
        return anchor_valid
    outside = _covered(anchors, crowds, crowd_valid, plus_one) <= crowd_share
    return outside if anchor_valid is None else anchor_valid & outside


def best_overlaps(
    anchors: jax.Array,
    objects: jax.Array,
    object_valid: jax.Array,
    anchor_valid: jax.Array | None = None,
    plus_one: float = 0.0,
) -> tuple[jax.Array, jax.Array]:
    """The largest overlap of every anchor, and the first object that has it.

    Arguments are those of `match`.

    Returns:
        overlap: [A]; -1 where the anchor, or no object, is valid.
        index: int32 [A].
    """
    best = _best_objects(
        anchors, anchor_valid, objects, object_valid, 0.0, True, plus_one
    )
    return best.overlap, best.object


def _best_objects(
    anchors: jax.Array,
    usable: jax.Array | None,
    objects: jax.Array,
    object_valid: jax.Array,
    least: float,
    all_best: bool,
    plus_one: float,
) -> _Best:
    """Goes through the objects, see `match`."""
    dtype = anchors.dtype
    index = jax.lax.iota(jnp.int32, len(anchors))
    last = _end(object_valid)

    def overlaps(number: jax.Array) -> jax.Array:
        """[A] with one object; those of the last again after it."""
        overlap = box_math.iou(
            anchors,
            jax.lax.dynamic_index_in_dim(objects, number, keepdims=False),
            plus_one,
        )
        allowed = jax.lax.dynamic_index_in_dim(object_valid, number, keepdims=False)
        allowed = allowed if usable is None else allowed & usable
        return jnp.where(allowed, overlap, jnp.asarray(_NEVER, dtype))

    def one_object(number: jax.Array, best: _Best) -> _Best:
        # "Equal to the largest" holds of stored numbers only: where a program computes
        # the overlaps for each side of the comparison, the two are rounded apart, and
        # anchors more or less become positive. So overlaps come from the step before.
        overlap = best.latest
        largest = overlap.max()
        chosen = overlap == largest
        if not all_best:
            chosen = index == jnp.argmax(overlap).astype(jnp.int32)
        chosen &= (largest >= least) & (largest >= 0)
        better = overlap > best.overlap
        return _Best(
            jnp.where(better, overlap, best.overlap),
            jnp.where(better, number, best.object),
            jnp.where(chosen, number, best.forced),
            overlaps(number + 1),
        )

    nothing = jnp.full(anchors.shape[:-1], _NEVER, dtype)
    nobody = jnp.full(anchors.shape[:-1], -1, jnp.int32)
    if not len(objects) or not len(anchors):
        return _Best(nothing, nobody + 1, nobody, nothing)
    start = _Best(nothing, nobody + 1, nobody, overlaps(jnp.int32(0)))
    return jax.lax.fori_loop(0, last, one_object, start)


def _end(valid: jax.Array) -> jax.Array:
    """One more than the last valid index; int32."""
    numbers = jax.lax.iota(jnp.int32, len(valid))
    return jnp.where(valid, numbers + 1, 0).max(initial=0)


def _covered(
    anchors: jax.Array,
    crowds: jax.Array,
    crowd_valid: jax.Array | None,
    plus_one: float,
) -> jax.Array:
    """The largest share [A] of every anchor that one crowd covers."""
    valid = jnp.ones(len(crowds), bool) if crowd_valid is None else crowd_valid

    def one_crowd(number: jax.Array, covered: jax.Array) -> jax.Array:
        share = box_math.iof(anchors, crowds[number], plus_one)
        return jnp.where(valid[number], jnp.maximum(covered, share), covered)

    nothing = jnp.zeros(anchors.shape[:-1], anchors.dtype)
    return (
        jax.lax.fori_loop(0, _end(valid), one_crowd, nothing)
        if len(crowds)
        else nothing
    )


def level_ranges(
    shapes: tuple[tuple[int, int], ...],
    ranges: tuple[tuple[float, float], ...] = (
        (-1, 64),
        (64, 128),
        (128, 256),
        (256, 512),
        (512, float("inf")),
    ),
    dtype: np.typing.DTypeLike = np.float32,
) -> np.ndarray:
    """Distances in pixels that points of every level are to find (FCOS).

    Args:
        shapes: (h, w) of the features of every level.
        ranges: (least, most) of every level.
        dtype: float32 or float64.

    Returns:
        [points of all levels, 2].
    """
    counts = [height * width for height, width in shapes]
    return np.repeat(np.asarray(ranges, dtype), counts, axis=0)


def match_points(
    points: jax.Array,
    ranges: jax.Array,
    objects: jax.Array,
    object_valid: jax.Array,
    radii: jax.Array | None = None,
) -> jax.Array:
    """Assigns to points the smallest object that they lie in (FCOS).

    Args:
        points: [P, 2], (x, y) in pixels.
        ranges: [P, 2]: the largest distance from the point to a side of its object is
            within these, both included (`level_ranges`).
        objects: [G, 4].
        object_valid: bool [G].
        radii: [P], 1.5 strides in mmdetection's "center sampling": the point has to be
            within this distance of the centre of the object, along both axes, and in
            the object. `None`, as HRNet's published detectors, for anywhere in it.

    Returns:
        int32 [P]: index of the object, the first of several of one area; or
        `BACKGROUND` (-1).
    """
    points, objects = jax.lax.stop_gradient((points, objects))
    area = box_math.areas(objects)
    large = jnp.asarray(jnp.inf, objects.dtype)

    def one_object(number: jax.Array, best: tuple) -> tuple[jax.Array, jax.Array]:
        smallest, chosen = best
        sides = box_math.distances(points, objects[number])
        farthest = sides.max(-1)
        fits = (farthest >= ranges[:, 0]) & (farthest <= ranges[:, 1])
        near = sides
        if radii is not None:
            near = box_math.distances(points, _centre(objects[number], radii))
        found = fits & (near.min(-1) > 0) & object_valid[number]
        better = found & (area[number] < smallest)
        return (
            jnp.where(better, area[number], smallest),
            jnp.where(better, number, chosen),
        )

    count = len(points)
    start = jnp.full(count, large), jnp.full(count, BACKGROUND, jnp.int32)
    if not len(objects):
        return start[1]
    return jax.lax.fori_loop(0, _end(object_valid), one_object, start)[1]


def _centre(box: jax.Array, radii: jax.Array) -> jax.Array:
    """What of a box is within radii [P] of its centre: [P, 4]."""
    centre = (box[:2] + box[2:]) / 2
    return jnp.concatenate(
        [
            jnp.maximum(centre - radii[:, None], box[:2]),
            jnp.minimum(centre + radii[:, None], box[2:]),
        ],
        axis=-1,
    )
