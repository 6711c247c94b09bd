"""Generated drawings of faces with landmarks in four standard layouts."""

import dataclasses
import math
import zlib
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import tensorflow_datasets as tfds

from hrnet_jax.data.files.image_files import Example, encode_png
from hrnet_jax.data.generated.faces_drawing import paint_face
from hrnet_jax.data.generated.faces_look import random_look, random_occluder
from hrnet_jax.data.generated.faces_shape import Face, curves, landmarks
from hrnet_jax.data.generated.shapes_drawing import background, finish
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.data.points.items import (
    BOX_UNIT,
    box_around,
)
from hrnet_jax.data.points.point_sets import POINT_SETS
from hrnet_jax.data.points.source import (
    landmark_features,
)
from hrnet_jax.errors import DataError

_MAX_ROLL = math.radians(30)
_MAX_YAW = math.radians(28)
_MAX_PITCH = math.radians(12)
_GREY_SHARE = 0.1

SPLITS = ("train", "val", "test")


@dataclasses.dataclass(frozen=True)
class FacesOptions:
    """Options of the preparation.

    Attributes:
        num_points: layout of the landmarks: 68 (300W), 98 (WFLW), 29 (COFW) or
            19 (AFLW). The images are the same for all of them.
        image_size: side of the square images in pixels.
        train: number of training images.
        val: number of validation images.
        test: number of test images.
        occluded: share of the faces that something hides in part, 0..1.
        seed: seed of all faces.
    """

    num_points: int = 68
    image_size: int = 128
    train: int = 64
    val: int = 16
    test: int = 0
    occluded: float = 0.2
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class FaceImage:
    """One image of a face with its landmarks.

    Attributes:
        image: uint8 [S, S, 3] RGB.
        points: float64 [K, 2] (x, y), pixel centres at integers; a few may be
            outside the image.
        visible: uint8 [K], 0 where a point is outside or something hides it.
    """

    image: np.ndarray
    points: np.ndarray
    visible: np.ndarray


def draw_face(
    seed: int,
    split: str,
    index: int,
    size: int = 128,
    num_points: int = 68,
    occluded: float = 0.2,
) -> FaceImage:
    """Draws a face; a function of its arguments alone.

    The image does not depend on `num_points`.

    Args:
        seed: seed of all faces.
        split: name of the split.
        index: number of the image in its split.
        size: side of the image in pixels.
        num_points: 68, 98, 29 or 19, see `FacesOptions`.
        occluded: probability that something hides a part of the face.
    """
    rng = np.random.default_rng([seed, zlib.crc32(split.encode()), index])
    face = random_face(rng, size)
    look = random_look(rng)
    shape = curves(face)
    occluder = None
    if rng.random() < occluded:
        occluder = random_occluder(rng, landmarks(shape, 68), face.radius)
    painted = paint_face(background(rng, size), face, shape, look, occluder)
    image = finish(painted, rng)
    if rng.random() < _GREY_SHARE:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    points = landmarks(shape, num_points)
    inside = (points >= 0) & (points < size)
    seen = inside[:, 0] & inside[:, 1]
    if occluder is not None:
        seen &= ~occluder.covers(points)
    return FaceImage(image, points - 0.5, seen.astype(np.uint8))


