"""What a prepared data set holds: counts, sizes, and pictures of its records."""

import os
import pathlib
from collections.abc import Iterable
from typing import ClassVar, Protocol

import numpy as np
from tqdm import tqdm

from hrnet_jax import registry
from hrnet_jax.data.info import DatasetInfo, load_info
from hrnet_jax.data.records import Records, open_records, prepared_directory
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.pictures import write_picture
from hrnet_jax.inspection.class_contents import ClassContents
from hrnet_jax.inspection.dataset_drawing import Sample, contact_sheet
from hrnet_jax.inspection.label_contents import LabelContents
from hrnet_jax.inspection.object_contents import ObjectContents
from hrnet_jax.inspection.person_contents import PersonContents
from hrnet_jax.inspection.point_contents import PointContents
from hrnet_jax.storage import paths
from hrnet_jax.workdir.files import write_json

REPORT_FILE = "report.json"
SHEET_FILE = "contact_sheet_{}.png"


class Contents(Protocol):
    """What is counted and drawn of the records of one kind of task.

    Attributes:
        keys: of the samples that it reads.
        pictures: files that `draw` writes.
        encoded: whether `count` takes images as the bytes of their files.
    """

    keys: ClassVar[tuple[str, ...]]
    pictures: ClassVar[tuple[str, ...]]
    encoded: ClassVar[bool]

    def __init__(self, info: DatasetInfo) -> None: ...

    def count(self, split: str, samples: Iterable[Sample]) -> None:
        """Counts all samples of one split."""

    def picture(self, sample: Sample) -> np.ndarray:
        """A uint8 RGB picture of a sample for a contact sheet."""

    def draw(self, folder: pathlib.Path) -> None:
        """Writes `pictures` of what was counted."""

    def text(self) -> list[str]:
        """Title and table of what was counted."""

    def warnings(self) -> list[str]:
        """What may be wrong with the set, a line each."""

    def as_json(self) -> dict:
        """What was counted."""


# `TaskSpec.data` -> what is reported of data sets of such a task; of sets for several
# tasks the first.
_CONTENTS: dict[str, type[Contents]] = {
    "objects": ObjectContents,
    "points": PointContents,
    "labels": LabelContents,
    "classes": ClassContents,
    "persons": PersonContents,
}


def write_dataset_report(
    name: str,
    data_dir: str | os.PathLike,
    out: str | os.PathLike,
    *,
    shown: int = 24,
    progress: bool = True,
) -> str:
    """Reads all records of a data set and writes pictures and numbers.

    Writes `report.json` (the counts of each split), one `contact_sheet_<split>.png`
    for each split, `sizes.png`, and `classes.png` of a segmentation or
    classification set, `points.png` of a set of landmarks or persons, or `objects.png`
    of a set of boxes.

    Args:
        name: the name it was prepared under.
        data_dir: the folder given to the preparation.
        out: folder to write to; files of an earlier report are replaced.
        shown: images on a contact sheet, from all over the split.
        progress: whether to show a progress bar.

    Returns:
        A table of the classes or points, and a line for what may be wrong with them.

    Raises:
        DataError: if the set is not prepared or no task that can be trained reads it;
            for a file that cannot be written.
    """
    if shown < 1:
        raise DataError(f"a contact sheet shows at least 1 image, got {shown}")
    info = load_info(prepared_directory(name, paths.as_path(data_dir)))
    splits = {
        split: open_records(name, data_dir, split) for split in info.label_histogram
    }
    labelled = [records for records in splits.values() if records.labelled]
    contents = _contents_of(info, next(iter(labelled or splits.values())))
    folder = paths.as_path(out)
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file; expected a folder for the report")
    folder.mkdir(parents=True, exist_ok=True)
    for split, records in splits.items():
        read = records.encoded() if contents.encoded else records
        bar = tqdm(read, desc=split, unit=" images", disable=not progress)
        contents.count(split, bar)
        sheet = contact_sheet(records, shown, contents.picture)
        write_picture(folder / SHEET_FILE.format(split), sheet)
    contents.draw(folder)
    warnings = contents.warnings()
    stored = {"name": info.name, **contents.as_json(), "warnings": warnings}
    write_json(folder / REPORT_FILE, stored)
    return "\n".join([*contents.text(), *[""] * bool(warnings), *warnings])


def _contents_of(info: DatasetInfo, records: Records) -> Contents:
    """What to report, by the first kind that the data set has outputs of a task for.

    Raises:
        DataError: if there is none.
    """
    specs = [registry.get_spec(name) for name in registry.task_names()]
    specs = [spec for spec in specs if spec.data]
    keys = records[0].keys()
    for data, kind in _CONTENTS.items():
        for spec in specs if set(kind.keys) <= keys else ():
            if spec.data != data:
                continue
            if spec.count_outputs(spec.task_class.model_options(info)):
                return kind(info)
    known = ", ".join(spec.name for spec in specs)
    raise DataError(
        f"data set {info.name!r} is for none of the tasks {known}: it has neither classes "
        "nor points"
    )
