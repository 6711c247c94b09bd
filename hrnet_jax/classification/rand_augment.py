"""RandAugment, colour jitter and random erasing, on the host.

RandAugment (Cubuk et al., NeurIPS 2020) with the operations and magnitudes of timm's
`rand-m9-mstd0.5-inc1` (`timm/data/auto_augment.py`): all of them grow with the magnitude
m from 0 to 10, and what an operation shows of beyond the image is the mean colour.
Operations are Pillow's.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from hrnet_jax.classification.augmentation import (
    ErasingOptions,
    JitterOptions,
    RandAugmentOptions,
)

LARGEST = 10.0
# ImageNet's mean, as RGB bytes.
_FILL = (124, 116, 104)
_BILINEAR = Image.Resampling.BILINEAR
_ATTEMPTS = 10

Operation = Callable[[Image.Image, float, np.random.Generator], Image.Image]


def _sign(rng: np.random.Generator) -> int:
    return 1 if rng.random() < 0.5 else -1


def _autocontrast(
    image: Image.Image, m: float, rng: np.random.Generator
) -> Image.Image:
    return ImageOps.autocontrast(image)


def _equalize(image: Image.Image, m: float, rng: np.random.Generator) -> Image.Image:
    return ImageOps.equalize(image)


def _invert(image: Image.Image, m: float, rng: np.random.Generator) -> Image.Image:
    return ImageOps.invert(image)


def _rotate(image: Image.Image, m: float, rng: np.random.Generator) -> Image.Image:
    """Up to 30 degrees."""
    degrees = _sign(rng) * 30 * m / LARGEST
    return image.rotate(degrees, _BILINEAR, fillcolor=_FILL)


def _posterize(image: Image.Image, m: float, rng: np.random.Generator) -> Image.Image:
    """Down to no bits of four."""
    return ImageOps.posterize(image, 4 - int(4 * m / LARGEST))


def _solarize(image: Image.Image, m: float, rng: np.random.Generator) -> Image.Image:
    """Inverts values from 256 down to 0 on."""
    return ImageOps.solarize(image, 256 - int(256 * m / LARGEST))


def _solarize_add(
    image: Image.Image, m: float, rng: np.random.Generator
) -> Image.Image:
    """Adds up to 110 to values below 128."""
    values = np.arange(256)
    added = np.minimum(values + int(110 * m / LARGEST), 255)
    table = np.where(values < 128, added, values)
    return image.point(table.tolist() * 3)


def _enhanced(kind: Callable) -> Operation:
    """A factor of 1 - 0.9 to 1 + 0.9, at least 0.1."""

    def operation(
        image: Image.Image, m: float, rng: np.random.Generator
    ) -> Image.Image:
        factor = max(0.1, 1 + _sign(rng) * 0.9 * m / LARGEST)
        return kind(image).enhance(factor)

    return operation


def _sheared(axis: int) -> Operation:
    """Up to 0.3 pixels for one."""

    def operation(
        image: Image.Image, m: float, rng: np.random.Generator
    ) -> Image.Image:
        factor = _sign(rng) * 0.3 * m / LARGEST
        across, down = (factor, 0.0) if axis == 0 else (0.0, factor)
        return _affine(image, (1, across, 0, down, 1, 0))

    return operation


def _translated(axis: int) -> Operation:
    """Up to 0.45 of the side."""

    def operation(
        image: Image.Image, m: float, rng: np.random.Generator
    ) -> Image.Image:
        pixels = _sign(rng) * 0.45 * m / LARGEST * image.size[axis]
        across, down = (pixels, 0.0) if axis == 0 else (0.0, pixels)
        return _affine(image, (1, 0, across, 0, 1, down))

    return operation


def _affine(image: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    return image.transform(
        image.size, Image.Transform.AFFINE, matrix, _BILINEAR, fillcolor=_FILL
    )


OPERATIONS: dict[str, Operation] = {
    "autocontrast": _autocontrast,
    "equalize": _equalize,
    "invert": _invert,
    "rotate": _rotate,
    "posterize": _posterize,
    "solarize": _solarize,
    "solarize_add": _solarize_add,
    "color": _enhanced(ImageEnhance.Color),
    "contrast": _enhanced(ImageEnhance.Contrast),
    "brightness": _enhanced(ImageEnhance.Brightness),
    "sharpness": _enhanced(ImageEnhance.Sharpness),
    "shear_x": _sheared(0),
    "shear_y": _sheared(1),
    "translate_x": _translated(0),
    "translate_y": _translated(1),
}


def rand_augment(
    image: Image.Image, options: RandAugmentOptions, rng: np.random.Generator
) -> Image.Image:
    """Applies some of `OPERATIONS`, drawn with repeats.

    Draws the operations; then for each a coin, if it shows heads the magnitude, a
    normal number around the option cut to 0..10, and what the operation draws.

    Args:
        image: RGB.
        options: how many, how strong, how likely.
        rng: of the draws.
    """
    names = list(OPERATIONS)
    for index in rng.integers(len(names), size=options.number):
        if rng.random() >= options.probability:
            continue
        magnitude = options.magnitude
        if options.magnitude_std:
            magnitude = rng.normal(magnitude, options.magnitude_std)
        magnitude = min(max(magnitude, 0.0), LARGEST)
        image = OPERATIONS[names[index]](image, magnitude, rng)
    return image


def jitter(
    image: Image.Image, options: JitterOptions, rng: np.random.Generator
) -> Image.Image:
    """Changes brightness, contrast, saturation and hue in a random order.

    As torchvision's `ColorJitter`: factors of U(max(0, 1 - x), 1 + x), a shift of the hue
    in Pillow's 8-bit HSV. Draws the order, then a number for each that is not 0.
    """
    for index in rng.permutation(4):
        if index == 3:
            if options.hue:
                image = _hue(image, rng.uniform(-options.hue, options.hue))
            continue
        kind, width = (
            (ImageEnhance.Brightness, options.brightness),
            (ImageEnhance.Contrast, options.contrast),
            (ImageEnhance.Color, options.saturation),
        )[index]
        if width:
            factor = rng.uniform(max(0.0, 1 - width), 1 + width)
            image = kind(image).enhance(factor)
    return image


def _hue(image: Image.Image, shift: float) -> Image.Image:
    """Turns the hue by a share of the circle, -0.5 to 0.5."""
    hue, saturation, value = image.convert("HSV").split()
    turned = hue.point([(one + int(shift * 255)) % 256 for one in range(256)])
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def erase(
    image: np.ndarray, options: ErasingOptions, rng: np.random.Generator
) -> np.ndarray:
    """Puts noise of 0..255 into a rectangle.

    Draws a coin; if it shows heads up to ten times a share of the area and, on a
    logarithmic scale, an aspect, until the rectangle fits; then its top and left, and
    its pixels.

    Args:
        image: uint8 [H, W, 3].
        options: how likely, how large.
        rng: of the draws.

    Returns:
        The image itself or a changed copy.
    """
    if rng.random() >= options.probability:
        return image
    rows, columns = image.shape[:2]
    for _ in range(_ATTEMPTS):
        area = rng.uniform(*options.area) * rows * columns
        aspect = np.exp(rng.uniform(*np.log(options.aspect)))
        height, width = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
        if height < rows and width < columns:
            top = rng.integers(rows - height + 1)
            left = rng.integers(columns - width + 1)
            erased = image.copy()
            noise = rng.integers(0, 256, (height, width, 3), np.uint8)
            erased[top : top + height, left : left + width] = noise
            return erased
    return image
