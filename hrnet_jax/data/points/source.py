"""Base of landmark data sets: reading, records, folders, subsets."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import tensorflow_datasets as tfds

from hrnet_jax.data.annotated import AnnotatedSource
from hrnet_jax.data.files.image_files import EncodedImage, Example, read_image
from hrnet_jax.data.info import DatasetInfo, check_flip_pairs
from hrnet_jax.data.points.checks import (
    check_images_exist,
    check_normalizers,
    check_place,
)
from hrnet_jax.data.points.items import LandmarkItem
from hrnet_jax.data.points.point_sets import PointSet
from hrnet_jax.data.writing import image_feature
from hrnet_jax.errors import DataError

# Folders of images that labelling tools make, and what they call the splits.
_FOLDERS = ("images", "images/{split}", "images/{tool}", "{split}", "{split}2017")
_TOOL = {"train": "Train", "val": "Validation", "test": "Test", "": "default"}
# Files of one data set write the same coordinate with different digits.
_SAME_POINT = 1e-3  # pixels

Item = TypeVar("Item", bound=LandmarkItem)
Subsets = Mapping[str, Mapping[str, tuple[int, ...] | None]]


@dataclasses.dataclass(frozen=True)
class SplitItems(Generic[Item]):
    """Items of all splits of a source, and its subsets.

    Attributes:
        splits: the faces of each split, in record order.
        subsets: splits that are parts of others, see `DatasetInfo.subsets`.
    """

    splits: Mapping[str, Sequence[Item]]
    subsets: Subsets = dataclasses.field(default_factory=dict)


class LandmarkSource(AnnotatedSource[SplitItems[Item]]):
    """Base of sources of faces (or other objects) with key points.

    For a standard data set a subclass gives the attributes; one with points of its own
    sets `point_set` before it reads.

    Attributes:
        point_set: names, mirror pairs, lines and normalisers of the points.
        point_origin: coordinate of the first pixel's centre in the files.
        tight_boxes: whether the face boxes are the squares around the points.
    """

    point_set: PointSet
    point_origin: float = 0.0
    tight_boxes: bool = False

    def checked(self, found: SplitItems[Item]) -> SplitItems[Item]:
        """What was read: images that are there, points that errors can be divided by.

        Raises:
            DataError: naming the file and line at fault.
        """
        check_images_exist(found.splits)
        check_normalizers(found.splits, self.point_set)
        return found

    def info(self, name: str) -> DatasetInfo:
        """Names, mirror pairs, lines, normalisers and subsets."""
        chosen = self.point_set
        check_flip_pairs(chosen.flip_pairs, len(chosen.names), name)
        stored, subsets = self.contents.splits, self.contents.subsets
        return DatasetInfo(
            name=name,
            num_classes=0,
            class_names=(),
            palette=(),
            default_splits=self.default_splits([*stored], {*stored, *subsets}),
            point_names=chosen.names,
            point_flip_pairs=chosen.flip_pairs,
            point_origin=self.point_origin,
            point_lines=chosen.lines,
            normalizers=chosen.normalizers,
            default_normalizer=chosen.default_normalizer,
            tight_boxes=self.tight_boxes,
            subsets=subsets,
            findings=self.findings.listed(),
        )

    def features(self) -> dict[str, tfds.features.FeatureConnector]:
        """Image, name, points and box."""
        return landmark_features(len(self.point_set.names))

    def item_bytes(self, item: Item) -> int:
        """Size of the image file plus something for the points."""
        return item.image.stat().st_size + 50 * len(item.points)

    def image(self, item: Item) -> EncodedImage:
        """The image of one face."""
        return read_image(item.image)

    def example(self, split: str, item: Item) -> Example:
        """Reads the image, checks the face's place in it, and returns both.

        Raises:
            DataError: naming the image or the annotation at fault.
        """
        del split
        image = self.image(item)
        check_place(image, item, self.point_origin)
        return landmark_example(image, item)


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
        "points": exact_feature((num_points, 2)),
        "visible": tfds.features.Tensor(shape=(num_points,), dtype=np.uint8),
        "annotated": tfds.features.Tensor(shape=(num_points,), dtype=np.uint8),
        "center": exact_feature((2,)),
        "scale": exact_feature(()),
        "box_size": exact_feature(()),
    }


def exact_feature(shape: tuple[int | None, ...]) -> tfds.features.Tensor:
    """float64 kept as bytes: numbers in TFDS examples are rounded to float32."""
    return tfds.features.Tensor(
        shape=shape, dtype=np.float64, encoding=tfds.features.Encoding.BYTES
    )


def landmark_example(image: EncodedImage, item: LandmarkItem) -> Example:
    """The record of one face, see `landmark_features`."""
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


def folders_of_tools(source: Path, option: str, split: str, path: Path) -> list[Path]:
    """Folders that the images of a COCO file may be in, best first.

    Args:
        source: the source folder.
        option: name of the folder below it, with `{split}` for the split, or empty.
        split: of the file; empty for one that is cut.
        path: the file.

    Raises:
        DataError: if `option` names no folder.
    """
    option = option.replace("{split}", split)
    folders = [image_folder(source, option, ("images",))]
    if option:
        return folders
    named = [
        name.replace("{split}", split).replace("{tool}", _TOOL[split])
        for name in _FOLDERS
    ]
    return [*folders, path.parent, *(source / name for name in named), source]


def positions_in(
    whole: Sequence[LandmarkItem], part: Sequence[LandmarkItem], listed: str
) -> tuple[int, ...]:
    """Positions of the faces of a subset in its split, by image and points.

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
