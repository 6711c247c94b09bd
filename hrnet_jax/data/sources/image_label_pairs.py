"""Base of segmentation data sets made of image and label files."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from hrnet_jax.data.files.file_names import is_file
from hrnet_jax.data.files.image_files import Example
from hrnet_jax.data.files.label_files import (
    Colour,
    LabelFile,
    labelled_example,
    read_label,
    unlabelled_example,
)
from hrnet_jax.data.writing import segmentation_features
from hrnet_jax.errors import DataError


@dataclasses.dataclass(frozen=True)
class FilePair:
    """An image file, its label file, and the name of the image.

    Labels of some splits are not published; the label file is None there.
    """

    image: Path
    label: Path | None
    image_id: str


class FileSource:
    """Base of sources whose items are `FilePair`s.

    A subclass gives `info`, `splits`, and the table from file values to
    labels with its meaning in words.

    Attributes:
        needs_source: it reads a folder.
        source_decides: whether another folder means another data set.
        table: int16 [256], file value -> label.
        meaning: the values that a label file may hold, for messages.
        colours: the label of each colour of RGB files, where a user can give any.
    """

    needs_source: ClassVar[bool] = True
    source_decides: ClassVar[bool] = False
    table: np.ndarray
    meaning: str
    colours: Mapping[Colour, int] | None = None

    def __init__(self, source: Path, options: Any) -> None:
        self.source = source
        self.options = options

    def features(self) -> dict[str, tfds.features.FeatureConnector]:
        """Image, label and name."""
        return segmentation_features()

    def item_bytes(self, item: FilePair) -> int:
        """Size of the image file plus something for the label."""
        return item.image.stat().st_size + 50_000

    def example(self, split: str, item: FilePair) -> Example:
        """Reads and checks both files."""
        del split
        if item.label is None:
            return unlabelled_example(item.image, item.image_id)
        return labelled_example(
            item.image,
            item.label,
            item.image_id,
            self.table,
            self.meaning,
            self.colours,
            lambda path: self.label_file(item),
        )

    def label_file(self, item: FilePair) -> LabelFile:
        """The values of a label file, for sets that do not store them as PNG."""
        assert item.label is not None
        return read_label(item.label)


def check_files_exist(
    splits: Mapping[str, Sequence[FilePair]],
    listed: str,
    advise: Callable[[FilePair], str] = lambda pair: "",
) -> None:
    """Checks that every image and label file is there.

    Args:
        splits: items of every split.
        listed: what asked for them, with `{split}`, for the message.
        advise: what the message says in the end of a pair without a mask.

    Raises:
        DataError: naming the first missing file and how many are missing.
    """
    for split, pairs in splits.items():
        for what in ("image", "label"):
            files = [(pair, getattr(pair, what)) for pair in pairs]
            missing = [pair for pair, file in files if file and not is_file(file)]
            if not missing:
                continue
            pair = missing[0]
            message = f"{listed.format(split=split)} names {pair.image}, not found"
            advice = ""
            if what == "label":
                message = f"image {pair.image} has no mask: {pair.label} not found"
                advice = advise(pair)
            count = f"({len(missing)} of {len(pairs)} in {split!r})"
            raise DataError(f"{message} {count}{advice}")
