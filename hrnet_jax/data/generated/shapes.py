"""Generated scenes with masks, boxes, key points and an image class."""

import dataclasses
import math
import zlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from hrnet_jax.data.class_tables import SHAPES
from hrnet_jax.data.files.image_files import Example, encode_png
from hrnet_jax.data.generated import shapes_drawing as drawing
from hrnet_jax.data.generated.shapes_drawing import OBJECTS, STAR, DrawnObject
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.data.writing import segmentation_features
from hrnet_jax.errors import DataError

# Every object keeps at least this share of its area visible.
_VISIBLE_SHARE = 0.7
_PLACING_ATTEMPTS = 30
_TIP_DEPTH = 2.0  # pixels
_MAX_STAR_ANGLE = math.radians(25)


@dataclasses.dataclass(frozen=True)
class ShapesOptions:
    """Options of the preparation.

    Attributes:
        image_size: side of the square images in pixels.
        train: number of training images.
        val: number of validation images.
        test: number of test images.
        max_objects: most objects in an image, at least 2.
        seed: seed of all scenes.
    """

    image_size: int = 96
    train: int = 512
    val: int = 128
    test: int = 0
    max_objects: int = 3
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Scene:
    """One image with its annotations.

    Attributes:
        image: uint8 [S, S, 3] RGB.
        label: uint8 [S, S], 0 background, 1 + kind on an object.
        boxes: float32 [N, 4] (x1, y1, x2, y2), pixel edges of what is visible.
        box_class: int32 [N], kind of each object (0 = disc).
        points: float32 [5, 2] (x, y) of the star's tips, pixel centres at
            integers; a tip may be outside the image.
        visible: uint8 [5], 1 where a tip is inside the image and not covered.
        image_class: kind of the main object.
        owner: int [S, S], the object that a pixel shows, -1 for none.
    """

    image: np.ndarray
    label: np.ndarray
    boxes: np.ndarray
    box_class: np.ndarray
    points: np.ndarray
    visible: np.ndarray
    image_class: int
    owner: np.ndarray


def draw_scene(
    seed: int, split: str, index: int, size: int = 96, max_objects: int = 3
) -> Scene:
    """Draws a scene; a function of its arguments alone.

    Every scene has a main object, the largest one, whose kind is the class of
    the image, and exactly one star, whose five tips are the key points (it may
    be the main object). More objects fill up to `max_objects`.
    """
    rng = np.random.default_rng([seed, zlib.crc32(split.encode()), index])
    main = int(rng.integers(len(OBJECTS)))
    objects, owner = _arrange(rng, main, size, max_objects)
    image = drawing.background(rng, size)
    for item in objects:
        image = drawing.paint(image, rng, item, drawing.coverage(item, size))
    kinds = np.array([item.kind for item in objects])
    label = np.where(owner >= 0, kinds[owner] + 1, 0).astype(np.uint8)
    star = next(k for k, item in enumerate(objects) if item.kind == STAR)
    points = drawing.star_tips(objects[star]) - 0.5
    # The tip itself is thinner than a pixel, so look a little further inside.
    inwards = np.array(objects[star].centre) - 0.5 - points
    inwards /= np.linalg.norm(inwards, axis=1, keepdims=True)
    inside = np.rint(points + _TIP_DEPTH * inwards).astype(int)
    return Scene(
        image=drawing.finish(image, rng),
        label=label,
        boxes=np.stack([_box(owner == k) for k in range(len(objects))]),
        box_class=kinds.astype(np.int32),
        points=points.astype(np.float32),
        visible=_visible(points, inside, owner, star),
        image_class=main,
        owner=owner,
    )


def _arrange(
    rng: np.random.Generator, main: int, size: int, max_objects: int
) -> tuple[list[DrawnObject], np.ndarray]:
    """Places objects so that all stay visible.

    Returns:
        The objects from the bottom to the top, and int [size, size] with the
        index of the object that each pixel shows, -1 for the background.
    """
    wanted = [(main, 0.30, 0.38)]
    if main != STAR:
        wanted.append((STAR, 0.21, 0.27))
    extra = int(rng.integers(max_objects - len(wanted) + 1))
    # Only one star, so that the key points are unambiguous.
    others = [kind for kind in range(len(OBJECTS)) if kind != STAR]
    wanted += [(int(rng.choice(others)), 0.17, 0.23) for _ in range(extra)]
    objects: list[DrawnObject] = []
    owner = np.full((size, size), -1)
    for position, (kind, smallest, largest) in enumerate(wanted):
        required = position < 1 or kind == STAR
        attempt = 0
        while required or attempt < _PLACING_ATTEMPTS:
            attempt += 1
            item = _throw(rng, kind, size, smallest, largest)
            on_top = rng.random() < 0.5
            tried = [*objects, item] if on_top else [item, *objects]
            tried_owner = _owners(tried, size)
            if _all_visible(tried, tried_owner, size):
                objects, owner = tried, tried_owner
                break
    return objects, owner


