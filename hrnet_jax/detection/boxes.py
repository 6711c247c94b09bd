"""Boxes: areas, overlaps, clipping, flipping, and their encoding against anchors.

A box is (x1, y1, x2, y2) in pixels. All functions keep the dtype of their boxes.
"""

import dataclasses
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

# Limit of a predicted change of width or height, as published: 16 / 1000.
RATIO_CLIP = 16 / 1000

# Pixels; padded boxes have no sides, and what is encoded from them has to be finite.
_LEAST_SIDE = 1e-6


@dataclasses.dataclass(frozen=True)
class Conventions:
    """How a code base measures boxes; weights fit the one they were trained with.

    Attributes:
        plus_one: a box is x2 - x1 + plus_one wide, and ends within the image at
            W - plus_one. 1 where x2 is the last pixel, 0 where it is the end.
        rounded_anchors: anchors have whole corners around (stride - 1) / 2, not exact
            ones around 0.
        roi_align: `aligned`, `legacy` or `plus_one`, see `roi_align.axis_weights`.
        roi_samples: samples of a bin along each axis; 0 for as many as fit.
        background_first: classifiers have the background at index 0, not at the end.
            Only conversion of weights needs this.
    """

    plus_one: float = 0.0
    rounded_anchors: bool = False
    roi_align: str = "aligned"
    roi_samples: int = 0
    background_first: bool = False


# mmdetection 2 and 3.
MODERN = Conventions()
# The fork of mmdetection that HRNet was published with.
V1 = Conventions(
    plus_one=1.0,
    rounded_anchors=True,
    roi_align="plus_one",
    roi_samples=2,
    background_first=True,
)


def areas(boxes: jax.Array, plus_one: float = 0.0) -> jax.Array:
    """Areas [...] of boxes [..., 4], in square pixels."""
    width, height = _sides(boxes, plus_one)
    return width * height


def _sides(boxes: jax.Array, plus_one: float) -> tuple[jax.Array, jax.Array]:
    """Widths and heights [...]."""
    return (
        boxes[..., 2] - boxes[..., 0] + plus_one,
        boxes[..., 3] - boxes[..., 1] + plus_one,
    )


def _intersections(a: jax.Array, b: jax.Array, plus_one: float) -> jax.Array:
    """Common areas of boxes [..., 4], which broadcast against each other."""
    width = jnp.minimum(a[..., 2], b[..., 2]) - jnp.maximum(a[..., 0], b[..., 0])
    height = jnp.minimum(a[..., 3], b[..., 3]) - jnp.maximum(a[..., 1], b[..., 1])
    return jnp.maximum(width + plus_one, 0) * jnp.maximum(height + plus_one, 0)


def _share(part: jax.Array, whole: jax.Array) -> jax.Array:
    """part / whole, and 0 where there is no whole: two empty boxes are 0 / 0."""
    some = whole > 0
    return jnp.where(some, part / jnp.where(some, whole, 1), 0)


def iou(a: jax.Array, b: jax.Array, plus_one: float = 0.0) -> jax.Array:
    """Intersection over union of boxes, one by one.

    Args:
        a: [..., 4].
        b: [..., 4], broadcast against `a`.
        plus_one: see `Conventions`.

    Returns:
        [...] in 0..1; 0 where the union is empty.
    """
    common = _intersections(a, b, plus_one)
    return _share(common, areas(a, plus_one) + areas(b, plus_one) - common)


def iof(a: jax.Array, b: jax.Array, plus_one: float = 0.0) -> jax.Array:
    """Share of the boxes `a` that `b` covers ("intersection over foreground").

    Arguments and result are those of `iou`.
    """
    return _share(_intersections(a, b, plus_one), areas(a, plus_one))


def pair_iou(a: jax.Array, b: jax.Array, plus_one: float = 0.0) -> jax.Array:
    """Intersection over union [N, M] of every box of [N, 4] with every one of [M, 4]."""
    return iou(a[..., :, None, :], b[..., None, :, :], plus_one)


def pair_iof(a: jax.Array, b: jax.Array, plus_one: float = 0.0) -> jax.Array:
    """Share [N, M] of each box of [N, 4] that each box of [M, 4] covers."""
    return iof(a[..., :, None, :], b[..., None, :, :], plus_one)


def clip(
    boxes: jax.Array,
    size: tuple[jax.Array | float, jax.Array | float] | jax.Array,
    plus_one: float = 0.0,
) -> jax.Array:
    """Boxes [..., 4] cut to an image of (height, width) pixels."""
    height, width = (jnp.asarray(side, boxes.dtype) - plus_one for side in size)
    return jnp.stack(
        [
            jnp.clip(boxes[..., 0], 0, width),
            jnp.clip(boxes[..., 1], 0, height),
            jnp.clip(boxes[..., 2], 0, width),
            jnp.clip(boxes[..., 3], 0, height),
        ],
        axis=-1,
    )


