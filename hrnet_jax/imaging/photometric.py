"""Colour augmentation of uint8 RGB images.

Two kinds, both off by default: the brightness shift of the official
segmentation code (`TRAIN.RANDOM_BRIGHTNESS`), and the photometric distortion
that SSD (Liu et al., 2016, section 2.2) introduced and mmsegmentation uses.
Everything that maps a single channel value is one table look-up, so a pixel is
rounded once per operation.
"""

import cv2
import numpy as np

BRIGHTNESS_DELTA = 32
CONTRAST_RANGE = (0.5, 1.5)
SATURATION_RANGE = (0.5, 1.5)
HUE_DELTA = 18


def random_brightness(
    image: np.ndarray, rng: np.random.Generator, max_shift: int
) -> np.ndarray:
    """Adds one integer to all channels with probability one half.

    Draws a coin, then, if it shows heads, the shift from
    {-max_shift, ..., max_shift}. Values are clipped to 0..255.
    """
    if rng.integers(2) == 0:
        return image
    return _affine(image, 1.0, int(rng.integers(-max_shift, max_shift + 1)))


def random_photometric_distortion(
    image: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Random brightness, contrast, saturation and hue, each with probability 0.5.

    Contrast is applied before or after the change of saturation and hue, which
    happens in OpenCV's 8-bit HSV (hue 0..179). The draws are, in this order: a
    coin for brightness and its shift, U(-32, 32); a coin for the place of
    contrast (1 = before); at that place a coin for contrast and its factor,
    U(0.5, 1.5); a coin for saturation and its factor, U(0.5, 1.5); a coin for
    hue and its shift, an integer in {-18, ..., 18}. A value is drawn only if
    its coin shows heads.

    Args:
        image: uint8 [H, W, 3], RGB.
        rng: the source of all draws.

    Returns:
        uint8 [H, W, 3], RGB.
    """
    if rng.integers(2):
        delta = rng.uniform(-BRIGHTNESS_DELTA, BRIGHTNESS_DELTA)
        image = _affine(image, 1.0, delta)
    contrast_first = rng.integers(2) == 1
    if contrast_first:
        image = _random_contrast(image, rng)
    image = _random_saturation_and_hue(image, rng)
    if not contrast_first:
        image = _random_contrast(image, rng)
    return image


def _random_contrast(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if rng.integers(2) == 0:
        return image
    return _affine(image, rng.uniform(*CONTRAST_RANGE), 0.0)


def _random_saturation_and_hue(
    image: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    change_saturation = rng.integers(2) == 1
    factor = rng.uniform(*SATURATION_RANGE) if change_saturation else 1.0
    change_hue = rng.integers(2) == 1
    shift = int(rng.integers(-HUE_DELTA, HUE_DELTA + 1)) if change_hue else 0
    if not (change_saturation or change_hue):
        return image  # the way to HSV and back is not exact
    values = np.arange(256)
    table = np.empty((256, 1, 3), np.uint8)
    table[:, 0, 0] = (values + shift) % 180
    table[:, 0, 1] = _to_uint8(values * factor)
    table[:, 0, 2] = values
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    return cv2.cvtColor(cv2.LUT(hsv, table), cv2.COLOR_HSV2RGB)


def _affine(image: np.ndarray, factor: float, shift: float) -> np.ndarray:
    """Maps every channel value v to factor * v + shift, rounded and clipped."""
    return cv2.LUT(image, _to_uint8(np.arange(256) * factor + shift))


def _to_uint8(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
