"""Scores of large images, computed in windows of one size.

The network then sees one window after the other, so the memory of its branches
depends on the window instead of the image. Where windows overlap, their scores are
averaged.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.errors import ConfigError

ENDS = ("inside", "beyond")
AVERAGES = ("probabilities", "logits", "exp")


@dataclasses.dataclass(frozen=True)
class WindowOptions:
    """Windows in which images are predicted.

    Attributes:
        size: height and width of a window in pixels; empty for whole images.
        stride: pixels down and right from one window to the next; empty for two
            thirds of the size, rounded down, as published.
        ends: where the last windows lie: `inside`, moved back to end with the image, as
            published for Cityscapes; `beyond`, in their places, black outside the
            image, as published for PASCAL-Context, ADE20K, COCO-Stuff and LIP.
        average: what is averaged where windows overlap: `probabilities`; `logits`; or
            `exp`, exponentials of the logits without normalisation, as published,
            where a window with larger logits weighs more.
        blend: whether pixels count less towards the borders of a window, linearly, so
            that windows leave no seams.
        whole_up_to: images at scales up to this are seen whole; 1 as published for
            Cityscapes, whose windows are for larger scales alone. By default all
            scales are seen in windows.
    """

    size: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    ends: str = "inside"
    average: str = "probabilities"
    blend: bool = False
    whole_up_to: float = 0.0

    def __post_init__(self):
        for name in ("size", "stride"):
            value = getattr(self, name)
            if len(value) not in (0, 2) or min(value, default=1) < 1:
                raise ConfigError(
                    f"config key 'eval.inference.window.{name}' must be empty or two "
                    f"positive numbers, height and width, got {value}"
                )
        for name, known in (("ends", ENDS), ("average", AVERAGES)):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f"config key 'eval.inference.window.{name}' must be one of "
                    f"{', '.join(known)}, got {getattr(self, name)!r}"
                )
        if not 0 <= self.whole_up_to < math.inf:
            raise ConfigError(
                "config key 'eval.inference.window.whole_up_to' must be a scale, or 0 "
                f"for windows at all scales, got {self.whole_up_to}"
            )
        if not self.size:
            self._check_untouched()
        elif any(
            step > side for step, side in zip(self.stride, self.size, strict=False)
        ):
            raise ConfigError(
                "config key 'eval.inference.window.stride' must not be larger than the "
                f"window, which would leave gaps: {self.stride}, size {self.size}"
            )

    @property
    def steps(self) -> tuple[int, ...]:
        """Pixels down and right from one window to the next."""
        return self.stride or tuple(max(1, side * 2 // 3) for side in self.size)

    def _check_untouched(self) -> None:
        """Refuses what would have no effect, as images are seen whole."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                raise ConfigError(
                    f"config key 'eval.inference.window.{field.name}' is {value}, but "
                    "'eval.inference.window.size' is empty, which means whole images; "
                    "give a size, such as 512,1024"
                )


@dataclasses.dataclass(frozen=True)
class Places:
    """Windows along one axis of an image.

    Attributes:
        starts: first pixel of each window, rising.
        length: pixels of a window.
        extent: pixels that the windows cover; more than the image where they end
            beyond it.
        weights: float64 [length], what each pixel of a window counts.
    """

    starts: tuple[int, ...]
    length: int
    extent: int
    weights: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """Sum of the weights that each pixel receives, float64 [extent]."""
        total = np.zeros(self.extent)
        for start in self.starts:
            total[start : start + self.length] += self.weights
        return total


def places(side: int, length: int, stride: int, ends: str, blend: bool) -> Places:
    """Windows along one axis.

    As in `multi_scale_inference` of the published data sets: their count is
    ceil((side - length) / stride) + 1.

    Args:
        side: pixels of the image.
        length: pixels of a window; `inside`, smaller images have smaller windows.
        stride: pixels from one window to the next, as long as there is room.
        ends: see `WindowOptions`.
        blend: see `WindowOptions`.
    """
    if ends == "inside":
        length = min(length, side)
    count = max(0, math.ceil((side - length) / stride)) + 1
    starts = np.arange(count) * stride
    if ends == "inside":
        starts = np.minimum(starts, side - length)
    distance = np.minimum(np.arange(length) + 1, length - np.arange(length))
    weights = distance / distance.max() if blend else np.ones(length)
    return Places(tuple(starts.tolist()), length, int(starts[-1]) + length, weights)


