"""Cityscapes: street scenes at 2048x1024, 19 evaluated classes."""

import dataclasses
from typing import ClassVar

import numpy as np

from hrnet_jax.data.class_tables import CITYSCAPES
from hrnet_jax.data.files.benchmark_ids import CITYSCAPES_IDS
from hrnet_jax.data.files.label_files import NOT_A_LABEL
from hrnet_jax.data.files.listing import listed
from hrnet_jax.data.info import IGNORE_LABEL, DatasetInfo
from hrnet_jax.data.sources.image_label_pairs import FilePair, FileSource
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


@dataclasses.dataclass(frozen=True)
class CityscapesOptions:
    """Options of the preparation.

    Attributes:
        splits: the splits to prepare. The published labels of `test` are
            blank, so evaluating on it here tells nothing.
    """

    splits: tuple[str, ...] = ("train", "val")


class Cityscapes(FileSource):
    """Cityscapes, fine annotations, 19 evaluated classes.

    The source folder is in the official layout:
    `leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png` with
    `gtFine/SPLIT/CITY/NAME_gtFine_labelIds.png`. Ids become train ids; all ids
    without one become 255. Unlike the published reader, which passes ids above
    33 through as if they were train ids, such values are errors.
    """

    Options: ClassVar[type] = CityscapesOptions
    table = TRAIN_ID_TABLE
    meaning = f"Cityscapes ids 0..{LARGEST_ID} or 255"

    def info(self, name: str) -> DatasetInfo:
        """Class names and colours."""
        return DatasetInfo(
            name=name,
            num_classes=len(CITYSCAPES),
            class_names=tuple(CITYSCAPES),
            palette=tuple(CITYSCAPES.values()),
        )

    def splits(self) -> dict[str, list[FilePair]]:
        """All images of the chosen splits, sorted by city and name.

        Raises:
            DataError: if a folder is missing or empty, or an image and a label
                file lack each other.
        """
        return {split: self._find(split) for split in self.options.splits}

    def _find(self, split: str) -> list[FilePair]:
        images = self._files("leftImg8bit", split, "_leftImg8bit.png")
        labels = self._files("gtFine", split, "_gtFine_labelIds.png")
        for have, lack, what in (
            (images, labels, "no label file gtFine/.../{}_gtFine_labelIds.png"),
            (labels, images, "no image leftImg8bit/.../{}_leftImg8bit.png"),
        ):
            alone = sorted(have.keys() - lack.keys())
            if alone:
                name = alone[0].split("/")[-1]
                raise DataError(
                    f"{have[alone[0]]} has {what.format(name)} "
                    f"({len(alone)} of {len(have)} files)"
                )
        return [
            FilePair(images[key], labels[key], key.split("/")[-1])
            for key in sorted(images)
        ]

    def _files(self, kind: str, split: str, ending: str) -> dict:
        folder = self.source / kind / split
        if not folder.is_dir():
            raise DataError(
                f"{folder} is missing; expected the official layout "
                "leftImg8bit/SPLIT/CITY and gtFine/SPLIT/CITY"
            )
        found = {
            f"{path.parent.name}/{path.name.removesuffix(ending)}": path
            for path in listed(folder, f"*/*{ending}")
        }
        if not found:
            raise DataError(f"{folder} has no files CITY/*{ending}")
        return found
