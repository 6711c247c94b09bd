"""From a record to a canvas with objects, on the host."""

import dataclasses
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.detection.canvas import (
    MULTIPLE,
    Size,
    canvas_of,
    canvases_for,
    resized,
)
from hrnet_jax.detection.placed_objects import Placement, placed_objects
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.imaging import photometric

Sample = dict[str, Any]

_CROPS = ("", "resize", "jitter")
# So many windows are drawn for one that shows an object.
_WINDOWS = 10


@dataclasses.dataclass(frozen=True)
class AugmentationOptions:
    """How images are resized, padded and augmented; the defaults are the published ones.

    Attributes:
        scales: (long, short), the most pixels that the longer and the shorter side of
            an image may become; one is drawn for each training image.
        scale_mode: `choice` draws one of `scales`, `range` a short side between those
            of the first and the last, and a long side alike.
        test_scale: the one of evaluation.
        canvases: (height, width) that training images are padded to, multiples of 32,
            and their transposes; derived from `scales` if empty.
        test_canvases: those of evaluation; derived from `test_scale` if empty.
        flip: probability of a mirrored image.
        flip_vertical: probability of an image upside down.
        crop: `resize` cuts a window of `crop_size` from the resized image (ResizeCrop);
            `jitter` first resizes by a factor of `jitter` (large-scale jitter); neither
            if empty.
        crop_size: (height, width) of the window, padded to multiples of 32.
        jitter: least and largest factor on the size at which the image fits the window.
        photometric: whether to apply `random_photometric_distortion`.
        least_side: objects of a narrower box are not trained on, in pixels of the
            original and of the canvas.
        max_objects: most objects in an image.
        mask_size: side of the bitmap of each object's mask.

    Raises:
        ConfigError: naming the key whose value is out of range.
    """

    scales: tuple[tuple[int, int], ...] = ((1333, 800),)
    scale_mode: str = "choice"
    test_scale: tuple[int, int] = (1333, 800)
    canvases: tuple[tuple[int, int], ...] = ()
    test_canvases: tuple[tuple[int, int], ...] = ()
    flip: float = 0.5
    flip_vertical: float = 0.0
    crop: str = ""
    crop_size: tuple[int, int] = (800, 1200)
    jitter: tuple[float, float] = (0.1, 2.0)
    photometric: bool = False
    least_side: float = 1.0
    max_objects: int = 100
    mask_size: int = 112

    def __post_init__(self):
        section = "config key 'dataset.augmentation."
        for scale in (*self.scales, self.test_scale, self.crop_size):
            if len(scale) != 2 or min(scale) < 1:
                raise ConfigError(
                    f"{section}scales', 'test_scale' and 'crop_size' must be of "
                    f"positive pixels, got {scale!r}"
                )
        if not self.scales:
            raise ConfigError(f"{section}scales' is empty; expected (long, short)")
        if self.scale_mode not in ("choice", "range"):
            raise ConfigError(
                f"{section}scale_mode' must be 'choice' or 'range', got "
                f"{self.scale_mode!r}"
            )
        if self.crop not in _CROPS:
            raise ConfigError(
                f"{section}crop' must be empty, 'resize' or 'jitter', got {self.crop!r}"
            )
        for key in ("flip", "flip_vertical"):
            if not 0 <= getattr(self, key) <= 1:
                raise ConfigError(
                    f"{section}{key}' must be between 0 and 1, got {getattr(self, key)}"
                )
        if not 0 < self.jitter[0] <= self.jitter[1]:
            raise ConfigError(
                f"{section}jitter' must be 0 < least <= largest, got {self.jitter!r}"
            )
        for key in ("max_objects", "mask_size"):
            if getattr(self, key) < 1:
                raise ConfigError(
                    f"{section}{key}' must be positive, got {getattr(self, key)}"
                )
        self.train_canvases()
        self.eval_canvases()

    def train_canvases(self) -> tuple[Size, ...]:
        """All (height, width) of training batches."""
        if self.crop:
            height, width = (-(-side // MULTIPLE) * MULTIPLE for side in self.crop_size)
            return ((height, width),)
        return canvases_for(self.scales, self.canvases)

    def eval_canvases(self) -> tuple[Size, ...]:
        """All (height, width) of evaluation batches."""
        return canvases_for([self.test_scale], self.test_canvases)


def train_groups(sizes: np.ndarray, options: AugmentationOptions) -> np.ndarray:
    """Canvas of each training image, int [N], of sizes int [N, 2]."""
    if options.crop:
        return np.zeros(len(sizes), np.int64)
    return canvas_of(sizes, options.scales, options.train_canvases())


def eval_groups(sizes: np.ndarray, options: AugmentationOptions) -> np.ndarray:
    """Canvas of each evaluated image, int [N], of sizes int [N, 2]."""
    return canvas_of(sizes, [options.test_scale], options.eval_canvases())


def make_train_transform(
    options: AugmentationOptions, info: DatasetInfo, *, masks: bool = False
) -> Callable[[Sample, np.random.Generator], Sample]:
    """Returns the random training transform `(sample, rng) -> sample`.

    The draws are, in this order: the scale, or the factor of `jitter`; top and left of
    the window, up to 10 times where it shows no object; the two flips; those of the
    photometric distortion. An option that is off draws nothing.

    Args:
        options: ranges and switches.
        info: of the data set.
        masks: whether bitmaps of the objects are wanted.

    Returns:
        A function from a record to, with G = `max_objects` and M = `mask_size`: `image`
        uint8 [H, W, 3], the canvas, zeros outside of the image at its top left;
        `image_size` int32 [2], (h, w) of the image there; `scale` float32 [2], (y, x),
        pixels of the canvas for one of the original; `boxes` float32 [G, 4], (x1, y1,
        x2, y2) in pixels of the canvas, edges; `box_class` int32 [G]; `box_valid` bool
        [G], of objects; `box_crowd` bool [G], of crowds; with `masks`, `masks` uint8
        [G, M, M], 0 and 1, in the frame of each box; `flipped` bool; `image_id`.

    Raises:
        DataError: if the data set does not have what is wanted.
    """
    _check(options, info, masks)
    canvases = options.train_canvases()

    def transform(sample: Sample, rng: np.random.Generator) -> Sample:
        _check_number(sample, options)
        size = sample["image"].shape[:2]
        placement = _draw(sample, options, rng)
        image = _cut(sample["image"], placement)
        if options.photometric:
            image = photometric.random_photometric_distortion(image, rng)
        canvas = canvases[int(train_groups(np.array([size]), options)[0])]
        placed = placed_objects(
            sample,
            placement,
            options.max_objects,
            mask_size=options.mask_size if masks else 0,
            least_side=options.least_side,
        )
        return _on_canvas(image, canvas) | _about(sample, placement) | placed

    return transform


def make_eval_transform(
    options: AugmentationOptions, info: DatasetInfo
) -> Callable[[Sample], Sample]:
    """Returns the evaluation transform `(sample) -> sample`.

    Beside what training has, but masks: what is annotated, in pixels of the original.
    `object_boxes` float32 [G, 4] and `object_area` float32 [G] (its `box_class`,
    `box_valid` and `box_crowd` are those of `boxes`), `original_size` int32 [2], and
    as text `image_number` and `object_masks`, run lengths with a space between. No
    object is left out.

    Raises:
        DataError: if the data set has no objects.
    """
    _check(options, info, masks=False)

    def transform(sample: Sample) -> Sample:
        _check_number(sample, options)
        canvas, placement = on_eval_canvas(sample["image"], options)
        size = placement.original
        placed = placed_objects(sample, placement, options.max_objects)
        count = len(sample["boxes"])
        boxes = np.zeros((options.max_objects, 4), np.float32)
        area = np.zeros(options.max_objects, np.float32)
        boxes[:count], area[:count] = sample["boxes"], sample["box_area"]
        return (
            {"image": canvas, "image_size": np.array(placement.size, np.int32)}
            | _about(sample, placement)
            | placed
            | {
                "object_boxes": boxes,
                "object_area": area,
                "original_size": np.array(size, np.int32),
                "image_number": sample["image_number"],
                "object_masks": sample.get("masks", ""),
            }
        )

    return transform


def on_eval_canvas(
    image: np.ndarray, options: AugmentationOptions
) -> tuple[np.ndarray, Placement]:
    """An image as it is evaluated: uint8 [H, W, 3], and how it came onto its canvas."""
    size = image.shape[:2]
    after = resized(size, options.test_scale)
    placement = Placement(size, after, (0, 0), after)
    canvases = options.eval_canvases()
    canvas = canvases[int(eval_groups(np.array([size]), options)[0])]
    return _on_canvas(_cut(image, placement), canvas)["image"], placement


def empty_record(size: Size) -> Sample:
    """A record of a black image of (height, width) without objects."""
    return {
        "image": np.zeros((*size, 3), np.uint8),
        "image_id": "empty",
        "image_number": "0",
        "boxes": np.zeros((0, 4), np.float32),
        "box_class": np.zeros(0, np.int32),
        "box_crowd": np.zeros(0, np.uint8),
        "box_area": np.zeros(0, np.float32),
        "masks": "",
    }


def _draw(
    sample: Sample, options: AugmentationOptions, rng: np.random.Generator
) -> Placement:
    size = sample["image"].shape[:2]
    after = _draw_size(size, options, rng)
    window = (0, 0), after
    if options.crop:
        window = _draw_window(sample, after, options, rng)
    mirror = bool(options.flip and rng.random() < options.flip)
    upside_down = bool(options.flip_vertical and rng.random() < options.flip_vertical)
    return Placement(size, after, *window, mirror, upside_down)


def _draw_size(
    size: Size, options: AugmentationOptions, rng: np.random.Generator
) -> Size:
    if options.crop == "jitter":
        fits = min(limit / side for limit, side in zip(options.crop_size, size))
        factor = rng.uniform(*options.jitter) * fits
        height, width = (max(1, int(side * factor + 0.5)) for side in size)
        return height, width
    scale = options.scales[0]
    if len(options.scales) > 1 and options.scale_mode == "choice":
        scale = options.scales[rng.integers(len(options.scales))]
    elif len(options.scales) > 1:
        ends = zip(options.scales[0], options.scales[-1], strict=True)
        long, short = (int(rng.integers(min(two), max(two) + 1)) for two in ends)
        scale = long, short
    return resized(size, scale)


def _draw_window(
    sample: Sample, after: Size, options: AugmentationOptions, rng: np.random.Generator
) -> tuple[Size, Size]:
    """Corner (top, left) and size (height, width) in the resized image."""
    height, width = (min(pair) for pair in zip(after, options.crop_size, strict=True))
    size = sample["image"].shape[:2]
    for _ in range(_WINDOWS):
        corner = (
            int(rng.integers(after[0] - height + 1)),
            int(rng.integers(after[1] - width + 1)),
        )
        placement = Placement(size, after, corner, (height, width))
        whole = placement.whole == (height, width)
        if whole or not len(sample["boxes"]):
            break
        boxes = placement.boxes(sample["boxes"])
        shown = (boxes[:, 2:] - boxes[:, :2] >= options.least_side).all(1)
        if (shown & (sample["box_crowd"] == 0)).any():
            break
    return corner, (height, width)


def _cut(image: np.ndarray, placement: Placement) -> np.ndarray:
    """The resized window of an image, uint8 [h, w, 3]."""
    height, width = placement.whole
    if (height, width) != image.shape[:2]:
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    (top, left), (rows, columns) = placement.corner, placement.size
    image = image[top : top + rows, left : left + columns]
    if placement.mirror:
        image = image[:, ::-1]
    if placement.upside_down:
        image = image[::-1]
    return np.ascontiguousarray(image)


def _on_canvas(image: np.ndarray, canvas: Size) -> Sample:
    whole = np.zeros((*canvas, 3), np.uint8)
    height, width = image.shape[:2]
    whole[:height, :width] = image
    return {"image": whole, "image_size": np.array([height, width], np.int32)}


def _about(sample: Sample, placement: Placement) -> Sample:
    return {
        "scale": placement.factors.astype(np.float32),
        "flipped": np.bool_(placement.mirror),
        "image_id": sample["image_id"],
    }


def _check(options: AugmentationOptions, info: DatasetInfo, masks: bool) -> None:
    if not info.box_class_names:
        raise DataError(f"data set {info.name!r} has no objects ('boxes')")
    if masks and not info.object_masks:
        raise DataError(
            f"data set {info.name!r} has objects without a mask, which a model of masks "
            "is trained on; expected polygons or run lengths for each"
        )
    if info.max_objects > options.max_objects:
        raise DataError(
            f"data set {info.name!r} has images with up to {info.max_objects} objects, "
            "but config key 'dataset.augmentation.max_objects' is "
            f"{options.max_objects}"
        )
    if not info.category_ids:
        raise DataError(
            f"data set {info.name!r} was not prepared for detection; expected one of "
            "coco_detection, detection_coco, voc, yolo, shapes_objects"
        )


def _check_number(sample: Sample, options: AugmentationOptions) -> None:
    count = len(sample["boxes"])
    if count > options.max_objects:
        raise DataError(
            f"image {sample['image_id']!r} has {count} objects, but config key "
            f"'dataset.augmentation.max_objects' is {options.max_objects}"
        )
