"""Host-side transforms of segmentation samples: scale, crop, flip, pad.

Images stay uint8; the device normalises them. Scale and crop are one operation
that reads only the pixels which are kept: at scale 2.1 a 512x1024 crop needs a
244x488 window of a 1024x2048 image, not its 2150x4301 enlargement.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.imaging import photometric

Sample = dict[str, Any]

# mmsegmentation's RandomCrop draws this many further crops at most.
_CROP_RETRIES = 10


@dataclasses.dataclass(frozen=True)
class AugmentationOptions:
    """Training augmentation; the defaults are the official Cityscapes recipe.

    Attributes:
        crop_size: height and width of the crop in pixels.
        base_size: long side in pixels at scale 1; 0 takes each image's own.
        scale_min: smallest scale.
        scale_max: largest scale, inclusive.
        scale_step: distance between scales; 0 draws from the continuous
            U[scale_min, scale_max).
        flip: whether to mirror with probability one half.
        brightness: largest shift of `random_brightness` in grey levels; 0 = off.
        photometric: whether to apply `random_photometric_distortion`.
        cat_max_ratio: a crop is drawn again, up to 10 times, while one class
            fills this share or more of its labelled pixels; 1.0 = off.
            mmsegmentation uses 0.75.

    Raises:
        ConfigError: naming the key whose value is out of range.
    """

    crop_size: tuple[int, int] = (512, 1024)
    base_size: int = 0
    scale_min: float = 0.5
    scale_max: float = 2.1
    scale_step: float = 0.1
    flip: bool = True
    brightness: int = 0
    photometric: bool = False
    cat_max_ratio: float = 1.0

    def __post_init__(self):
        if len(self.crop_size) != 2 or min(self.crop_size) < 1:
            raise ConfigError(
                "crop_size must be two positive integers, (height, width), "
                f"got {self.crop_size!r}"
            )
        if self.base_size < 0:
            raise ConfigError(
                "base_size must be a long side in pixels, or 0 for the image's "
                f"own, got {self.base_size}"
            )
        if not 0 < self.scale_min <= self.scale_max:
            raise ConfigError(
                "scale_min and scale_max must satisfy 0 < scale_min <= scale_max, "
                f"got {self.scale_min} and {self.scale_max}"
            )
        if self.scale_step < 0:
            raise ConfigError(f"scale_step must not be negative, got {self.scale_step}")
        if not 0 <= self.brightness <= 255:
            raise ConfigError(
                f"brightness must be between 0 and 255, got {self.brightness}"
            )
        if not 0 < self.cat_max_ratio <= 1:
            raise ConfigError(
                f"cat_max_ratio must be in (0, 1], got {self.cat_max_ratio}"
            )


def make_train_transform(
    options: AugmentationOptions,
    ignore_label: int = 255,
    flip_pairs: Sequence[tuple[int, int]] = (),
) -> Callable[[Sample, np.random.Generator], Sample]:
    """Returns the random training transform `(sample, rng) -> sample`.

    Order and ranges follow `gen_sample` of the official segmentation code:
    scale, resize, pad at the bottom and right up to the crop size (black and
    `ignore_label`), crop, brightness, photometric distortion, flip.

    The draws are, in this order: the scale; x, then y of the crop; x and y of
    every further crop `cat_max_ratio` asks for; the draws of brightness; the
    draws of photometric distortion; the coin of the flip. An option that is
    off draws nothing.

    Args:
        options: ranges and switches.
        ignore_label: label of padded pixels.
        flip_pairs: pairs of labels that swap when the image is mirrored.

    Returns:
        A function that takes `image` uint8 [H, W, 3] and `label` uint8 [H, W]
        and returns them as uint8 [crop height, crop width(, 3)]; other keys
        pass unchanged. It raises DataError if image and label differ in size.
    """
    mirrored_labels = mirror_label_table(flip_pairs)

    def transform(sample: Sample, rng: np.random.Generator) -> Sample:
        image, label = sample["image"], sample["label"]
        _check_same_size(sample)
        size = _draw_size(image.shape[:2], options, rng)
        window, label = _draw_crop(label, size, options, ignore_label, rng)
        image = resize_crop_image(image, size, window)
        image = pad_bottom_right(image, options.crop_size, 0)
        if options.brightness:
            image = photometric.random_brightness(image, rng, options.brightness)
        if options.photometric:
            image = photometric.random_photometric_distortion(image, rng)
        if options.flip and rng.integers(2):
            image = cv2.flip(image, 1)
            label = cv2.flip(label, 1)
            if flip_pairs:
                label = cv2.LUT(label, mirrored_labels)
        return {**sample, "image": image, "label": label}

    return transform


def resized_shape(shape: tuple[int, int], long_side: int) -> tuple[int, int]:
    """Height and width whose long side is `long_side`, the aspect ratio kept.

    The short side is rounded half up, as in `multi_scale_aug` of the official
    segmentation code; neither side gets smaller than one pixel.
    """
    height, width = shape
    if height > width:
        return long_side, max(1, math.floor(width * long_side / height + 0.5))
    return max(1, math.floor(height * long_side / width + 0.5)), long_side


def resize_crop_image(
    image: np.ndarray,
    size: tuple[int, int],
    window: tuple[int, int, int, int],
) -> np.ndarray:
    """Bilinear resize to `size`, of which only `window` is computed.

    Samples at the half-pixel positions of `cv2.resize(..., INTER_LINEAR)`. That
    function truncates products of 11-bit weights, so the results differ by up
    to one grey level (0.1 in the mean); this one is the nearer to exact
    arithmetic: within 0.51 grey levels, against 0.82.

    Args:
        image: uint8 [H, W, 3].
        size: height and width of the whole resized image.
        window: top, left, height and width inside the resized image.

    Returns:
        uint8 [window height, window width, 3].
    """
    top, left, height, width = window
    first_row, last_row, scale_y, offset_y = _source_range(
        top, height, size[0], image.shape[0]
    )
    first_column, last_column, scale_x, offset_x = _source_range(
        left, width, size[1], image.shape[1]
    )
    matrix = np.array([[scale_x, 0.0, offset_x], [0.0, scale_y, offset_y]])
    return cv2.warpAffine(
        image[first_row : last_row + 1, first_column : last_column + 1],
        matrix,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def resize_crop_label(
    label: np.ndarray,
    size: tuple[int, int],
    window: tuple[int, int, int, int],
) -> np.ndarray:
    """Nearest-neighbour counterpart of `resize_crop_image`.

    Equal to `cv2.resize(..., INTER_NEAREST)` followed by the crop: output x
    takes the source pixel floor(x / (output size / source size)).

    Args:
        label: uint8 [H, W].
        size: height and width of the whole resized label map.
        window: top, left, height and width inside it.

    Returns:
        uint8 [window height, window width].
    """
    top, left, height, width = window
    rows = _nearest_sources(top, height, size[0], label.shape[0])
    columns = _nearest_sources(left, width, size[1], label.shape[1])
    return label.take(rows, axis=0).take(columns, axis=1)


def pad_bottom_right(
    array: np.ndarray, shape: tuple[int, int], value: int
) -> np.ndarray:
    """Pads [h, w(, 3)] at the bottom and right up to `shape`; never cuts."""
    bottom = max(0, shape[0] - array.shape[0])
    right = max(0, shape[1] - array.shape[1])
    if not (bottom or right):
        return array
    return cv2.copyMakeBorder(
        array, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=(value,) * 3
    )


def mirror_label_table(flip_pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    """uint8 [256] table of each label's counterpart in the mirrored image."""
    table = np.arange(256, dtype=np.uint8)
    for first, second in flip_pairs:
        table[first], table[second] = second, first
    return table