def _throw(
    rng: np.random.Generator, kind: int, size: int, smallest: float, largest: float
) -> DrawnObject:
    radius = rng.uniform(smallest, largest) * size
    margin = 0.85 * radius
    centre = rng.uniform(margin, size - margin, 2)
    spread = _MAX_STAR_ANGLE if kind == STAR else math.pi
    angle = rng.uniform(-spread, spread)
    return DrawnObject(kind, (float(centre[0]), float(centre[1])), radius, angle)


def _owners(objects: list[DrawnObject], size: int) -> np.ndarray:
    owner = np.full((size, size), -1)
    for k, item in enumerate(objects):
        owner[drawing.coverage(item, size) >= 0.5] = k
    return owner


def _all_visible(objects: list[DrawnObject], owner: np.ndarray, size: int) -> bool:
    for k, item in enumerate(objects):
        area = (drawing.coverage(item, size) >= 0.5).sum()
        if (owner == k).sum() < _VISIBLE_SHARE * area:
            return False
    return True


def _box(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array(
        [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=np.float32
    )


def _visible(
    points: np.ndarray, inside: np.ndarray, owner: np.ndarray, star: int
) -> np.ndarray:
    size = len(owner)
    in_image = ((points >= -0.5) & (points < size - 0.5)).all(1)
    looked = np.clip(inside, 0, size - 1)
    shown = owner[looked[:, 1], looked[:, 0]] == star
    return (in_image & shown).astype(np.uint8)


class Shapes:
    """Generated scenes of textured objects, for all tasks and for tests."""

    Options: ClassVar[type] = ShapesOptions
    needs_source: ClassVar[bool] = False
    source_decides: ClassVar[bool] = False

    def __init__(self, source: Path | None, options: ShapesOptions) -> None:
        del source
        if options.image_size < 32:
            raise DataError(f"image_size must be at least 32, got {options.image_size}")
        if options.max_objects < 2:
            raise DataError(
                f"max_objects must be at least 2, got {options.max_objects}"
            )
        for split in ("train", "val", "test"):
            if getattr(options, split) < 0:
                raise DataError(f"{split} must not be negative")
        self.options = options

    def info(self, name: str) -> DatasetInfo:
        """Names and colours of all annotations."""
        return DatasetInfo(
            name=name,
            num_classes=len(SHAPES),
            class_names=tuple(SHAPES),
            palette=tuple(SHAPES.values()),
            point_names=drawing.POINT_NAMES,
            point_flip_pairs=drawing.POINT_FLIP_PAIRS,
            box_class_names=OBJECTS,
            image_class_names=OBJECTS,
        )

    def features(self) -> dict[str, tfds.features.FeatureConnector]:
        """Image, label, boxes, key points and class."""
        return segmentation_features() | {
            "boxes": tfds.features.Tensor(shape=(None, 4), dtype=np.float32),
            "box_class": tfds.features.Tensor(shape=(None,), dtype=np.int32),
            "points": tfds.features.Tensor(shape=(5, 2), dtype=np.float32),
            "visible": tfds.features.Tensor(shape=(5,), dtype=np.uint8),
            "class": tfds.features.Scalar(dtype=np.int32),
        }

    def splits(self) -> dict[str, range]:
        """Indices of the scenes of each split."""
        return {
            split: range(getattr(self.options, split))
            for split in ("train", "val", "test")
        }

    def item_bytes(self, item: int) -> int:
        """Upper bound: three bytes a pixel."""
        del item
        return 3 * self.options.image_size**2

    def example(self, split: str, item: int) -> Example:
        """Draws and encodes one scene."""
        options = self.options
        scene = draw_scene(
            options.seed, split, item, options.image_size, options.max_objects
        )
        stored: dict[str, Any] = {
            "image": encode_png(scene.image),
            "label": encode_png(scene.label),
            "boxes": scene.boxes,
            "box_class": scene.box_class,
            "points": scene.points,
            "visible": scene.visible,
            "class": scene.image_class,
            "image_id": f"{split}_{item:05d}",
        }
        return Example(stored, scene.label.shape, scene.label)
