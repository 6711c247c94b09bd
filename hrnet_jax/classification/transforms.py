"""From a record to a crop, on the host."""

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from PIL import Image

from hrnet_jax.classification.augmentation import AugmentationOptions, JitterOptions
from hrnet_jax.classification.options import InferenceOptions
from hrnet_jax.classification.rand_augment import erase, jitter, rand_augment
from hrnet_jax.classification.views import crop_corner, resized_size
from hrnet_jax.imaging.cutting import Resizing, Window, WindowedImage

__all__ = [
    "AugmentationOptions",
    "draw_window",
    "make_train_transform",
    "prepare_evaluation",
]

Sample = dict[str, Any]

_ATTEMPTS = 10
# What else of a record a batch holds, and its type.
_TARGETS = {"class": np.int32, "classes": np.uint8, "real": np.uint8}


def draw_window(
    height: int,
    width: int,
    area: tuple[float, float],
    aspect: tuple[float, float],
    rng: np.random.Generator,
) -> Window:
    """Draws what a training crop shows, as torchvision's `RandomResizedCrop`.

    Draws up to ten times a share of the area and, on a logarithmic scale, an aspect,
    until the window fits into the image; then its top and left. Otherwise it is in the
    middle, as large as the image and the aspects allow.

    Args:
        height: of the image, in pixels.
        width: of the image.
        area: least and largest share of the area.
        aspect: least and largest width over height.
        rng: of the draws.

    Returns:
        (top, left, height, width), in pixels.
    """
    log_least, log_largest = math.log(aspect[0]), math.log(aspect[1])
    for _ in range(_ATTEMPTS):
        target = height * width * rng.uniform(*area)
        ratio = math.exp(rng.uniform(log_least, log_largest))
        w = round(math.sqrt(target * ratio))
        h = round(math.sqrt(target / ratio))
        if 0 < w <= width and 0 < h <= height:
            top = int(rng.integers(height - h + 1))
            left = int(rng.integers(width - w + 1))
            return top, left, h, w
    w, h = width, height
    if width < aspect[0] * height:
        h = round(width / aspect[0])
    elif width > aspect[1] * height:
        w = round(height * aspect[1])
    # Of images one or two pixels wide.
    h, w = max(h, 1), max(w, 1)
    return (height - h) // 2, (width - w) // 2, h, w


def make_train_transform(
    options: AugmentationOptions,
) -> Callable[[Sample, np.random.Generator], Sample]:
    """Returns the random training transform `(sample, rng) -> sample`.

    The draws are, in this order: the window; the coin of the flip; those of
    RandAugment, of the jitter, of the erasing. An option that is off draws nothing.

    Args:
        options: ranges and switches.

    Returns:
        A function from a record, whose `image` is uint8 RGB [H, W, 3] or the bytes of
        an image file, to `image` uint8 [h, w, 3]; `class` int32, or `classes` uint8
        [K]; `real` uint8 [K] where the record has it; and `image_id`.
    """
    resizing, size = options.resizing, options.crop_size

    def transform(sample: Sample, rng: np.random.Generator) -> Sample:
        whole = WindowedImage(sample["image"], resizing, sample["image_id"])
        window = draw_window(*whole.size, options.area, options.aspect, rng)
        image = whole.resized(window, size)
        if options.flip and rng.random() < 0.5:
            image = cv2.flip(image, 1)  # NumPy's takes a quarter of the resizing
        image = _recoloured(image, options, rng)
        if options.erasing.probability:
            image = erase(image, options.erasing, rng)
        return {"image": image} | targets(sample)

    return transform


def _recoloured(
    image: np.ndarray, options: AugmentationOptions, rng: np.random.Generator
) -> np.ndarray:
    jitters = options.jitter != JitterOptions()
    if not options.rand_augment.number and not jitters:
        return image
    changed = Image.fromarray(image)
    if options.rand_augment.number:
        changed = rand_augment(changed, options.rand_augment, rng)
    if jitters:
        changed = jitter(changed, options.jitter, rng)
    return np.asarray(changed)


def targets(sample: Sample) -> Sample:
    """What a record says of its image, as batches hold it, and `image_id`."""
    found = {
        key: np.asarray(sample[key], dtype)
        for key, dtype in _TARGETS.items()
        if key in sample
    }
    return found | {"image_id": sample["image_id"]}


def prepare_evaluation(
    image: np.ndarray | bytes, options: InferenceOptions, name: str = ""
) -> np.ndarray:
    """Resizes the short side and cuts the middle out.

    Antialiased bilinear and truncated sizes, as torchvision's `Resize` and
    `CenterCrop` in HRNet-Image-Classification do it. Images smaller than the crop are
    not enlarged when `short_side` is 0.

    Args:
        image: uint8 RGB [H, W, 3], or the bytes of an image file.
        options: sizes and how to resize.
        name: of the image, for messages.

    Returns:
        uint8 RGB [crop, crop, 3]; of other sizes where an option is 0.

    Raises:
        DataError: naming the image, if it does not decode.
    """
    whole = WindowedImage(image, Resizing(options.library, options.interpolation), name)
    size = resized_size(whole.size, options)
    resized = whole.resized((0, 0, *whole.size), size)
    if options.crop:
        top, left = crop_corner(size, options)
        resized = resized[top : top + options.crop, left : left + options.crop]
    return resized
