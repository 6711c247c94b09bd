"""Checks of faces before and while their records are written."""

from collections.abc import Mapping, Sequence

import numpy as np

from hrnet_jax.data.files.file_names import is_file
from hrnet_jax.data.files.image_files import EncodedImage
from hrnet_jax.data.points.items import BOX_UNIT, LandmarkItem
from hrnet_jax.data.points.point_sets import PointSet
from hrnet_jax.errors import DataError

# Coordinates from 0 to 1 are in this corner of every image, and make boxes of a
# pixel.
_CORNER = 2.0  # pixels


def check_images_exist(splits: Mapping[str, Sequence[LandmarkItem]]) -> None:
    """Checks that the image of every face is there.

    Raises:
        DataError: naming the first missing image and how many are missing.
    """
    for split, items in splits.items():
        missing = [item for item in items if not is_file(item.image)]
        if missing:
            raise DataError(
                f"{missing[0].where} names {missing[0].image}, not found "
                f"({len(missing)} of {len(items)} in {split!r})"
            )


def check_normalizers(
    splits: Mapping[str, Sequence[LandmarkItem]], points: PointSet
) -> None:
    """Checks that the default normaliser is known and positive on every face.

    Else evaluation would fail, after an epoch of training.

    Raises:
        DataError: naming the face of which a point of the normaliser is not
            annotated, or where they coincide.
    """
    name = points.default_normalizer
    if name not in points.normalizers:
        return
    groups = [list(group) for group in points.normalizers[name]]
    for item in (item for items in splits.values() for item in items):
        for index in (*groups[0], *groups[1]):
            if not item.annotated[index]:
                raise DataError(
                    f"{item.where}: point {points.names[index]!r} is not annotated, "
                    f"which the normaliser {name!r} needs; choose another, or "
                    "normalizer=box"
                )
        first, second = (item.points[group].mean(0) for group in groups)
        if (first == second).all():
            raise DataError(
                f"{item.where}: the points of the normaliser {name!r} coincide"
            )


def check_place(image: EncodedImage, item: LandmarkItem, origin: float) -> None:
    """Checks that a face is in its image, in pixels of it.

    Args:
        image: the image of the face.
        item: the face.
        origin: coordinate of the first pixel's centre.

    Raises:
        DataError: if the annotation file tells another size of the image, the face
            box and the image have nothing in common, or the coordinates look like
            shares of the image's size.
    """
    size = np.array([image.width, image.height])
    if item.image_size not in (None, (image.height, image.width)):
        height, width = item.image_size
        raise DataError(
            f"{item.where} is for an image of {width:g}x{height:g} pixels, but "
            f"{item.image} is {image.width}x{image.height} (upright, by its EXIF "
            "orientation); bring them to the same size and orientation"
        )
    side = item.box.scale * BOX_UNIT
    center = np.array(item.box.center) - origin + 0.5  # from the image's corner
    low, high = center - side / 2, center + side / 2
    if side < _CORNER or (high <= 0).any() or (low >= size).any():
        raise DataError(
            f"{item.where}: the face box, {side:g} pixels around "
            f"({item.box.center[0]:g}, {item.box.center[1]:g}), is no part of its "
            f"image of {image.width}x{image.height}; expected pixels of {item.image}"
        )
    marked = item.points[item.annotated == 1] - origin
    several = len(marked) > 1 or len(item.points) == 1
    if several and np.abs(marked).max() <= _CORNER:
        raise DataError(
            f"{item.where}: all points are in the first {_CORNER:g} pixels of their "
            f"image of {image.width}x{image.height}; expected pixels, not shares of "
            "its size"
        )
