"""Sizes of resized images, and the few canvases they are padded to.

A canvas has one shape for all images of a batch. An image lies at its top left.
"""

from collections.abc import Sequence

import numpy as np

from hrnet_jax.errors import ConfigError

# The stride of the lowest-resolution branch; what images are padded to.
MULTIPLE = 32

Size = tuple[int, int]


def resized(size: Size, scale: Size) -> Size:
    """The size of an image of which both sides fit, the aspect ratio kept.

    The factor is min(long / longer side, short / shorter side); sides are rounded half
    up (mmdetection, `rescale_size`).

    Args:
        size: (height, width) of the image.
        scale: (long, short), the most that its longer and shorter side may become.
    """
    long, short = max(scale), min(scale)
    factor = min(long / max(size), short / min(size))
    height, width = (max(1, int(side * factor + 0.5)) for side in size)
    return height, width


def canvases_for(
    scales: Sequence[Size], given: Sequence[Size] = ()
) -> tuple[Size, ...]:
    """All canvases, (height, width), the smaller first.

    Args:
        scales: (long, short) that images may be resized to.
        given: canvases; those that hold every image if there are none. Each stands for
            its transpose as well.

    Raises:
        ConfigError: if a given one is no multiple of 32, or none holds a scale.
    """
    if not given:
        short, long = (max(side(one) for one in scales) for side in (min, max))
        given = [(_round_up(short), _round_up(long))]
    for canvas in given:
        if min(canvas) < MULTIPLE or any(side % MULTIPLE for side in canvas):
            raise ConfigError(
                f"a canvas is {tuple(canvas)}, expected (height, width), multiples of "
                f"{MULTIPLE}"
            )
    for scale in scales:
        long, short = max(scale), min(scale)
        if not any(max(one) >= long and min(one) >= short for one in given):
            raise ConfigError(
                f"no canvas holds images resized to {long}x{short}; expected one of at "
                f"least ({_round_up(short)}, {_round_up(long)})"
            )
    both = {(height, width) for height, width in given}
    both |= {(width, height) for height, width in given}
    # Of equal area, landscape first.
    return tuple(sorted(both, key=lambda one: (one[0] * one[1], one[0])))


def canvas_of(sizes: np.ndarray, scales: Sequence[Size], canvases: Sequence[Size]):
    """The smallest canvas that holds an image at every scale, by its size alone.

    Args:
        sizes: int [N, 2], heights and widths of images.
        scales: (long, short) that an image may be resized to.
        canvases: of `canvases_for`.

    Returns:
        int [N], indices of canvases.
    """
    sizes = np.asarray(sizes, np.int64).reshape(-1, 2)
    shapes, place = np.unique(sizes, axis=0, return_inverse=True)
    chosen = [_smallest((int(h), int(w)), scales, canvases) for h, w in shapes]
    return np.array(chosen, np.int64)[place.reshape(-1)]


def _smallest(size: Size, scales: Sequence[Size], canvases: Sequence[Size]) -> int:
    needed = [resized(size, scale) for scale in scales]
    height, width = (max(sides) for sides in zip(*needed, strict=True))
    for index, canvas in enumerate(canvases):
        if canvas[0] >= height and canvas[1] >= width:
            return index
    raise ConfigError(
        f"no canvas of {list(canvases)} holds an image of {size[1]}x{size[0]} resized "
        f"to {width}x{height}"
    )


def _round_up(side: int) -> int:
    return -(-side // MULTIPLE) * MULTIPLE
