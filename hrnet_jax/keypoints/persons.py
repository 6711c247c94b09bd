"""From a record of a person to a crop with its joints, on the host."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.keypoints import geometry
from hrnet_jax.keypoints.official import persons as official
from hrnet_jax.keypoints.transforms import (
    AugmentationOptions,
    Draw,
    Sample,
    as_learnt,
)

# Words in the names of joints of the lower half of a body. They make of COCO's, MPII's
# and LSP's joints the halves that the published code lists (`lower_body_ids`).
_LOWER = ("hip", "pelvis", "knee", "ankle", "foot", "heel", "toe")
# Joints of a half, at least, that are a crop of their own, and the margin around them.
_LEAST_IN_HALF = 3
_HALF_MARGIN = 1.5
# Narrower boxes of joints, in pixels, are left as they are.
_LEAST_SIDE = 1.0
# Of a sample, what the evaluation wants to know of the person beside the joints.
_PASSED_ON = ("image_number", "person_number")
_MARKS = ("visible", "annotated")
_AS_FLOAT32 = ("area", "head_size", "box_score")


@dataclasses.dataclass(frozen=True)
class PoseCropOptions(AugmentationOptions):
    """Options of crops of persons and of their augmentation.

    Attributes:
        crop_size: (height, width) of crops, in pixels.
        margin: factor on the sides of the person's box, which is extended to the shape
            of the crop first.
        compat: `official` cuts crops, rounds joints, makes targets and decodes as the
            published code does (see `official/persons.py`); empty for correct
            mathematics.
        scale: a factor is drawn from N(1, scale), clipped to 1 - scale and 1 + scale.
        rotation: an angle is drawn from N(0, rotation), in degrees, clipped to twice
            that on both sides, ...
        half_body: probability with which a person with more than `half_body_joints`
            annotated joints is cut to its upper or lower half: the joints whose names
            say hip, pelvis, knee, ankle, foot, heel or toe are the lower one. Nothing
            happens where all or none do.
        half_body_joints: see `half_body`.
    """

    crop_size: tuple[int, int] = (256, 192)
    scale: float = 0.35
    rotation: float = 45.0
    half_body: float = 0.3
    half_body_joints: int = 8

    official_is_square: ClassVar[bool] = False

    def __post_init__(self):
        super().__post_init__()
        section = "config key 'dataset.augmentation."
        if not 0 <= self.half_body <= 1:
            raise ConfigError(
                f"{section}half_body' must be between 0 and 1, got {self.half_body}"
            )
        if self.half_body_joints < 0:
            raise ConfigError(
                f"{section}half_body_joints' must not be negative, "
                f"got {self.half_body_joints}"
            )


def lower_half(names: tuple[str, ...]) -> np.ndarray:
    """Which joints are of the lower half of a body, by their names; bool [K]."""
    return np.array([any(word in name.lower() for word in _LOWER) for name in names])


def draw_half(
    options: PoseCropOptions,
    annotated: np.ndarray,
    is_lower: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray | None:
    """The joints that a crop is to show, bool [K]; None for the whole person.

    Either half is as likely, or the upper one with probability 0.69 in the published
    code, which compares a normal number with one half. A half of fewer than three
    joints gives way to the other one.

    Args:
        options: how likely, and from how many joints on.
        annotated: bool [K].
        is_lower: bool [K], of `lower_half`.
        rng: asked for nothing where the person has too few joints.
    """
    both = is_lower.any() and not is_lower.all()
    if annotated.sum() <= options.half_body_joints or not (options.half_body and both):
        return None
    if rng.random() >= options.half_body:
        return None
    number = rng.standard_normal() if options.compat else rng.random()
    upper, lower = annotated & ~is_lower, annotated & is_lower
    first, second = (upper, lower) if number < 0.5 else (lower, upper)
    chosen = first if first.sum() >= _LEAST_IN_HALF else second
    if options.compat and chosen.sum() < _LEAST_IN_HALF:
        chosen = upper
    return chosen if chosen.sum() > 1 else None


def draw_person(options: PoseCropOptions, rng: np.random.Generator) -> Draw:
    """Draws scale, rotation, flip and shift, in this order, as the published code.

    An option that is off draws nothing.
    """
    scale = 1.0
    if options.scale:
        number = 1 + options.scale * rng.standard_normal()
        scale = float(np.clip(number, 1 - options.scale, 1 + options.scale))
    rotation = 0.0
    if options.rotation and rng.random() <= options.rotation_probability:
        limit = 2 * options.rotation
        rotation = float(
            np.clip(options.rotation * rng.standard_normal(), -limit, limit)
        )
    mirror = bool(options.flip and rng.random() <= 0.5)
    shift = (0.0, 0.0)
    if options.shift:
        shift = tuple(rng.uniform(-options.shift, options.shift, 2))
    return Draw(scale, rotation, mirror, shift)


def make_train_transform(
    options: PoseCropOptions, info: DatasetInfo
) -> Callable[[Sample, np.random.Generator], Sample]:
    """Returns the random training transform `(sample, rng) -> sample`.

    Args:
        options: ranges and switches.
        info: names of the joints, pairs that swap when mirrored, and where pixels begin.

    Returns:
        A function from the record of a person to `image` uint8 [h, w, 3], `points`
        float32 [K, 2] in crop pixels, `visible` and `annotated` uint8 [K], and
        `image_id`.
    """
    is_lower = lower_half(info.point_names)

    def transform(sample: Sample, rng: np.random.Generator) -> Sample:
        check_person(sample, info)
        annotated = np.asarray(sample["annotated"]).astype(bool)
        half = draw_half(options, annotated, is_lower, rng)
        crop = cut_person(sample, options, info, draw_person(options, rng), half)
        return as_learnt(crop, options, rng)

    return transform


def make_eval_transform(
    options: PoseCropOptions, info: DatasetInfo
) -> Callable[[Sample], Sample]:
    """Returns the evaluation transform `(sample) -> sample`.

    Beside what training has: `center` float32 [2] and `scale` float32, where in the
    image the crop lies; of the annotation `image_points` float32 [K, 2] and `box`
    float32 [4], in its own frame, `area`, `head_size` and `box_score` float32,
    `image_number` and `person_number`, as far as the record has them.
    """

    def transform(sample: Sample) -> Sample:
        check_person(sample, info)
        crop = cut_person(sample, options, info, Draw())
        crop["image_points"] = np.asarray(sample["points"], np.float32)
        crop["box"] = np.asarray(sample["box"], np.float32)
        for key in _AS_FLOAT32:
            if key in sample:
                crop[key] = np.float32(sample[key])
        return crop | {key: sample[key] for key in _PASSED_ON if key in sample}

    return transform


def cut_person(
    sample: Sample,
    options: PoseCropOptions,
    info: DatasetInfo,
    draw: Draw,
    half: np.ndarray | None = None,
) -> Sample:
    """The crop of a person, with its joints.

    Args:
        sample: the record; see `check_person`.
        options: size and margin of the crop, and how it is cut.
        info: see `make_train_transform`.
        draw: the augmentation.
        half: joints to show instead of the whole box; of `draw_half`.

    Returns:
        `image`, `points`, `visible`, `annotated`, `image_id`, and `center` and `scale`
        of the crop, counted from pixel 0; see the transforms. The scale is the width of
        the crop / 200.

    Raises:
        DataError: for a box of no size.
    """
    points = np.asarray(sample["points"], np.float64) - info.point_origin
    center, scale = _place(sample, points, options, info, half)
    scale *= draw.scale
    center = center + geometry.PIXELS_PER_SCALE * scale * np.asarray(draw.shift)
    size, pairs = options.crop_size, info.point_flip_pairs
    if options.compat:
        made = official.sample(
            sample["image"],
            points,
            center,
            scale,
            size,
            rotation=draw.rotation,
            flip=draw.mirror,
            pairs=pairs,
        )
        image, center = made.image, made.center
        moved = official.STRIDE * made.cells()
    else:
        matrix = geometry.crop_matrix(
            center, scale, size, draw.rotation, mirror=draw.mirror
        )
        image = geometry.warp(sample["image"], matrix, size)
        moved = geometry.apply(matrix, points)
        if draw.mirror:
            moved = moved[geometry.mirrored_order(len(points), pairs)]
    order = geometry.mirrored_order(len(points), pairs if draw.mirror else ())
    return {
        "image": image,
        "points": moved.astype(np.float32),
        **{key: np.asarray(sample[key], np.uint8)[order] for key in _MARKS},
        "center": np.asarray(center, np.float32),
        "scale": np.float32(scale),
        "image_id": sample["image_id"],
    }


def _place(
    sample: Sample,
    points: np.ndarray,
    options: PoseCropOptions,
    info: DatasetInfo,
    half: np.ndarray | None,
) -> tuple[np.ndarray, float]:
    """Centre [2] and scale of the crop of a whole person, or of half of one.

    Of a half the centre is the mean of its joints (`half_body_transform`).
    """
    box, size = np.asarray(sample["box"], np.float64), options.crop_size
    try:
        boxes = geometry.checked_boxes(box[None] - info.point_origin)
    except DataError as error:
        raise DataError(f"person {sample['image_id']!r}: {error}") from None
    if half is not None:
        corners = np.concatenate([points[half].min(0), points[half].max(0)])
        if (corners[2:] - corners[:2]).max() >= _LEAST_SIDE:
            _, scales = geometry.box_center_scale(corners[None], size, _HALF_MARGIN)
            return points[half].mean(0), float(scales[0])
    centers, scales = geometry.box_center_scale(boxes, size, options.margin)
    return centers[0], float(scales[0])


def check_person(sample: Sample, info: DatasetInfo) -> None:
    """Refuses records of other data.

    Raises:
        DataError: if there is no box of a person, or another number of joints.
    """
    if "box" not in sample:
        raise DataError(
            f"data set {info.name!r} has no boxes of persons ('box'), which joints are "
            "cropped by"
        )
    count = len(info.point_names)
    if np.shape(sample["points"]) != (count, 2):
        raise DataError(
            f"{sample['image_id']!r} has joints of shape "
            f"{list(np.shape(sample['points']))}, expected {count} (x, y)"
        )


def empty_person(size: tuple[int, int], count: int) -> dict[str, Any]:
    """A person in an image with nothing to see; see `tasks.protocol.Trains`."""
    height, width = size
    return {
        "image": np.zeros((height, width, 3), np.uint8),
        "image_id": "",
        "points": np.ones((count, 2)),
        "visible": np.ones(count, np.uint8),
        "annotated": np.ones(count, np.uint8),
        "box": np.array([0.0, 0, max(1, width - 1), max(1, height - 1)]),
        "area": np.float64(height * width),
        "head_size": np.float64(1),
        "box_score": np.float64(1),
        "image_number": np.int64(0),
        "person_number": np.int64(0),
    }