def flip(
    boxes: jax.Array, width: jax.Array | float, plus_one: float = 0.0
) -> jax.Array:
    """Boxes [..., 4] in the mirrored image of `width` pixels: x -> width - x."""
    last = jnp.asarray(width, boxes.dtype) - plus_one
    return jnp.stack(
        [last - boxes[..., 2], boxes[..., 1], last - boxes[..., 0], boxes[..., 3]],
        axis=-1,
    )


def encode(
    anchors: jax.Array,
    boxes: jax.Array,
    means: Sequence[float] = (0, 0, 0, 0),
    stds: Sequence[float] = (1, 1, 1, 1),
    conventions: Conventions = MODERN,
) -> jax.Array:
    """What a head has to predict at anchors to give boxes.

    Shift of the centre in sides of the anchor, and logarithms of the ratios of sides,
    less `means`, over `stds` (Girshick et al., "Rich feature hierarchies", appendix C).

    Args:
        anchors: [..., 4].
        boxes: [..., 4], broadcast against `anchors`.
        means: of the four numbers (dx, dy, dw, dh).
        stds: of the four numbers.
        conventions: how wide a box is.

    Returns:
        [..., 4]; finite for boxes and anchors without sides as well.
    """
    anchor_x, anchor_y, anchor_w, anchor_h = _centred(anchors, conventions.plus_one)
    x, y, w, h = _centred(boxes, conventions.plus_one)
    deltas = jnp.stack(
        [
            (x - anchor_x) / anchor_w,
            (y - anchor_y) / anchor_h,
            jnp.log(w / anchor_w),
            jnp.log(h / anchor_h),
        ],
        axis=-1,
    )
    return (deltas - jnp.asarray(means, deltas.dtype)) / jnp.asarray(stds, deltas.dtype)


def _centred(boxes: jax.Array, plus_one: float) -> tuple[jax.Array, ...]:
    """Centres (x, y) and sides (w, h)."""
    w, h = (jnp.maximum(side, _LEAST_SIDE) for side in _sides(boxes, plus_one))
    x = (boxes[..., 0] + boxes[..., 2]) / 2
    y = (boxes[..., 1] + boxes[..., 3]) / 2
    return x, y, w, h


def decode(
    anchors: jax.Array,
    deltas: jax.Array,
    means: Sequence[float] = (0, 0, 0, 0),
    stds: Sequence[float] = (1, 1, 1, 1),
    size: tuple[jax.Array | float, jax.Array | float] | jax.Array | None = None,
    conventions: Conventions = MODERN,
    ratio_clip: float = RATIO_CLIP,
) -> jax.Array:
    """Boxes that a head predicts at anchors; the inverse of `encode`.

    Args:
        anchors: [..., 4].
        deltas: [..., 4], broadcast against `anchors`: for class-specific heads
            [N, 1, 4] and [N, classes, 4].
        means: as given to `encode`.
        stds: as given to `encode`.
        size: (height, width) of the image in pixels that boxes are cut to; they are
            not where it is `None`.
        conventions: how wide a box is.
        ratio_clip: sides change by a factor of `ratio_clip` to 1 / `ratio_clip`.

    Returns:
        [..., 4].
    """
    one = conventions.plus_one
    x, y, _, _ = _centred(anchors, one)
    width, height = _sides(anchors, one)
    dtype = deltas.dtype
    deltas = deltas * jnp.asarray(stds, dtype) + jnp.asarray(means, dtype)
    limit = abs(math.log(ratio_clip))
    w = width * jnp.exp(jnp.clip(deltas[..., 2], -limit, limit))
    h = height * jnp.exp(jnp.clip(deltas[..., 3], -limit, limit))
    x = x + width * deltas[..., 0]
    y = y + height * deltas[..., 1]
    # Of a box that is one pixel wide, the last pixel is the first.
    half_w, half_h = (w - one) / 2, (h - one) / 2
    boxes = jnp.stack([x - half_w, y - half_h, x + half_w, y + half_h], axis=-1)
    return boxes if size is None else clip(boxes, size, one)


def distances(points: jax.Array, boxes: jax.Array) -> jax.Array:
    """How far the left, top, right and bottom of boxes are from points (FCOS).

    Args:
        points: [..., 2], (x, y) in pixels.
        boxes: [..., 4], broadcast against `points`.

    Returns:
        [..., 4] pixels; all are positive where the point is inside.
    """
    return jnp.concatenate([points - boxes[..., :2], boxes[..., 2:] - points], axis=-1)


def from_distances(
    points: jax.Array,
    sides: jax.Array,
    size: tuple[jax.Array | float, jax.Array | float] | jax.Array | None = None,
) -> jax.Array:
    """Boxes [..., 4] around points [..., 2]; the inverse of `distances`.

    Args:
        points: (x, y) in pixels.
        sides: [..., 4], left, top, right, bottom in pixels.
        size: (height, width) that boxes are cut to, if any.
    """
    corners = [points - sides[..., :2], points + sides[..., 2:]]
    boxes = jnp.concatenate(corners, axis=-1)
    return boxes if size is None else clip(boxes, size)
