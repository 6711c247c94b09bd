"""PASCAL-Context: whole scenes of VOC 2010 in the 59 most frequent classes."""

import dataclasses
import functools
from pathlib import Path
from typing import ClassVar

import numpy as np

from hrnet_jax.data.class_tables import (
    PASCAL_CONTEXT_59,
    PASCAL_CONTEXT_60,
    PASCAL_CONTEXT_IDS,
    ClassTable,
)
from hrnet_jax.data.files.detail_json import DetailImage, read_detail
from hrnet_jax.data.files.file_names import is_file
from hrnet_jax.data.files.label_files import NOT_A_LABEL, LabelFile, read_label
from hrnet_jax.data.files.matlab_labels import read_label_map
from hrnet_jax.data.files.text_tables import text_rows
from hrnet_jax.data.info import IGNORE_LABEL
from hrnet_jax.data.sources.image_label_pairs import FilePair
from hrnet_jax.data.sources.official import (
    OfficialOptions,
    OfficialSource,
    Origin,
    check_disjoint,
)
from hrnet_jax.errors import DataError

_JSON = "trainval_merged.json"
_MATLAB = "trainval"
_PNG = "SegmentationClassContext"
_FORMS = {"json": _JSON, "mat": _MATLAB, "png": _PNG}
_NAMES = "labels.txt"
_LARGEST_ID = 459
# Names of the 59 in the list of the 459, where that has others.
_OTHER_NAMES = {"table": "diningtable", "bedclothes": "bedcloth", "cloth": "clothes"}


@dataclasses.dataclass(frozen=True)
class PascalContextOptions(OfficialOptions):
    """Options of the preparation.

    Attributes:
        labels: which labels to read: `json`, the merged annotation file; `mat`, the
            files of 459 classes; `png`, label maps of the 59; whatever of them is
            there, if empty.
    """

    labels: str = ""

    def __post_init__(self):
        if self.labels not in ("", *_FORMS):
            raise DataError(
                f"option labels={self.labels}: expected one of {', '.join(_FORMS)}"
            )