def random_face(rng: np.random.Generator, size: int) -> Face:
    """Proportions, expression and pose at random, for an image of `size` pixels."""
    around = rng.uniform
    both = rng.normal(0, 0.05)
    brow_raise = np.clip(both + rng.normal(0, 0.02, 2), -0.04, 0.14)
    opening = np.clip(rng.normal(0.155, 0.04) + rng.normal(0, 0.015, 2), 0.03, 0.21)
    smile = rng.normal(0.04, 0.06) + rng.normal(0, 0.015, 2)
    mouth_opening = rng.exponential(0.18) if rng.random() < 0.5 else around(0, 0.04)
    return Face(
        squareness=around(1.95, 2.45),
        taper=around(0, 0.1),
        chin=around(1.55, 1.78),
        forehead=around(-1.3, -1.12),
        brow_level=around(-0.25, -0.19),
        brow_arch=around(0.03, 0.15),
        brow_thickness=around(0.07, 0.14),
        eye_distance=around(0.42, 0.48),
        eye_width=around(0.34, 0.41),
        eye_slant=around(-0.06, 0.06),
        nose_length=around(0.46, 0.6),
        nose_width=around(0.22, 0.32),
        mouth_level=around(0.96, 1.04),
        mouth_width=around(0.34, 0.46),
        lip_thickness=around(0.08, 0.16),
        brow_raise=tuple(brow_raise.tolist()),
        eye_opening=tuple(opening.tolist()),
        gaze=(around(-0.06, 0.06), around(-0.03, 0.03)),
        mouth_opening=float(min(mouth_opening, 0.36)),
        smile=tuple(np.clip(smile, -0.08, 0.16).tolist()),
        yaw=_bell(rng, _MAX_YAW),
        pitch=_bell(rng, _MAX_PITCH),
        roll=_bell(rng, _MAX_ROLL),
        centre=tuple((size * (0.5 + rng.normal(0, 0.05, 2))).tolist()),
        radius=size * around(0.23, 0.36),
    )


def _bell(rng: np.random.Generator, largest: float) -> float:
    """A random number of at most this size, more often a small one."""
    return float(rng.triangular(-largest, 0, largest))


class Faces:
    """Generated drawings of faces with landmarks, for trials and for tests."""

    Options: ClassVar[type] = FacesOptions
    needs_source: ClassVar[bool] = False
    source_decides: ClassVar[bool] = False

    def __init__(self, source: Path | None, options: FacesOptions) -> None:
        del source
        if options.num_points not in POINT_SETS:
            known = ", ".join(str(number) for number in sorted(POINT_SETS))
            raise DataError(
                f"num_points must be one of {known}, got {options.num_points}"
            )
        if options.image_size < 48:
            raise DataError(f"image_size must be at least 48, got {options.image_size}")
        if not 0 <= options.occluded <= 1:
            raise DataError(f"occluded must be 0..1, got {options.occluded}")
        for split in SPLITS:
            if getattr(options, split) < 0:
                raise DataError(f"{split} must not be negative")
        self.options = options

    def info(self, name: str) -> DatasetInfo:
        """Names, pairs, lines and normalisers of the layout."""
        layout = POINT_SETS[self.options.num_points]
        return DatasetInfo(
            name=name,
            num_classes=0,
            class_names=(),
            palette=(),
            point_names=layout.names,
            point_flip_pairs=layout.flip_pairs,
            point_origin=0.0,
            point_lines=layout.lines,
            normalizers=layout.normalizers,
            default_normalizer=layout.default_normalizer,
            tight_boxes=True,
        )

    def features(self) -> dict[str, tfds.features.FeatureConnector]:
        """Image, landmarks and face box."""
        return landmark_features(self.options.num_points)

    def splits(self) -> dict[str, range]:
        """Numbers of the faces of each split."""
        return {split: range(getattr(self.options, split)) for split in SPLITS}

    def item_bytes(self, item: int) -> int:
        """Upper bound: three bytes a pixel."""
        del item
        return 3 * self.options.image_size**2

    def example(self, split: str, item: int) -> Example:
        """Draws and encodes one face."""
        options = self.options
        drawn = draw_face(
            options.seed,
            split,
            item,
            options.image_size,
            options.num_points,
            options.occluded,
        )
        name = f"{split}_{item:05d}"
        box = box_around(drawn.points, name)
        stored: dict[str, Any] = {
            "image": encode_png(drawn.image),
            "image_id": name,
            "points": drawn.points,
            "visible": drawn.visible,
            "annotated": np.ones_like(drawn.visible),
            "center": np.array(box.center),
            "scale": box.scale,
            "box_size": BOX_UNIT * box.scale,
        }
        return Example(stored, drawn.image.shape[:2])
