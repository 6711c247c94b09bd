"""COFW: 29 landmarks with occlusion, from its MATLAB files."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import h5py
import numpy as np

from hrnet_jax.data.files.image_files import EncodedImage, encode_png
from hrnet_jax.data.points import point_sets
from hrnet_jax.data.points.items import (
    BOX_UNIT,
    LandmarkItem,
    box_around,
)
from hrnet_jax.data.points.source import (
    LandmarkSource,
    SplitItems,
)
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.boxes import FARTHEST

NUM_POINTS = len(point_sets.COFW.names)

# Keys of the cell of images and of the matrix of annotations.
_KEYS = {"train": ("IsTr", "phisTr"), "test": ("IsT", "phisT")}
_MATLAB_5 = b"MATLAB 5.0 MAT-file"
_IMAGE_BYTES = 200_000  # about, as PNG
_MOST_PIXELS = 2**28  # of an image and its channels, as Pillow has it


@dataclasses.dataclass(frozen=True)
class COFWOptions:
    """Options of the preparation.

    Attributes:
        train: name of the training file in the source folder.
        test: name of the test file.
    """

    train: str = "COFW_train_color.mat"
    test: str = "COFW_test_color.mat"


@dataclasses.dataclass(frozen=True, eq=False)
class COFWItem(LandmarkItem):
    """One face of a MATLAB file, which is its `image`.

    Attributes:
        key: name of the cell of images.
        row: position of the image in the cell, from 0.
    """

    key: str
    row: int


class COFW(LandmarkSource[COFWItem]):
    """Caltech Occluded Faces in the Wild: 29 landmarks, hidden ones marked.

    ```
    SOURCE/COFW_train_color.mat     MATLAB 7.3: IsTr, phisTr
    SOURCE/COFW_test_color.mat      MATLAB 7.3: IsT, phisT
    ```

    A face is named by its split and its MATLAB index, `test_0421`; COFW68
    counts the same way. A split whose file is absent is left out.
    """

    Options: ClassVar[type] = COFWOptions
    point_set = point_sets.COFW
    # MATLAB's: mmpose's conversion subtracts 1 from each coordinate.
    point_origin = 1.0
    tight_boxes = True
    eval_splits: ClassVar[tuple[str, ...]] = ("test",)

    def read(self) -> SplitItems[COFWItem]:
        """The splits whose file is there.

        Raises:
            DataError: if there is none, or a file is not as expected.
        """
        files = {"train": self.options.train, "test": self.options.test}
        defaults = dataclasses.asdict(COFWOptions())
        for split, name in files.items():
            if name != defaults[split] and not (self.source / name).is_file():
                raise DataError(
                    f"{self.source / name} is missing (option {split}={name})"
                )
        splits = {
            split: read_faces(self.source / name, split)
            for split, name in files.items()
            if (self.source / name).is_file()
        }
        if not splits:
            raise DataError(
                f"{self.source} has no COFW: expected {' or '.join(files.values())} "
                "(options train and test name other files)"
            )
        return SplitItems(splits)

    def item_bytes(self, item: COFWItem) -> int:
        """About the size of the PNG."""
        del item
        return _IMAGE_BYTES

    def image(self, item: COFWItem) -> EncodedImage:
        """The image as PNG; a grey one gets three equal channels."""
        with open_matlab(item.image) as file:
            pixels = read_image_cell(file, item.key, item.row, item.where)
        return EncodedImage(encode_png(pixels), *pixels.shape[:2])


def read_faces(path: Path, split: str) -> list[COFWItem]:
    """The annotations of one file.

    A row of the matrix holds 29 x, 29 y and 29 flags of hidden points.

    Args:
        path: a MATLAB 7.3 file.
        split: `train` or `test`, which decides the keys.

    Raises:
        DataError: if it is of another MATLAB version, truncated, lacks a key,
            holds another kind of values or number of points; naming the face for
            coordinates that are not finite.
    """
    image_key, point_key = _KEYS[split]
    with open_matlab(path) as file:
        missing = [
            key
            for key in (image_key, point_key)
            if not isinstance(file.get(key), h5py.Dataset)
        ]
        if missing:
            found = ", ".join(key for key in file if not key.startswith("#")) or "none"
            raise DataError(
                f"{path} has no array {missing[0]!r} (found: {found}); the {split} "
                f"file of COFW holds {image_key} and {point_key}"
            )
        _check_kinds(path, file, image_key, point_key)
        # MATLAB stores the transpose. Damaged files may name any shape, and have to be
        # refused before so much is read.
        shape, num_images = file[point_key].shape[::-1], file[image_key].size
        if len(shape) != 2 or shape[1] != 3 * NUM_POINTS:
            raise DataError(
                f"{path}: {point_key} has shape {shape}, expected {3 * NUM_POINTS} "
                f"columns ({NUM_POINTS} x, y and occlusion flags)"
            )
        if shape[0] != num_images:
            raise DataError(
                f"{path}: {num_images} images in {image_key}, {shape[0]} rows in "
                f"{point_key}"
            )
        # A signalling NaN, which is refused below, makes NumPy warn here.
        with np.errstate(invalid="ignore"):
            matrix = np.asarray(file[point_key], np.float64).T
    return [_face(path, split, row, values) for row, values in enumerate(matrix)]


def _check_kinds(path: Path, file: h5py.File, images: str, points: str) -> None:
    if h5py.check_ref_dtype(file[images].dtype) is not h5py.Reference:
        raise DataError(
            f"{path}: {images} holds {file[images].dtype}, expected a MATLAB cell of "
            "images"
        )
    if file[points].dtype.kind not in "fiu":
        raise DataError(
            f"{path}: {points} holds {file[points].dtype}, expected a matrix of numbers"
        )


@contextlib.contextmanager
def open_matlab(path: Path) -> Iterator[h5py.File]:
    """Opens a MATLAB 7.3 file, which is HDF5, while its content is read.

    Raises:
        DataError: if the file is of another version or no MATLAB file; or
            truncated or damaged, also where that shows later.
    """
    if not h5py.is_hdf5(path):
        with path.open("rb") as file:
            old = file.read(len(_MATLAB_5)) == _MATLAB_5
        kind = "a MATLAB 5.0 file" if old else "no HDF5 file"
        raise DataError(
            f"{path} is {kind}, expected MATLAB 7.3 as COFW comes; in MATLAB: "
            "save(name, '-v7.3')"
        )
    try:
        with h5py.File(path) as file:
            yield file
    except DataError:
        raise
    # HDF5 reports damage in many ways, wherever its parts are first read.
    except Exception as error:  # noqa: BLE001 (see above)
        raise DataError(f"{path} is truncated or damaged: {error}") from None


def read_image_cell(file: h5py.File, key: str, row: int, where: str) -> np.ndarray:
    """One image of a MATLAB cell, uint8 [H, W, 3] RGB.

    Raises:
        DataError: if it is no grey or colour image of 8 bits.
    """
    reference = file[key][()].ravel()[row]
    stored = file[reference] if reference else None
    if not isinstance(stored, h5py.Dataset):
        raise DataError(f"{where} has no image in the cell {key}")
    no_size = not stored.size or stored.size > _MOST_PIXELS
    if stored.dtype != np.uint8 or stored.ndim not in (2, 3) or no_size:
        raise DataError(
            f"{where} is {stored.dtype} of shape {stored.shape[::-1]}, expected uint8 "
            "grey or RGB"
        )
    pixels = np.asarray(stored).T
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    if pixels.shape[2] != 3:
        raise DataError(f"{where} has {pixels.shape[2]} channels, expected 1 or 3")
    return np.ascontiguousarray(pixels)


def _face(path: Path, split: str, row: int, values: np.ndarray) -> COFWItem:
    where = f"{path}: face {row + 1}"
    points = values[: 2 * NUM_POINTS].reshape(2, NUM_POINTS).T
    hidden = values[2 * NUM_POINTS :]
    # Not a number is not below the limit either.
    good = np.abs(points) <= FARTHEST
    if not good.all():
        k, axis = np.argwhere(~good)[0]
        raise DataError(
            f"{where}, point {k} {'xy'[axis]}: {points[k, axis]} is not a finite number "
            "of pixels"
        )
    if not np.isin(hidden, (0, 1)).all():
        raise DataError(f"{where}: occlusion flags must be 0 or 1, got {set(hidden)}")
    box = box_around(points, where)
    return COFWItem(
        image=path,
        image_id=f"{split}_{row + 1:04d}",
        points=np.ascontiguousarray(points),
        visible=(hidden == 0).astype(np.uint8),
        annotated=np.ones(NUM_POINTS, np.uint8),
        box=box,
        box_size=box.scale * BOX_UNIT,
        where=where,
        key=_KEYS[split][0],
        row=row,
    )
