"""Cityscapes: street scenes at 2048x1024, 19 evaluated classes."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from hrnet_jax.data.class_tables import CITYSCAPES, CITYSCAPES_IDS, ClassTable
from hrnet_jax.data.files.label_files import NOT_A_LABEL
from hrnet_jax.data.info import IGNORE_LABEL
from hrnet_jax.data.sources.image_label_pairs import FilePair
from hrnet_jax.data.sources.official import NamedFiles, OfficialSource, Origin
from hrnet_jax.errors import DataError

# Of the evaluated classes, in the order of their train ids.
IDS = CITYSCAPES_IDS
LARGEST_ID = 33

# The published training weights of the classes (official Cityscapes reader).
CLASS_WEIGHTS = (
    *(0.8373, 0.918, 0.866, 1.0345, 1.0166, 0.9969, 0.9754, 1.0489, 0.8786, 1.0023),
    *(0.9539, 0.9843, 1.1116, 0.9037, 1.0865, 1.0955, 1.0865, 1.1529, 1.0507),
)


def _train_id_table() -> np.ndarray:
    table = np.full(256, NOT_A_LABEL, np.int16)
    table[: LARGEST_ID + 1] = IGNORE_LABEL
    table[255] = IGNORE_LABEL  # the licence plate, -1, as an unsigned byte
    table[list(IDS)] = np.arange(len(IDS))
    return table


TRAIN_ID_TABLE = _train_id_table()


def ids_from_train_ids(train_ids: np.ndarray) -> np.ndarray:
    """Turns predictions into the ids that the benchmark server expects.

    Args:
        train_ids: integers 0..18, any shape; 255 becomes 0, "unlabeled".

    Returns:
        uint8 ids, same shape.

    Raises:
        DataError: for any other value.
    """
    table = np.full(256, NOT_A_LABEL, np.int16)
    table[: len(IDS)] = IDS
    table[IGNORE_LABEL] = 0
    train_ids = np.asarray(train_ids)
    outside = (train_ids < 0) | (train_ids > 255)
    ids = table[np.where(outside, len(IDS), train_ids)]
    if (ids == NOT_A_LABEL).any():
        wrong = train_ids[ids == NOT_A_LABEL].flat[0]
        raise DataError(f"train id {wrong} is not one of 0..{len(IDS) - 1} or 255")
    return ids.astype(np.uint8)


_ENDINGS = {kind: f"_{kind}_labelIds.png" for kind in ("gtFine", "gtCoarse")}
# Split -> folder of the images, and kind of the labels.
_FOLDERS = {
    "train": ("train", "gtFine"),
    "val": ("val", "gtFine"),
    "test": ("test", ""),
    "train_extra": ("train_extra", "gtCoarse"),
    "train_coarse": ("train", "gtCoarse"),
    "val_coarse": ("val", "gtCoarse"),
}


class Cityscapes(OfficialSource):
    """Cityscapes (Cordts et al., CVPR 2016), 19 evaluated classes.

    The source folder is in the official layout:
    `leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png` with
    `gtFine/SPLIT/CITY/NAME_gtFine_labelIds.png`, for the coarse splits
    `gtCoarse/SPLIT/CITY/NAME_gtCoarse_labelIds.png`. Ids become train ids; all ids
    without one become 255. Unlike the published reader, which passes ids above
    33 through as if they were train ids, such values are errors. The labels of `test`
    are not published (its files are blank), and are not read.
    """

    table = TRAIN_ID_TABLE
    meaning = f"Cityscapes ids 0..{LARGEST_ID} or 255"
    classes: ClassVar[ClassTable] = CITYSCAPES
    subsets: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "trainval": ("train", "val"),
        "train_and_extra": ("train", "train_extra"),
    }
    origin = Origin(
        layout="the official layout leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png with "
        "gtFine/SPLIT/CITY/NAME_gtFine_labelIds.png (splits train, val), and "
        "gtCoarse/SPLIT/CITY/NAME_gtCoarse_labelIds.png (train_extra, train_coarse, "
        "val_coarse)",
        place="https://www.cityscapes-dataset.com/downloads/",
        counts={
            "train": 2975,
            "val": 500,
            "test": 1525,
            "train_extra": 19998,
            "train_coarse": 2975,
            "val_coarse": 500,
        },
    )

    def find(self, split: str) -> list[FilePair]:
        """All images of a split, sorted by city and name."""
        folder, kind = _FOLDERS[split]
        images = NamedFiles(
            self.folder(f"leftImg8bit/{folder}"), "_leftImg8bit.png", "*/"
        )
        if not kind:
            return images.alone()
        labels = self.folder(f"{kind}/{folder}")
        return self.paired(images, NamedFiles(labels, _ENDINGS[kind], "*/"))