def _check_same_size(sample: Sample) -> None:
    image, label = sample["image"].shape[:2], sample["label"].shape
    if image != label:
        raise DataError(
            f"image and label of {sample.get('image_id')!r} differ in size: "
            f"{list(image)} and {list(label)}"
        )


def _draw_size(
    shape: tuple[int, int], options: AugmentationOptions, rng: np.random.Generator
) -> tuple[int, int]:
    """Draws a scale and returns height and width of the resized image."""
    if options.scale_step:
        span = (options.scale_max - options.scale_min) / options.scale_step
        # Rounded, because (1.7 - 0.5) / 0.1 falls just below 12.
        steps = math.floor(round(span, 6))
        step = int(rng.integers(steps + 1))
        scale = round(options.scale_min + step * options.scale_step, 9)
    else:
        scale = rng.uniform(options.scale_min, options.scale_max)
    base = options.base_size or max(shape)
    return resized_shape(shape, max(1, math.floor(base * scale + 0.5)))


def _draw_crop(
    label: np.ndarray,
    size: tuple[int, int],
    options: AugmentationOptions,
    ignore_label: int,
    rng: np.random.Generator,
) -> tuple[tuple[int, int, int, int], np.ndarray]:
    """Draws the crop's window in the resized image, and cuts its label."""
    height = min(options.crop_size[0], size[0])
    width = min(options.crop_size[1], size[1])
    for attempt in range(1 + _CROP_RETRIES):
        left = int(rng.integers(size[1] - width + 1))
        top = int(rng.integers(size[0] - height + 1))
        window = (top, left, height, width)
        crop = resize_crop_label(label, size, window)
        if (
            options.cat_max_ratio >= 1
            or attempt == _CROP_RETRIES
            or _largest_share(crop, ignore_label) < options.cat_max_ratio
        ):
            break
    return window, pad_bottom_right(crop, options.crop_size, ignore_label)


def _largest_share(label: np.ndarray, ignore_label: int) -> float:
    """Share of the most frequent class among labelled pixels; 1 without any."""
    counts = cv2.calcHist([label], [0], None, [256], [0, 256]).ravel()
    counts[ignore_label] = 0
    total = counts.sum()
    return float(counts.max() / total) if total else 1.0


def _source_range(
    start: int, length: int, resized: int, original: int
) -> tuple[int, int, float, float]:
    """Source pixels that `length` outputs from `start` on interpolate between.

    Returns:
        First and last source index, the distance of two outputs in source
        pixels, and the position of the first output relative to the first
        source index.
    """
    scale = original / resized
    position = (start + 0.5) * scale - 0.5
    first = min(max(math.floor(position), 0), original - 1)
    last = min(math.floor(position + (length - 1) * scale) + 1, original - 1)
    return first, last, scale, position - first


def _nearest_sources(
    start: int, length: int, resized: int, original: int
) -> np.ndarray:
    """Source index of each of `length` outputs, with the rounding of OpenCV."""
    inverse = 1.0 / (resized / original)
    indices = np.floor(np.arange(start, start + length) * inverse).astype(np.intp)
    return np.minimum(indices, original - 1)
