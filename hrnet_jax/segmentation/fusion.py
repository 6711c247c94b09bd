"""Predictions at several scales as one, on the device.

Images are scaled here and not on the host: a batch then travels once, as bytes, and not
as many times its size in real numbers (7.2 times at the six published scales, 86 bytes
for a pixel of 3). OpenCV's bilinear resizing is a mean of two neighbours along each axis
with weights that `framing` works out in double precision, so it comes out as OpenCV's
but for rounding, which the goldens of the official code show.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from hrnet_jax.models.resize import resize
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

    def at_full_size(pixels: jax.Array) -> jax.Array:
        return resize(score(pixels), pixels.shape[1:3], method)

    if options.sees_image_as_it_is:
        sizes = frame["views"][:, 0] if "views" in frame else None
        return windowed_logits(at_full_size, images, options.window, sizes)
    pixels = images.astype(jnp.float32)
    exp = options.fusion == "exp"

    def seen(k: int) -> tuple[jax.Array, ...]:
        names = ("see{}_rows", "see{}_columns", "score{}_rows", "score{}_columns")
        return (*(frame[name.format(k)] for name in names), frame["views"][:, k])

    def scores_in_image(taps: tuple[jax.Array, ...], windows: bool) -> jax.Array:
        view = sample(pixels, taps[0], taps[1])
        if windows:
            scores = windowed_logits(at_full_size, view, options.window, taps[4])
        else:
            scores = at_full_size(view) if exp else score(view)
        return sample(scores, taps[2], taps[3], exponential=exp)

    whole, in_windows = ([], [])  # type: tuple[list[int], list[int]]
    for k, scale in enumerate(options.scales):
        (in_windows if options.in_windows(scale) else whole).append(k)
    if len(options.scales) == 1:
        sums = scores_in_image(seen(0), bool(in_windows))
        return _in_label(sums, frame, exp)
    sums = None
    for k in whole:
        sums = _plus(sums, scores_in_image(seen(k), windows=False), options.fusion)
    if in_windows:
        # One loop over scales: the network is compiled once for the windows of all.
        stacked = jax.tree.map(lambda *taps: jnp.stack(taps), *map(seen, in_windows))
        if sums is None:
            shape = jax.eval_shape(lambda: scores_in_image(seen(in_windows[0]), True))
            sums = jnp.full(shape.shape, -jnp.inf if exp else 0.0, shape.dtype)

        def add(sums: jax.Array, taps: Any) -> tuple[jax.Array, None]:
            return _plus(sums, scores_in_image(taps, True), options.fusion), None

        sums, _ = jax.lax.scan(add, sums, stacked)
    assert sums is not None
    return _in_label(_mean(sums, options), frame, exp)


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
