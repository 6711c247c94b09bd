"""Where what the network sees lies in an image."""

import numpy as np

from hrnet_jax.classification.options import InferenceOptions


def resized_size(size: tuple[int, int], options: InferenceOptions) -> tuple[int, int]:
    """(height, width) of an image once its short side has the length of the options.

    The long side is truncated, as torchvision's `Resize` does.
    """
    if not options.short_side:
        return size
    short = min(size)
    height, width = (options.short_side * length // short for length in size)
    return height, width


def crop_corner(size: tuple[int, int], options: InferenceOptions) -> tuple[int, int]:
    """(top, left) of the crop in a resized image; torchvision's `CenterCrop`."""
    if not options.crop:
        return 0, 0
    top, left = (round(max(side - options.crop, 0) / 2) for side in size)
    return top, left


def seen_part(size: tuple[int, int], options: InferenceOptions) -> np.ndarray:
    """Where the network's pixels lie in an image of this (height, width).

    Returns:
        float32 [4], (x, y) of the corner and width and height of one of its pixels, in
        parts of the image's width and height.
    """
    resized = resized_size(size, options)
    top, left = crop_corner(resized, options)
    height, width = resized
    return np.array([left / width, top / height, 1 / width, 1 / height], np.float32)
