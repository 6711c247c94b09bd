"""Predictions at several scales as one, on the device.

Images are scaled here and not on the host: a batch then travels once, as bytes, and not
as many times its size in real numbers (7.2 times at the six published scales, 86 bytes
for a pixel of 3). OpenCV's bilinear resizing is a mean of two neighbours along each axis
with weights that `framing` works out in double precision, so it comes out as OpenCV's
but for rounding, which the goldens of the official code show.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from hrnet_jax.models.resize import resize, size_of
from hrnet_jax.segmentation.options import InferenceOptions
from hrnet_jax.segmentation.windows import windowed_logits

Score = Callable[[jax.Array], jax.Array]


def fused_logits(
    score: Score,
    images: jax.Array,
    frame: Mapping[str, jax.Array],
    options: InferenceOptions,
    method: str,
) -> jax.Array:
    """Logits of images from those of their views.

    Args:
        score: [B, h, w, 3] to float32 logits [B, ceil(h / 4), ceil(w / 4), K].
        images: uint8 [B, H, W, 3], each at the top left of its canvas.
        frame: `Framing.taps` of each image.
        options: scales and what is averaged over them.
        method: of `resize`, with which scores get the size of what the network sees.

    Returns:
        float32 [B, h, w, K], h and w of the predictions, whose softmax is the normalised
        average. With `exp` these are logarithms of sums, with `softmax` of means.
    """

    views = _Views(score, images, frame, options, method)
    if options.sees_image_as_it_is:
        sizes = frame["views"][:, 0] if "views" in frame else None
        return windowed_logits(views.at_full_size, images, options.window, sizes)
    windowed = [options.in_windows(scale) for scale in options.scales]
    if len(windowed) == 1:
        logits = views.in_image(views.taps(0), windows=windowed[0])
    else:
        logits = _mean(_summed(views, windowed), options)
    return _in_label(logits, frame, options.fusion == "exp")


@dataclasses.dataclass(frozen=True, eq=False)
class _Views:
    """Images at all scales; the arguments of `fused_logits`."""

    score: Score
    images: jax.Array
    frame: Mapping[str, jax.Array]
    options: InferenceOptions
    method: str

    def at_full_size(self, pixels: jax.Array) -> jax.Array:
        """Logits of what the network sees whole, at its size."""
        return resize(self.score(pixels), size_of(pixels), self.method)

    def taps(self, k: int) -> tuple[jax.Array, ...]:
        """What `in_image` needs of view k."""
        names = ("see{}_rows", "see{}_columns", "score{}_rows", "score{}_columns")
        taps = [self.frame[name.format(k)] for name in names]
        return (*taps, self.frame["views"][:, k])

    def in_image(self, taps: tuple[jax.Array, ...], *, windows: bool) -> jax.Array:
        """Logits of one view, at the places of the image's pixels."""
        exp = self.options.fusion == "exp"
        view = sample(self.images.astype(jnp.float32), taps[0], taps[1])
        if windows:
            window = self.options.window
            scores = windowed_logits(self.at_full_size, view, window, taps[4])
        else:
            scores = self.at_full_size(view) if exp else self.score(view)
        return sample(scores, taps[2], taps[3], exponential=exp)


def _summed(views: _Views, windowed: Sequence[bool]) -> jax.Array:
    """The sum over all views; of exponentials, its logarithm."""
    fusion = views.options.fusion
    whole = [k for k, windows in enumerate(windowed) if not windows]
    rest = [k for k, windows in enumerate(windowed) if windows]
    sums: jax.Array | None = None
    for k in whole:
        sums = _plus(sums, views.in_image(views.taps(k), windows=False), fusion)
    if rest:
        # One loop over scales: the network is compiled once for the windows of all.
        taps = [views.taps(k) for k in rest]
        stacked = tuple(jnp.stack(parts) for parts in zip(*taps, strict=True))
        if sums is None:
            shape = jax.eval_shape(lambda: views.in_image(taps[0], windows=True))
            nothing = -jnp.inf if fusion == "exp" else 0.0
            sums = jnp.full(shape.shape, nothing, shape.dtype)

        def add(sums: Any, taps: Any) -> tuple[Any, None]:
            return _plus(sums, views.in_image(taps, windows=True), fusion), None

        return jax.lax.scan(add, sums, stacked)[0]
    assert sums is not None
    return sums


def _in_label(
    logits: jax.Array, frame: Mapping[str, jax.Array], exponential: bool
) -> jax.Array:
    """Logits that were fused at another size, at that of the predictions."""
    if "label_rows" not in frame:
        return logits
    return sample(logits, frame["label_rows"], frame["label_columns"], exponential)


def _plus(sums: jax.Array | None, logits: jax.Array, fusion: str) -> jax.Array:
    """The sums with one more scale; of exponentials, their logarithms."""
    if fusion == "exp":
        return logits if sums is None else jnp.logaddexp(sums, logits)
    values = jax.nn.softmax(logits) if fusion == "softmax" else logits
    return values if sums is None else sums + values


def _mean(sums: jax.Array, options: InferenceOptions) -> jax.Array:
    if options.fusion == "exp":
        return sums
    means = sums / len(options.scales)
    if options.fusion == "logits":
        return means
    return jnp.log(jnp.maximum(means, jnp.finfo(means.dtype).tiny))


def sample(
    maps: jax.Array,
    rows: jax.Array,
    columns: jax.Array,
    exponential: bool = False,
) -> jax.Array:
    """Reads maps at the places that taps name, bilinearly.

    Args:
        maps: [B, h, w, C].
        rows: float32 [B, H, 2], of each row the one before and the share of the next
            (`framing.Axis.taps`); where it is -1 the result is 0.
        columns: float32 [B, W, 2], the same.
        exponential: whether exponentials are interpolated; maps and result are their
            logarithms.

    Returns:
        [B, H, W, C].
    """
    for axis, taps in ((1, rows), (2, columns)):
        maps = _along(maps, axis, taps, exponential)
    return maps


def _along(maps: jax.Array, axis: int, taps: jax.Array, exponential: bool) -> jax.Array:
    before = jnp.maximum(taps[..., 0], 0).astype(jnp.int32)
    share = taps[..., 1]
    # The next may be of another image, or nothing, where it has no share.
    after = before + (share > 0)
    take = jax.vmap(lambda one, index: jnp.take(one, index, axis=axis - 1))
    shape = [len(maps), 1, 1, 1]
    shape[axis] = taps.shape[1]
    share = share.reshape(shape).astype(maps.dtype)
    first, second = take(maps, before), take(maps, after)
    if exponential:
        return jnp.logaddexp(first + jnp.log1p(-share), second + jnp.log(share))
    there = (taps[..., 0] >= 0).reshape(shape)
    return jnp.where(there, first + (second - first) * share, 0)
