"""What landmark data sets have in common: items, records, boxes, checks."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from hrnet_jax.data.image_files import EncodedImage, Example, read_image
from hrnet_jax.data.info import DatasetInfo, check_flip_pairs
from hrnet_jax.data.point_sets import PointSet
from hrnet_jax.data.splitting import split_by_ratio
from hrnet_jax.data.writing import image_feature
from hrnet_jax.errors import DataError

# HRNet gives the side of a face box in units of 200 pixels.
BOX_UNIT = 200.0

# Files of one data set write the same coordinate with different digits.
_SAME_POINT = 1e-3  # pixels


@dataclasses.dataclass(frozen=True)
class FaceBox:
    """The square around a face, in the frame of its points.

    Attributes:
        center: (x, y) of its middle.
        scale: its side / 200.
    """

    center: tuple[float, float]
    scale: float


@dataclasses.dataclass(frozen=True, eq=False)
class LandmarkItem:
    """One face: where its image is, and what is annotated.

    Attributes:
        image: the image file.
        image_id: name of the face, unique in its split.
        points: float64 [K, 2], x y as in the annotation file.
        visible: uint8 [K], 0 where a point is hidden.
        annotated: uint8 [K], 0 where nobody marked the point.
        box: the face box.
        box_size: what the normaliser `box` divides by.
        where: file and line of the annotation, for messages.
    """

    image: Path
    image_id: str
    points: np.ndarray
    visible: np.ndarray
    annotated: np.ndarray
    box: FaceBox
    box_size: float
    where: str


# Coordinates from 0 to 1 would make boxes of a pixel.
_LEAST_SIDE = 2.0

Subsets = Mapping[str, Mapping[str, tuple[int, ...] | None]]


@dataclasses.dataclass(frozen=True)
class Contents:
    """All that a source holds.

    Attributes:
        splits: the faces of each split, in record order.
        subsets: splits that are parts of others, see `DatasetInfo.subsets`.
    """

    splits: Mapping[str, Sequence[LandmarkItem]]
    subsets: Subsets = dataclasses.field(default_factory=dict)


class LandmarkSource:
    """Base of sources of faces (or other objects) with key points.

    A subclass gives `read`, and for a standard data set the attributes; one
    with points of its own sets `point_set` before it reads.

    Attributes:
        needs_source: it reads a folder.
        source_decides: whether another folder means another data set.
        point_set: names, mirror pairs, lines and normalisers of the points.
        point_origin: coordinate of the first pixel's centre in the files.
        eval_splits: the splits to evaluate on by default, best first.
    """

    needs_source: ClassVar[bool] = True
    source_decides: ClassVar[bool] = False
    point_set: PointSet
    point_origin: float = 0.0
    eval_splits: ClassVar[tuple[str, ...]] = ("val", "test")

    def __init__(self, source: Path, options: Any) -> None:
        self.source = source
        self.options = options

    def read(self) -> Contents:
        """Reads all annotations; called once."""
        raise NotImplementedError

    @functools.cached_property
    def contents(self) -> Contents:
        """What `read` found, checked.

        Raises:
            DataError: naming the file and line at fault.
        """
        found = self.read()
        check_images_exist(found.splits)
        normalizer = self.point_set.default_normalizer
        if normalizer in self.point_set.normalizers:
            groups = self.point_set.normalizers[normalizer]
            for items in found.splits.values():
                for item in items:
                    _check_normalizer(item, normalizer, groups, self.point_set.names)
        return found

    def info(self, name: str) -> DatasetInfo:
        """Names, mirror pairs, lines, normalisers and subsets."""
        chosen = self.point_set
        check_flip_pairs(chosen.flip_pairs, len(chosen.names), name)
        return DatasetInfo(
            name=name,
            num_classes=0,
            class_names=(),
            palette=(),
            default_splits=self._default_splits(),
            point_names=chosen.names,
            point_flip_pairs=chosen.flip_pairs,
            point_origin=self.point_origin,
            point_lines=chosen.lines,
            normalizers=chosen.normalizers,
            default_normalizer=chosen.default_normalizer,
            subsets=self.contents.subsets,
        )

    def features(self) -> dict[str, tfds.features.FeatureConnector]:
        """Image, name, points and box."""
        return landmark_features(len(self.point_set.names))

    def splits(self) -> Mapping[str, Sequence[LandmarkItem]]:
        """The faces of each split."""
        return self.contents.splits

    def item_bytes(self, item: LandmarkItem) -> int:
        """Size of the image file plus something for the points."""
        return item.image.stat().st_size + 50 * len(item.points)

    def image(self, item: LandmarkItem) -> EncodedImage:
        """The image of one face."""
        return read_image(item.image)

    def example(self, split: str, item: LandmarkItem) -> Example:
        """Reads the image and puts everything together."""
        del split
        return landmark_example(self.image(item), item)

    def _default_splits(self) -> dict[str, str]:
        stored = self.contents.splits
        known = {*stored, *self.contents.subsets}
        found = [split for split in self.eval_splits if split in known]
        train = "train" if "train" in stored else next(iter(stored))
        splits = {"train": train, "eval": found[0] if found else train}
        return splits | ({"test": "test"} if "test" in stored else {})


def _check_normalizer(
    item: LandmarkItem,
    normalizer: str,
    groups: tuple[Sequence[int], Sequence[int]],
    names: Sequence[str],
) -> None:
    """Checks that errors on a face can be measured, before anybody trains on it."""
    for index in (*groups[0], *groups[1]):
        if not item.annotated[index]:
            raise DataError(
                f"{item.where}: point {names[index]!r} is not annotated, which the "
                f"normaliser {normalizer!r} needs; take another, or the box"
            )
    first, second = (item.points[list(group)].mean(0) for group in groups)
    if (first == second).all():
        raise DataError(
            f"{item.where}: the points of the normaliser {normalizer!r} coincide"
        )


def landmark_features(num_points: int) -> dict[str, tfds.features.FeatureConnector]:
    """Features of one face with K points.

    `image` and `image_id`; `points` float64 [K, 2] in the frame of the
    annotation files (`DatasetInfo.point_origin`); `visible` and `annotated`
    uint8 [K]; `center` float64 [2] and `scale` of the face box (side / 200);
    `box_size`, by which the normaliser `box` divides.
    """
    return {
        "image": image_feature(),
        "image_id": tfds.features.Text(),
        "points": _exact((num_points, 2)),
        "visible": tfds.features.Tensor(shape=(num_points,), dtype=np.uint8),
        "annotated": tfds.features.Tensor(shape=(num_points,), dtype=np.uint8),
        "center": _exact((2,)),
        "scale": _exact(()),
        "box_size": _exact(()),
    }


def _exact(shape: tuple[int, ...]) -> tfds.features.Tensor:
    """float64 kept as bytes: numbers in TFDS examples are rounded to float32."""
    return tfds.features.Tensor(
        shape=shape, dtype=np.float64, encoding=tfds.features.Encoding.BYTES
    )


def landmark_example(image: EncodedImage, item: LandmarkItem) -> Example:
    """The record of one face, see `landmark_features`."""
    _check_place(image, item)
    stored = {
        "image": image.data,
        "image_id": item.image_id,
        "points": np.asarray(item.points, np.float64),
        "visible": np.asarray(item.visible, np.uint8),
        "annotated": np.asarray(item.annotated, np.uint8),
        "center": np.array(item.box.center, np.float64),
        "scale": item.box.scale,
        "box_size": item.box_size,
    }
    return Example(stored, (image.height, image.width))


def _check_place(image: EncodedImage, item: LandmarkItem) -> None:
    """Checks that a face lies in its image, in pixels of it."""
    side = item.box.scale * BOX_UNIT
    low, high = (np.array(item.box.center) + sign * side / 2 for sign in (-1, 1))
    size = np.array([image.width, image.height])
    if side < _LEAST_SIDE or (high < 0).any() or (low > size).any():
        raise DataError(
            f"{item.where}: the face box, {side:g} pixels around "
            f"({item.box.center[0]:g}, {item.box.center[1]:g}), is no part of its "
            f"image of {image.width}x{image.height}; expected pixels of {item.image}"
        )


def box_around(points: np.ndarray, where: str) -> FaceBox:
    """The box that HRNet derives from points.

    Per axis from floor(min) to ceil(max); the longer side is the side of the
    square (HRNet-Facial-Landmark-Detection, lib/datasets/cofw.py; its 300W and
    WFLW files were made the same way).

    Args:
        points: [K, 2].
        where: file and line, for the message.

    Raises:
        DataError: if all points coincide.
    """
    low, high = np.floor(points.min(0)), np.ceil(points.max(0))
    center = (low + high) / 2
    scale = float(max(high - low)) / BOX_UNIT
    if scale == 0:
        raise DataError(f"{where}: all points coincide, the face box has size 0")
    return FaceBox((float(center[0]), float(center[1])), scale)


def box_from_corners(corners: tuple[float, float, float, float], where: str) -> FaceBox:
    """The square around a rectangle: same middle, its longer side.

    Args:
        corners: (x1, y1, x2, y2).
        where: file and line, for the message.

    Raises:
        DataError: if a side is not positive.
    """
    x1, y1, x2, y2 = corners
    if x2 <= x1 or y2 <= y1:
        raise DataError(
            f"{where}: the box from ({x1:g}, {y1:g}) to ({x2:g}, {y2:g}) has size "
            f"{x2 - x1:g} x {y2 - y1:g}; expected x2 > x1 and y2 > y1"
        )
    side = max(x2 - x1, y2 - y1)
    return FaceBox(((x1 + x2) / 2, (y1 + y2) / 2), side / BOX_UNIT)


def fully_annotated(
    *, image: Path, image_id: str, points: np.ndarray, box: FaceBox, where: str
) -> LandmarkItem:
    """A face whose points are all annotated and in sight."""
    ones = np.ones(len(points), np.uint8)
    return LandmarkItem(
        image=image,
        image_id=image_id,
        points=points,
        visible=ones,
        annotated=ones,
        box=box,
        box_size=box.scale * BOX_UNIT,
        where=where,
    )


def name_faces(names: Sequence[str]) -> list[str]:
    """Names without suffix; more faces of one image get `#2`, `#3`, ..."""
    seen: Counter[str] = Counter()
    faces = []
    for name in names:
        if not Path(name).name:
            raise DataError(f"an image is called {name!r}; expected the name of a file")
        key = Path(name).with_suffix("").as_posix()
        seen[key] += 1
        faces.append(key if seen[key] == 1 else f"{key}#{seen[key]}")
    return faces


def cut_by_image(
    faces: Sequence[LandmarkItem], ratios: tuple[float, ...], seed: int
) -> dict[str, list[LandmarkItem]]:
    """Cuts faces into splits, all faces of an image into the same; in their order.

    Raises:
        DataError: for wrong ratios or too few images, see `split_by_ratio`.
    """
    keys = sorted({face.image.as_posix() for face in faces})
    cut = split_by_ratio(keys, ratios, seed)
    split_of = {key: split for split, chosen in cut.items() for key in chosen}
    splits: dict[str, list[LandmarkItem]] = {split: [] for split in cut}
    for face in faces:
        splits[split_of[face.image.as_posix()]].append(face)
    return splits


def check_apart(faces: Mapping[str, Sequence[LandmarkItem]]) -> None:
    """Checks that no image is in two splits, which makes evaluations too good.

    Raises:
        DataError: naming both places.
    """
    seen: dict[Path, LandmarkItem] = {}
    for split, items in faces.items():
        for item in items:
            other = seen.get(item.image)
            if other is not None:
                raise DataError(
                    f"{item.where}: image {item.image.name!r} of {split!r} is already "
                    f"in {other.where}"
                )
        seen |= {item.image: item for item in items}


def image_folder(source: Path, option: str, usual: Sequence[str]) -> Path:
    """The folder that image names are relative to.

    Args:
        source: the source folder.
        option: its name below `source`, or empty.
        usual: names to look for if `option` is empty; without any of them it is
            the source folder itself.

    Raises:
        DataError: if `option` names no folder.
    """
    if option and not (source / option).is_dir():
        raise DataError(f"{source / option} is missing; expected the images there")
    for name in [option] if option else usual:
        if (source / name).is_dir():
            return source / name
    return source


def positions_in(
    whole: Sequence[LandmarkItem], part: Sequence[LandmarkItem], listed: str
) -> tuple[int, ...]:
    """Where the faces of a subset are in its split, by image and points.

    Args:
        whole: the faces of the split.
        part: the faces of the subset, each of which must be in `whole`.
        listed: the file of `whole`, for the message.

    Returns:
        For each face of `part` its index in `whole`.

    Raises:
        DataError: naming the line of a face that is not in `whole`.
    """
    by_image: dict[Path, list[int]] = {}
    for index, item in enumerate(whole):
        by_image.setdefault(item.image, []).append(index)
    positions = []
    for item in part:
        rest = by_image.get(item.image, [])
        for index in rest:
            off = np.abs(whole[index].points - item.points).max()
            if off <= _SAME_POINT:
                rest.remove(index)
                positions.append(index)
                break
        else:
            raise DataError(
                f"{item.where} names {item.image} with points that no row of "
                f"{listed} has"
            )
    return tuple(positions)


def check_layout(layout: str, known: tuple[str, ...]) -> str:
    """The layout, if it is one of the known ones.

    Raises:
        DataError: naming the known ones.
    """
    if layout not in known:
        raise DataError(f"layout {layout!r} is none of {', '.join(known)}")
    return layout


def check_images_exist(splits: Mapping[str, Sequence[LandmarkItem]]) -> None:
    """Checks that the image of every face is there.

    Raises:
        DataError: naming the first missing image and how many are missing.
    """
    for split, items in splits.items():
        missing = [item for item in items if not item.image.is_file()]
        if missing:
            raise DataError(
                f"{missing[0].where} names {missing[0].image}, not found "
                f"({len(missing)} of {len(items)} in {split!r})"
            )
