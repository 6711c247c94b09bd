"""Leeds Sports Pose, and its extension: 14 joints of athletes, from MATLAB files."""

import dataclasses
from pathlib import Path
from typing import ClassVar

import numpy as np

from hrnet_jax.data.files.file_names import check_image_name
from hrnet_jax.data.files.image_files import IMAGE_SUFFIXES
from hrnet_jax.data.files.listing import listed
from hrnet_jax.data.files.matlab5 import read_arrays
from hrnet_jax.data.files.splitting import SPLITS
from hrnet_jax.data.files.text_files import read_text
from hrnet_jax.data.objects.source import cut_images
from hrnet_jax.data.persons.items import (
    Person,
    PersonItem,
    PersonSplits,
    area_of,
    box_from_points,
    in_sides,
)
from hrnet_jax.data.persons.source import PersonSource
from hrnet_jax.data.points.person_sets import LSP14
from hrnet_jax.data.points.source import image_folder
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.boxes import FARTHEST

NUM_POINTS = len(LSP14.names)
# The first half of these images is to train on.
_LSP_IMAGES = 2000


@dataclasses.dataclass(frozen=True)
class LSPOptions:
    """Options of the preparation.

    Attributes:
        images: folder of the images in the source folder; `images`, or the source
            folder itself, if empty.
        ratios: shares of train, val and test of one `joints.mat`, but for that of LSP,
            which has a split of its own.
        seed: seed of that random split.
    """

    images: str = ""
    ratios: tuple[float, ...] = (0.9, 0.1)
    seed: int = 0


class LSP(PersonSource):
    """Leeds Sports Pose (LSP, LSPET): 14 joints of one person in each image.

    ```
    SOURCE/joints.mat                               LSP or LSPET
    SOURCE/joints_{train,val,test}.mat {train,val,test}.txt   or one for each split
    SOURCE/images/
    ```

    `joints` is 3 x 14 x N in LSP, whose third row says that a joint is hidden, and
    14 x 3 x N in LSPET, whose third column says that it is annotated. Lists of images
    have a name a line; without one they are the images of the folder in their order.
    The first 1000 images of LSP are to train on. Boxes are those around the joints.
    """

    Options: ClassVar[type] = LSPOptions
    point_set = LSP14
    # MATLAB's.
    point_origin = 1.0

    def read(self) -> PersonSplits:
        """The images of all files.

        Raises:
            DataError: if there is none, or one is wrong.
        """
        # Planned without files.
        if self.source is None:
            return PersonSplits({})
        paths = {split: self.source / f"joints_{split}.mat" for split in SPLITS}
        found = {split: path for split, path in paths.items() if path.is_file()}
        if found:
            return PersonSplits(
                {
                    split: self._items(path, self.source / f"{split}.txt")
                    for split, path in found.items()
                }
            )
        path = self.source / "joints.mat"
        if not path.is_file():
            raise DataError(
                f"{self.source} has no joints.mat, and no joints_train.mat, "
                "joints_val.mat or joints_test.mat"
            )
        items = self._items(path, None)
        if len(items) == _LSP_IMAGES:
            half = _LSP_IMAGES // 2
            return PersonSplits({"train": items[:half], "test": items[half:]})
        return PersonSplits(cut_images(items, self.options.ratios, self.options.seed))

    def _items(self, path: Path, names: Path | None) -> list[PersonItem]:
        points, annotated, visible = read_joints(path)
        folder = image_folder(self.source, self.options.images, ("images",))
        images = _images_of(folder) if names is None else _listed_in(names, folder)
        if len(images) != len(points):
            raise DataError(
                f"{path} has joints of {len(points)} images, {names or folder} has "
                f"{len(images)}; expected as many, in the same order"
            )
        return [
            PersonItem(
                image=image,
                image_id=Path(name).with_suffix("").as_posix(),
                number=number,
                persons=tuple(
                    _persons(*one, where=f"{path}: image {number}", number=number)
                ),
                where=f"{path}: image {number}",
            )
            for number, ((image, name), *one) in enumerate(
                zip(images, points, annotated, visible, strict=True), start=1
            )
        ]


def read_joints(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Joints of LSP or of LSPET.

    Returns:
        Points float64 [N, 14, 2], counted from 1; whether they are annotated, and
        whether they are in sight, bool [N, 14].

    Raises:
        DataError: naming the shape of `joints`, or the image with a wrong number.
    """
    arrays = read_arrays(path)
    joints = arrays.get("joints")
    shape = () if joints is None else joints.shape
    # A signalling NaN, which is refused below, makes NumPy warn.
    with np.errstate(invalid="ignore"):
        joints = None if joints is None else joints.astype(np.float64)
    if joints is not None and shape[:-1] == (3, NUM_POINTS):
        joints = np.transpose(joints, (2, 1, 0))
        visible = joints[..., 2] == 0
        annotated = np.ones_like(visible)
    elif joints is not None and shape[:-1] == (NUM_POINTS, 3):
        joints = np.transpose(joints, (2, 0, 1))
        annotated = visible = joints[..., 2] > 0
    else:
        found = "no joints" if joints is None else f"joints {list(shape)}"
        raise DataError(
            f"{path} has {found}; expected 3 x {NUM_POINTS} x N (LSP) or "
            f"{NUM_POINTS} x 3 x N (LSPET)"
        )
    points = np.where(annotated[..., None], joints[..., :2], 0.0)
    wrong = np.argwhere(~(np.abs(points) <= FARTHEST))
    if len(wrong):
        image, joint, axis = wrong[0]
        raise DataError(
            f"{path}: image {image + 1}, joint {LSP14.names[joint]}: "
            f"{points[image, joint, axis]} is not a finite number of pixels"
        )
    return points, annotated, visible


def _persons(
    points: np.ndarray,
    annotated: np.ndarray,
    visible: np.ndarray,
    *,
    where: str,
    number: int,
) -> list[Person]:
    """The person of an image; nobody where no joint is annotated."""
    if not annotated.any():
        return []
    box = box_from_points(points, annotated)
    if area_of(box) <= 0:
        raise DataError(
            f"{where}: the joints give the person a box of size "
            f"{box[2] - box[0]:g} x {box[3] - box[1]:g}; expected joints that are apart"
        )
    return [
        Person(
            points=points,
            visible=visible.astype(np.uint8),
            annotated=annotated.astype(np.uint8),
            box=box,
            bbox=in_sides(box),
            area=area_of(box),
            where=where,
            number=number,
        )
    ]


def _images_of(folder: Path) -> list[tuple[Path, str]]:
    """The images of a folder, and their names, in the order of these."""
    found = listed(folder)
    return [(p, p.name) for p in found if p.suffix.lower() in IMAGE_SUFFIXES]


def _listed_in(path: Path, folder: Path) -> list[tuple[Path, str]]:
    """The images that a list names, and these names."""
    if not path.is_file():
        raise DataError(
            f"{path} is missing; expected the names of the images, in order"
        )
    names = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    return [
        (folder / check_image_name(name, f"{path}: line {number}"), name)
        for number, name in enumerate(names, start=1)
    ]
