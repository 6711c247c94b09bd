"""Host-side transforms of segmentation samples: scale, crop, flip, pad.

Images stay uint8; the device normalises them. Scale and crop are one operation
that reads only the pixels which are kept: at scale 2.1 a 512x1024 crop needs a
244x488 window of a 1024x2048 image, not its 2150x4301 enlargement.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from hrnet_jax.errors import DataError
from hrnet_jax.imaging import photometric
from hrnet_jax.segmentation.augmentation import AugmentationOptions

Sample = dict[str, Any]

# mmsegmentation's RandomCrop draws this many further crops at most.
_CROP_RETRIES = 10


def make_train_transform(
    options: AugmentationOptions,
    ignore_label: int = 255,
    flip_pairs: Sequence[tuple[int, int]] = (),
) -> Callable[[Sample, np.random.Generator], Sample]:
    """Returns the random training transform `(sample, rng) -> sample`.

    Order and ranges follow `gen_sample` of the official segmentation code:
    the first resize of `resize_to` or `short_side`, scale, resize, pad at the bottom
    and right up to the crop size (`pad_color` and `ignore_label`), crop, brightness,
    photometric distortion (not of padded pixels, as in mmsegmentation), flip.
    `flip_first` puts the flip at the beginning.

    The draws are, in this order: the scale; x, then y of the crop; x and y of
    every further crop `cat_max_ratio` asks for; the draws of brightness; the
    draws of photometric distortion; the coin of the flip (first, if it is to flip
    first). An option that is off draws nothing.

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

    def mirrored(image: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        label = cv2.flip(label, 1)
        return cv2.flip(image, 1), cv2.LUT(label, mirrored_labels)

    def transform(sample: Sample, rng: np.random.Generator) -> Sample:
        image, label = sample["image"], sample["label"]
        _check_same_size(sample)
        if options.flip_first and rng.integers(2):
            image, label = mirrored(image, label)
        image, label = _first_resize(image, label, options)
        size = _draw_size(image.shape[:2], options, rng)
        window, label = _draw_crop(label, size, options, ignore_label, rng)
        image = resize_crop_image(image, size, window)
        image = pad_bottom_right(image, options.crop_size, options.pad_color)
        if options.brightness:
            image = photometric.random_brightness(image, rng, options.brightness)
        if options.photometric:
            shown = image[: window[2], : window[3]]
            shown[...] = photometric.random_photometric_distortion(shown, rng)
        if options.flip and not options.flip_first and rng.integers(2):
            image, label = mirrored(image, label)
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


def shape_of_short_side(shape: tuple[int, int], short: int) -> tuple[int, int]:
    """Height and width whose short side is `short`, the aspect ratio kept.

    The long side is rounded half up, as in `resize_short_length` of `base_dataset.py`
    (branch HRNet-OCR).
    """
    height, width = shape
    if height < width:
        return short, math.floor(width * short / height + 0.5)
    return math.floor(height * short / width + 0.5), short


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
    array: np.ndarray, shape: tuple[int, int], value: int | tuple[int, int, int]
) -> np.ndarray:
    """Pads [h, w(, 3)] at the bottom and right up to `shape`; never cuts."""
    bottom = max(0, shape[0] - array.shape[0])
    right = max(0, shape[1] - array.shape[1])
    if not (bottom or right):
        return array
    return cv2.copyMakeBorder(
        array,
        *(0, bottom, 0, right),
        cv2.BORDER_CONSTANT,
        value=value if isinstance(value, tuple) else (value,) * 3,
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
    if options.base_short_side:
        return _fitted_shape(shape, options, scale)
    base = options.base_size or max(shape)
    return resized_shape(shape, max(1, math.floor(base * scale + 0.5)))


def _fitted_shape(
    shape: tuple[int, int], options: AugmentationOptions, scale: float
) -> tuple[int, int]:
    """Height and width at a scale, where both sides are bounded.

    Source: `RandomResize` and `rescale_size` of mmcv, which cut the bounds to whole
    pixels and round the sides half up.
    """
    factor = int(options.base_short_side * scale) / min(shape)
    if options.base_size:
        factor = min(factor, int(options.base_size * scale) / max(shape))
    height, width = (max(1, int(side * factor + 0.5)) for side in shape)
    return height, width


def _first_resize(
    image: np.ndarray, label: np.ndarray, options: AugmentationOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Image and label at the size of `resize_to` or `short_side`, by OpenCV.

    Source: `resize_image` of `lip.py`; `shape_of_short_side`.
    """
    if options.resize_to:
        height, width = options.resize_to
    elif options.short_side:
        height, width = shape_of_short_side(image.shape[:2], options.short_side)
    else:
        return image, label
    if (height, width) == image.shape[:2]:
        return image, label
    return (
        cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR),
        cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST),
    )


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