class PascalContext60(OfficialSource):
    """PASCAL-Context (Mottaghi et al., CVPR 2014): 59 classes and the background.

    ```
    SOURCE/JPEGImages/ID.jpg                        the folder VOCdevkit/VOC2010
    SOURCE/trainval_merged.json                     labels of PASCAL in Detail, or
    SOURCE/trainval/ID.mat  labels.txt              labels of 459 classes, or
    SOURCE/SegmentationClassContext/ID.png          label maps, 0 the background
    SOURCE/ImageSets/SegmentationContext/train.txt  val.txt     (or ImageSets/Main)
    ```

    The merged file divides the images itself. Of the 459 classes, all but 59 become
    background.
    """

    Options: ClassVar[type] = PascalContextOptions
    classes: ClassVar[ClassTable] = PASCAL_CONTEXT_60
    origin = Origin(
        layout="the folder VOCdevkit/VOC2010 with JPEGImages and one of "
        f"{_JSON}, {_MATLAB}/ID.mat with {_NAMES}, {_PNG}/ID.png",
        place="https://cs.stanford.edu/~roozbeh/pascal-context/ (trainval.tar.gz and "
        f"{_NAMES}), {_JSON} at https://codalabuser.blob.core.windows.net/public/, "
        "images at http://host.robots.ox.ac.uk/pascal/VOC/voc2010/",
        counts={"train": 4998, "val": 5105},
        unlabelled=(),
    )

    @property
    def background(self) -> int:
        """The label of pixels of no class."""
        return 0 if "background" in self.classes else IGNORE_LABEL

    @functools.cached_property
    def form(self) -> str:
        """Which labels are read.

        Raises:
            DataError: if none are there, or several, of which the option chooses.
        """
        there = [f for f, name in _FORMS.items() if (self.source / name).exists()]
        wanted = self.options.labels
        if wanted and wanted not in there:
            raise self.missing([_FORMS[wanted]])
        if not there:
            raise self.missing(list(_FORMS.values()))
        if not wanted and len(there) > 1:
            raise DataError(
                f"{self.source} has {' and '.join(_FORMS[form] for form in there)}; say "
                f"which to read: --option labels={there[0]}, or labels={there[1]}"
            )
        return wanted or there[0]

    @functools.cached_property
    def table(self) -> np.ndarray:  # type: ignore[override]
        """int16 [N], number of a class in the files -> label."""
        ranks = range(60)
        numbers = {"json": PASCAL_CONTEXT_IDS, "png": ranks}.get(self.form)
        table = np.full(_LARGEST_ID + 1, NOT_A_LABEL, np.int16)
        if numbers is None:
            table[:] = self.background
            numbers = self._numbers_of_names
        shift = 0 if "background" in self.classes else 1
        table[list(numbers)] = np.arange(60) - shift
        table[numbers[0]] = self.background
        if self.form == "png":
            table[IGNORE_LABEL] = IGNORE_LABEL
        return table

    @property
    def meaning(self) -> str:  # type: ignore[override]
        """The values of the files, in words."""
        return {
            "json": "the numbers of the 59 classes and 0",
            "mat": f"0..{_LARGEST_ID}",
            "png": "0..59 or 255 (ignored)",
        }[self.form]

    def splits(self) -> dict[str, list[FilePair]]:
        """The images of the lists, or those of a phase of the merged file.

        Raises:
            DataError: naming what is missing, or an image in two splits.
        """
        splits = super().splits()
        check_disjoint(splits)
        return splits

    def find(self, split: str) -> list[FilePair]:
        """Pairs of a list, or of a phase."""
        images = self.folder("JPEGImages")
        if self.form == "json":
            return self._of_phase(split, images)
        folders = ("ImageSets/SegmentationContext", "ImageSets/Main")
        path = self.file(*(f"{folder}/{split}.txt" for folder in folders))
        ending = ".mat" if self.form == "mat" else ".png"
        labels = self.source / _FORMS[self.form]
        return self.listed_pairs(path, (images, ".jpg"), (labels, ending))

    def label_file(self, item: FilePair) -> LabelFile:
        """PNG, the array `LabelMap` of a MATLAB file, or masks of the merged file."""
        path = Path(item.label or "")
        if self.form == "json":
            return self._merged[item.image.name].label()
        return (
            read_label_map(path, "LabelMap") if self.form == "mat" else read_label(path)
        )

    @functools.cached_property
    def _merged(self) -> dict[str, DetailImage]:
        return {image.name: image for image in read_detail(self.source / _JSON)}

    def _of_phase(self, split: str, images: Path) -> list[FilePair]:
        path = self.source / _JSON
        named = [one.name for one in self._merged.values() if one.phase == split]
        pairs = [FilePair(images / name, path, Path(name).stem) for name in named]
        absent = [pair.image for pair in pairs if not is_file(pair.image)]
        place = f"the set is at {self.origin.place}"
        if absent:
            count = f"({len(absent)} of {len(pairs)} in {split!r})"
            raise DataError(f"{path} names {absent[0]}, not found {count}; {place}")
        if not pairs:
            raise DataError(f"{path} has no images of phase {split!r}; {place}")
        return pairs

    @functools.cached_property
    def _numbers_of_names(self) -> list[int]:
        """Numbers of the background and the 59 classes in the list of the 459.

        Raises:
            DataError: if the list is missing or lacks one of them.
        """
        path = self.file(_NAMES)
        numbers: dict[str, int] = {}
        for number, line in text_rows(path):
            value, colon, name = line.partition(":")
            value = value.strip()
            good = value.isascii() and value.isdecimal() and len(value) < 4
            if not colon or not good or not 1 <= int(value) <= _LARGEST_ID:
                raise DataError(
                    f"{path}:{number}: expected 'NUMBER: NAME' with a number 1.."
                    f"{_LARGEST_ID}, got {line!r}"
                )
            numbers[name.replace(" ", "")] = int(value)
        found = [0]
        for name in PASCAL_CONTEXT_59:
            other = _OTHER_NAMES.get(name, name)
            if name not in numbers and other not in numbers:
                raise DataError(
                    f"{path} has no class {name!r}; expected the list of the 459 classes, "
                    f"with lines '2: aeroplane'; the set is at {self.origin.place}"
                )
            found.append(numbers[name if name in numbers else other])
        return found


class PascalContext59(PascalContext60):
    """PASCAL-Context (Mottaghi et al., CVPR 2014): 59 classes, the background ignored.

    The source folder is that of `PascalContext60`.
    """

    classes: ClassVar[ClassTable] = PASCAL_CONTEXT_59
