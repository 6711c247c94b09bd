"""From a record to a crop with points, on the host."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.imaging import photometric
from hrnet_jax.keypoints import geometry
from hrnet_jax.keypoints.official import crop as official_crop

Sample = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class AugmentationOptions:
    """Options of crops and of their augmentation.

    Attributes:
        crop_size: (height, width) of crops, in pixels.
        margin: factor on the side of the face box.
        compat: `official` cuts crops, rounds points, makes targets and decodes as the
            published code does (see `official/crop.py`); empty for correct mathematics.
        scale: a factor is drawn from U(1 - scale, 1 + scale).
        rotation: an angle is drawn from U(-rotation, rotation), in degrees, ...
        rotation_probability: ... with this probability; otherwise it is 0.
        flip: whether to mirror with probability one half.
        shift: the crop moves by U(-shift, shift) of its side on each axis; found
            boxes are never as exact as annotated ones. Not in the published code.
        photometric: whether to apply `random_photometric_distortion`. Not in the
            published code.

    Raises:
        ConfigError: naming the key whose value is out of range.
    """

    crop_size: tuple[int, int] = (256, 256)
    margin: float = 1.25
    compat: str = ""
    scale: float = 0.25
    rotation: float = 30.0
    rotation_probability: float = 0.6
    flip: bool = True
    shift: float = 0.0
    photometric: bool = False

    # Whether the published crops that `compat` stands for are always square.
    official_is_square: ClassVar[bool] = True

    def __post_init__(self):
        section = "config key 'dataset.augmentation."
        size = self.crop_size
        if len(size) != 2 or min(size) < 4 or any(side % 4 for side in size):
            raise ConfigError(
                f"{section}crop_size' must be two positive multiples of 4 (the size of "
                f"a heatmap's cell), (height, width), got {size!r}"
            )
        if self.compat not in ("", "official"):
            raise ConfigError(
                f"{section}compat' must be empty or 'official', got {self.compat!r}"
            )
        if self.compat and self.official_is_square and len(set(size)) > 1:
            raise ConfigError(
                f"{section}compat' is 'official', whose crops are square; "
                f"crop_size is {self.crop_size!r}"
            )
        if self.margin <= 0:
            raise ConfigError(f"{section}margin' must be positive, got {self.margin}")
        for key, limit in (
            ("scale", 0.999),
            ("rotation", 180),
            ("rotation_probability", 1),
            ("shift", 1),
        ):
            if not 0 <= getattr(self, key) <= limit:
                raise ConfigError(
                    f"{section}{key}' must be between 0 and {limit}, "
                    f"got {getattr(self, key)}"
                )


@dataclasses.dataclass(frozen=True)
class Draw:
    """Augmentation of one training crop; the default changes nothing.

    Attributes:
        scale: factor on the side of the box.
        rotation: degrees, counter-clockwise as seen.
        mirror: whether left and right are exchanged.
        shift: (x, y), in sides of the crop.
    """

    scale: float = 1.0
    rotation: float = 0.0
    mirror: bool = False
    shift: tuple[float, float] = (0.0, 0.0)


def draw_augmentation(options: AugmentationOptions, rng: np.random.Generator) -> Draw:
    """Draws scale, rotation, flip and shift, in this order, as the published code.

    An option that is off draws nothing.
    """
    scale = 1.0
    if options.scale:
        scale = rng.uniform(1 - options.scale, 1 + options.scale)
    rotation = 0.0
    if options.rotation and rng.random() <= options.rotation_probability:
        rotation = rng.uniform(-options.rotation, options.rotation)
    mirror = bool(options.flip and rng.random() <= 0.5)
    shift = (0.0, 0.0)
    if options.shift:
        shift = tuple(rng.uniform(-options.shift, options.shift, 2))
    return Draw(scale, rotation, mirror, shift)


def make_train_transform(
    options: AugmentationOptions, info: DatasetInfo
) -> Callable[[Sample, np.random.Generator], Sample]:
    """Returns the random training transform `(sample, rng) -> sample`.

    Args:
        options: ranges and switches.
        info: point pairs that swap when mirrored, and where pixels begin.

    Returns:
        A function from a record to `image` uint8 [h, w, 3], `points` float32 [K, 2]
        in crop pixels, `visible` and `annotated` uint8 [K], and `image_id`.
    """

    def transform(sample: Sample, rng: np.random.Generator) -> Sample:
        draw = draw_augmentation(options, rng)
        crop = cut(sample, options, info, draw)
        return as_learnt(crop, options, rng)

    return transform


def as_learnt(
    crop: Sample, options: AugmentationOptions, rng: np.random.Generator
) -> Sample:
    """A crop as training sees it: other colours by option, and not where it came from."""
    if options.photometric:
        crop["image"] = photometric.random_photometric_distortion(crop["image"], rng)
    return {key: crop[key] for key in crop if key not in ("center", "scale")}


def make_eval_transform(
    options: AugmentationOptions, info: DatasetInfo
) -> Callable[[Sample], Sample]:
    """Returns the evaluation transform `(sample) -> sample`.

    Beside what training has: `center` float32 [2] and `scale` float32, where in the
    image the crop lies, and of the annotation `image_points` float32 [K, 2] and
    `box_size` float32.
    """

    def transform(sample: Sample) -> Sample:
        crop = cut(sample, options, info, Draw())
        crop["image_points"] = np.asarray(sample["points"], np.float32)
        crop["box_size"] = np.float32(sample["box_size"])
        return crop

    return transform


def cut(
    sample: Sample, options: AugmentationOptions, info: DatasetInfo, draw: Draw
) -> Sample:
    """The crop of a record, with its points.

    Returns:
        `image`, `points`, `visible`, `annotated`, `center`, `scale`, `image_id`; see
        the transforms. `center` counts pixels from the annotation's own origin with
        `compat="official"` and from 0 otherwise.

    Raises:
        DataError: if the data set has no face boxes or another number of points.
    """
    _check(sample, info)
    place = _cut_official if options.compat else _cut
    image, points, center, scale, visible = place(sample, options, info, draw)
    annotated = np.asarray(sample["annotated"], np.uint8)
    if draw.mirror:
        annotated = annotated[
            geometry.mirrored_order(len(points), info.point_flip_pairs)
        ]
    return {
        "image": image,
        "points": points.astype(np.float32),
        "visible": visible.astype(np.uint8),
        "annotated": annotated,
        "center": np.asarray(center, np.float32),
        "scale": np.float32(scale),
        "image_id": sample["image_id"],
    }


def _cut(
    sample: Sample, options: AugmentationOptions, info: DatasetInfo, draw: Draw
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, np.ndarray]:
    """Image, points, centre, scale and visibility of a crop."""
    # The box is square; all of it is to be seen in wide crops, too.
    box = float(sample["scale"]) * max(1.0, geometry.aspect_ratio(options.crop_size))
    scale = options.margin * box * draw.scale
    side = geometry.PIXELS_PER_SCALE * scale
    center = sample["center"] - info.point_origin + side * np.asarray(draw.shift)
    matrix = geometry.crop_matrix(
        center, scale, options.crop_size, draw.rotation, mirror=draw.mirror
    )
    points = geometry.apply(matrix, sample["points"] - info.point_origin)
    visible = np.asarray(sample["visible"])
    if draw.mirror:
        order = geometry.mirrored_order(len(points), info.point_flip_pairs)
        points, visible = points[order], visible[order]
    image = geometry.warp(sample["image"], matrix, options.crop_size)
    return image, points, center, scale, visible


def _cut_official(
    sample: Sample, options: AugmentationOptions, info: DatasetInfo, draw: Draw
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, np.ndarray]:
    """The same as the published code has it; points are multiples of a cell.

    What it draws a target for takes the place of what the annotation calls visible.
    """
    factor = draw.scale * options.margin / official_crop.BOX_MARGIN
    # The published code shifts nothing.
    side = geometry.PIXELS_PER_SCALE * options.margin * sample["scale"] * draw.scale
    made = official_crop.sample(
        sample["image"],
        sample["points"],
        sample["center"] + side * np.asarray(draw.shift),
        float(sample["scale"]),
        scale_factor=factor,
        rotation=draw.rotation,
        flip=draw.mirror,
        pairs=info.point_flip_pairs,
        size=options.crop_size[0],
        heatmap_size=options.crop_size[0] // 4,
        as_float=official_crop.is_read_as_float(len(sample["points"])),
    )
    return made.image, made.cells * 4, made.center, made.scale, made.kept


def _check(sample: Sample, info: DatasetInfo) -> None:
    if "center" not in sample:
        raise DataError(
            f"data set {info.name!r} has no face boxes ('center' and 'scale'), which "
            "landmarks are cropped by"
        )
    count = len(info.point_names)
    if sample["points"].shape != (count, 2):
        raise DataError(
            f"{sample['image_id']!r} has points of shape "
            f"{list(sample['points'].shape)}, expected {count} (x, y)"
        )