def covered(shape: tuple[int, int], options: WindowOptions) -> tuple[int, int]:
    """(height, width) that the windows of an image of this shape cover."""
    if not options.size:
        return shape
    height, width = (
        places(side, length, step, options.ends, blend=False).extent
        for side, length, step in zip(shape, options.size, options.steps, strict=True)
    )
    return height, width


@dataclasses.dataclass(frozen=True, eq=False)
class _Along:
    """Windows of a batch along one axis; like `Places`, whose sizes may be traced.

    Attributes:
        length: pixels of a window.
        starts: int [N] for the whole batch, or [N, B].
        counts: int, or int32 [B]: how many of the N each image has.
        weights: float64 [length].
        total: float [extent] or [B, extent], the sum of weights at each pixel.
    """

    length: int
    starts: Any
    counts: Any
    weights: np.ndarray
    total: Any

    @classmethod
    def of(
        cls, extent: int, sides: Any, length: int, step: int, options: WindowOptions
    ) -> "_Along":
        """Windows over a canvas; `sides` of the images on it are traced, or None."""
        most = places(extent, length, step, options.ends, options.blend)
        if sides is None or len(most.starts) == 1:
            same = np.array(most.starts)
            count = len(same)
            return cls(most.length, same, count, most.weights, most.total)
        length = most.length
        starts: Any = jnp.arange(len(most.starts))[:, None] * step
        if options.ends == "inside":
            starts = jnp.minimum(starts, jnp.maximum(sides - length, 0))
        starts = jnp.broadcast_to(starts, (len(starts), len(sides)))
        counts = jnp.maximum(0, -(-(sides - length) // step)) + 1
        there = jnp.arange(len(starts))[:, None] < counts
        # From each pixel of the canvas back to that of each window.
        place = jnp.arange(most.extent) - starts[..., None]
        inside = (place >= 0) & (place < length) & there[..., None]
        weights = jnp.asarray(most.weights)[jnp.clip(place, 0, length - 1)]
        total = jnp.sum(jnp.where(inside, weights, 0), 0)
        return cls(length, starts, counts, most.weights, total)

    def at(self, number: Any, batch: int) -> tuple[Any, Any]:
        """Start of a window, a number or [B], and whether it is there, [B]."""
        start = jnp.asarray(self.starts)[number]
        there = jnp.broadcast_to(number < jnp.asarray(self.counts), (batch,))
        # Of one image a slice, where of several each has its own.
        return (start[0] if start.ndim and batch == 1 else start), there

    @property
    def most(self) -> Any:
        """Windows of the image that has most."""
        return self.counts if isinstance(self.counts, int) else jnp.max(self.counts)


def windowed_logits(
    score: Callable[[jax.Array], jax.Array],
    images: jax.Array,
    options: WindowOptions,
    sizes: jax.Array | None = None,
) -> jax.Array:
    """Logits of images from those of their windows.

    Args:
        score: [B, h, w, 3] to float32 logits [B, h, w, K].
        images: [B, H, W, 3], values from 0 to 255.
        options: without a size the images are scored whole.
        sizes: int32 [B, 2], the (height, width) of each image at the top left of its
            canvas, over which its windows are laid; the whole canvas if None. Windows
            that no image of the batch has are left out.

    Returns:
        float32 [B, H, W, K], whose softmax is the (normalised) average. With `exp` and
        `probabilities` these are logarithms of averages. Beyond an image they mean
        nothing.
    """
    if not options.size:
        return score(images)
    height, width = images.shape[1:3]
    extent = covered((height, width), options)
    rows, columns = (
        _Along.of(
            side,
            None if sizes is None else sizes[:, axis],
            options.size[axis],
            options.steps[axis],
            options,
        )
        for axis, side in enumerate((height, width))
    )
    bottom, right = extent[0] - height, extent[1] - width
    padded = jnp.pad(images, ((0, 0), (0, bottom), (0, right), (0, 0)))
    if len(rows.starts) == len(columns.starts) == 1:
        return score(padded)[:, :height, :width]
    return _averaged(score, padded, rows, columns, options.average)[:, :height, :width]


def _averaged(
    score: Callable[[jax.Array], jax.Array],
    images: jax.Array,
    rows: _Along,
    columns: _Along,
    average: str,
) -> jax.Array:
    """Logits of images that the windows cover exactly."""
    batch = images.shape[0]
    size = (rows.length, columns.length)
    scores = jax.eval_shape(
        score, jax.ShapeDtypeStruct((batch, *size, 3), images.dtype)
    )
    weights = jnp.asarray(np.outer(rows.weights, columns.weights), scores.dtype)
    most = columns.most

    def add(number: Any, sums: jax.Array) -> jax.Array:
        top, in_rows = rows.at(number // most, batch)
        left, in_columns = columns.at(number % most, batch)
        there = (in_rows & in_columns)[:, None, None, None]
        window = _cut(images, top, left, (*size, 3))
        before = _cut(sums, top, left, scores.shape[1:])
        share = weights[..., None] * there.astype(scores.dtype)
        return _put(sums, _add(before, score(window), share, average), top, left)

    # Logarithms of sums begin with that of nothing.
    nothing = -jnp.inf if average == "exp" else 0.0
    sums = jnp.full((*images.shape[:3], scores.shape[-1]), nothing, scores.dtype)
    sums = jax.lax.fori_loop(0, rows.most * most, add, sums)
    total = jnp.asarray(rows.total)[..., :, None] * columns.total[..., None, :]
    total = jnp.where(total > 0, total, 1).astype(scores.dtype)[..., None]
    if average == "exp":
        return sums - jnp.log(total)
    means = sums / total
    if average == "logits":
        return means
    # A class of probability 0 everywhere stays finite, and the least likely.
    return jnp.log(jnp.maximum(means, jnp.finfo(means.dtype).tiny))


def _cut(maps: jax.Array, top: Any, left: Any, shape: tuple[int, ...]) -> jax.Array:
    """A window [B, h, w, C], at one place or one for each image."""

    def cut(one: jax.Array, top: Any, left: Any) -> jax.Array:
        return jax.lax.dynamic_slice(one, (top, left, 0), shape)

    if not (jnp.ndim(top) or jnp.ndim(left)):
        return jax.lax.dynamic_slice(maps, (0, top, left, 0), (len(maps), *shape))
    return jax.vmap(cut)(maps, *_each(top, left, len(maps)))


def _put(maps: jax.Array, windows: jax.Array, top: Any, left: Any) -> jax.Array:
    """The maps with windows in their places."""

    def put(one: jax.Array, window: jax.Array, top: Any, left: Any) -> jax.Array:
        return jax.lax.dynamic_update_slice(one, window, (top, left, 0))

    if not (jnp.ndim(top) or jnp.ndim(left)):
        return jax.lax.dynamic_update_slice(maps, windows, (0, top, left, 0))
    return jax.vmap(put)(maps, windows, *_each(top, left, len(maps)))


def _each(top: Any, left: Any, batch: int) -> tuple[jax.Array, jax.Array]:
    return jnp.broadcast_to(top, (batch,)), jnp.broadcast_to(left, (batch,))


def _add(
    sums: jax.Array, logits: jax.Array, weights: jax.Array, average: str
) -> jax.Array:
    """The sums with one more window; of exponentials, their logarithms."""
    if average == "exp":
        return jnp.logaddexp(sums, logits + jnp.log(weights))
    values = logits if average == "logits" else jax.nn.softmax(logits)
    return sums + values * weights
