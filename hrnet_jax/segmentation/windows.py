"""Scores of large images, computed in windows of one size.

The network then sees one window after the other, so the memory of its branches
depends on the window instead of the image. Where windows overlap, their scores are
averaged.
"""

import dataclasses
import math
from collections.abc import Callable

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
    """

    size: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    ends: str = "inside"
    average: str = "probabilities"
    blend: bool = False

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
        if not self.size:
            self._check_untouched()
        elif any(
            step > side for step, side in zip(self.stride, self.size, strict=False)
        ):
            raise ConfigError(
                "config key 'eval.inference.window.stride' must not be larger than the "
                f"window, which would leave gaps: {self.stride}, size {self.size}"
            )

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


def windowed_logits(
    score: Callable[[jax.Array], jax.Array], images: jax.Array, options: WindowOptions
) -> jax.Array:
    """Logits of images from those of their windows.

    Args:
        score: uint8 [B, h, w, 3] to float32 logits [B, h, w, K].
        images: uint8 [B, H, W, 3].
        options: without a size the images are scored whole.

    Returns:
        float32 [B, H, W, K], whose softmax is the (normalised) average. With `exp` and
        `probabilities` these are logarithms of averages.
    """
    if not options.size:
        return score(images)
    strides = options.stride or tuple(max(1, side * 2 // 3) for side in options.size)
    height, width = images.shape[1:3]
    rows, columns = (
        places(side, length, stride, options.ends, options.blend)
        for side, length, stride in zip(
            (height, width), options.size, strides, strict=True
        )
    )
    bottom, right = rows.extent - height, columns.extent - width
    padded = jnp.pad(images, ((0, 0), (0, bottom), (0, right), (0, 0)))
    if len(rows.starts) == len(columns.starts) == 1:
        return score(padded)[:, :height, :width]
    return _averaged(score, padded, rows, columns, options.average)[:, :height, :width]


def _averaged(
    score: Callable[[jax.Array], jax.Array],
    images: jax.Array,
    rows: Places,
    columns: Places,
    average: str,
) -> jax.Array:
    """Logits of images that the windows cover exactly."""
    batch = images.shape[0]
    size = (rows.length, columns.length)
    scores = jax.eval_shape(
        score, jax.ShapeDtypeStruct((batch, *size, 3), images.dtype)
    )
    weights = jnp.asarray(np.outer(rows.weights, columns.weights), scores.dtype)
    total = jnp.asarray(np.outer(rows.total, columns.total), scores.dtype)

    def add(sums: jax.Array, start: jax.Array) -> tuple[jax.Array, None]:
        corner = (0, start[0], start[1], 0)
        window = jax.lax.dynamic_slice(images, corner, (batch, *size, 3))
        before = jax.lax.dynamic_slice(sums, corner, scores.shape)
        after = _add(before, score(window), weights[..., None], average)
        return jax.lax.dynamic_update_slice(sums, after, corner), None

    # Logarithms of sums begin with that of nothing.
    nothing = -jnp.inf if average == "exp" else 0.0
    sums = jnp.full((*images.shape[:3], scores.shape[-1]), nothing, scores.dtype)
    starts = [(row, column) for row in rows.starts for column in columns.starts]
    sums, _ = jax.lax.scan(add, sums, jnp.asarray(starts, jnp.int32))
    if average == "exp":
        return sums - jnp.log(total)[..., None]
    means = sums / total[..., None]
    if average == "logits":
        return means
    # A class of probability 0 everywhere stays finite, and the least likely.
    return jnp.log(jnp.maximum(means, jnp.finfo(means.dtype).tiny))


def _add(
    sums: jax.Array, logits: jax.Array, weights: jax.Array, average: str
) -> jax.Array:
    """The sums with one more window; of exponentials, their logarithms."""
    if average == "exp":
        return jnp.logaddexp(sums, logits + jnp.log(weights))
    values = logits if average == "logits" else jax.nn.softmax(logits)
    return sums + values * weights
