"""Logits at the resolution of the labels, a phase at a time.

Logits come out at a quarter of the size of the labels. Resized, those of all classes
would be the largest array of a training step, several times over: 19 classes of a
1024x2048 image are 160 MB in float32, their softmax and its gradient as much again.
But a pixel of the result is a mixture of neighbouring pixels of the source, in
proportions that depend on its place within them alone. All pixels of one place, a
*phase*, make an array of the size of the source: a loss goes over the phases and
keeps one of them.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from hrnet_jax.models.resize import neighbour_weights, resize, shifted, size_of
from hrnet_jax.runtime.target import target

# Resized logits of more values than this are never made as a whole. Measured on two
# CPU cores, loss with gradient: 19 classes at 512x1024 take as long either way and a
# third of the memory, 150 classes at 4x512x512 a fifth less time as well; small maps
# (4x128x128) are three times slower phase by phase. A GPU makes only the gradient as a
# whole, everything else while it reads, and phases are many small kernels to it.
LARGE = 2**22
LARGE_ON_GPU = 2**28


def is_large(logits: jax.Array, labels: jax.Array) -> bool:
    """Whether logits resized to the labels are too large to be made as a whole."""
    largest = LARGE_ON_GPU if target() == "gpu" else LARGE
    return labels.size * logits.shape[-1] > largest


def at_pixels(
    function: Callable[[jax.Array, jax.Array], Any],
    logits: jax.Array,
    labels: jax.Array,
    upsample: str,
    large: bool,
) -> Any:
    """Applies a function of pixels to resized logits and their labels.

    Args:
        function: (logits [B, h, w, K], labels [B, h, w]) -> tree of arrays; of single
            pixels, or sums over those that it is given.
        logits: [B, h, w, K].
        labels: [B, H, W].
        upsample: `bilinear` or `align_corners`.
        large: whether to go over phases, where that can be.

    Returns:
        The tree; over phases with these as a first axis.
    """
    size = labels.shape[1], labels.shape[2]
    if large and grows_by_whole_factor(size_of(logits), size):
        return over_phases(function, logits, labels, upsample == "align_corners")
    return function(resize(logits, size, upsample), labels)


def grows_by_whole_factor(size: tuple[int, int], goal: tuple[int, int]) -> bool:
    """Whether both sides grow by the same whole factor, so that there are phases."""
    factor = goal[0] // size[0]
    return goal == (factor * size[0], factor * size[1])


def over_phases(
    function: Callable[[jax.Array, jax.Array], Any],
    logits: jax.Array,
    labels: jax.Array,
    align_corners: bool,
) -> Any:
    """Applies a function of single pixels to resized logits and their labels.

    The backward pass computes each phase again.

    Args:
        function: (logits [B, h, w, K], labels [B, h, w]) -> tree of [B, h, w].
        logits: [B, h, w, K].
        labels: [B, factor * h, factor * w].
        align_corners: how the bilinear resizing places pixels.

    Returns:
        The tree, with phases as the first axis: [factor**2, B, h, w].
    """
    b, h, w, _ = logits.shape
    factor = labels.shape[1] // h
    places = labels.reshape(b, h, factor, w, factor).transpose(2, 4, 0, 1, 3)
    rows, columns = (
        jnp.asarray(neighbour_weights(side, factor, align_corners), logits.dtype)
        for side in (h, w)
    )

    @jax.checkpoint
    def rows_of(inputs):
        weights, labels = inputs
        mixed = _mix(logits, 1, weights)

        @jax.checkpoint
        def columns_of(inputs):
            weights, labels = inputs
            return function(_mix(mixed, 2, weights), labels)

        return jax.lax.map(columns_of, (columns, labels))

    results = jax.lax.map(rows_of, (rows, places))
    return jax.tree.map(lambda x: x.reshape(factor**2, *x.shape[2:]), results)


def _mix(x: jax.Array, axis: int, weights: jax.Array) -> jax.Array:
    """One phase along an axis: what it takes of the pixels before, at and after."""
    shape = [1] * x.ndim
    shape[axis] = x.shape[axis]
    copies = shifted(x, axis, 1), x, shifted(x, axis, -1)
    return sum(
        copy * weight.reshape(shape)
        for copy, weight in zip(copies, weights, strict=True)
    )
