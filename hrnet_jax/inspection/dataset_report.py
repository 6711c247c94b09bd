"""What a prepared segmentation set holds: counts, sizes, and pictures of its masks."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping

import numpy as np
from tqdm import tqdm

from hrnet_jax.config.tables import columns
from hrnet_jax.data.info import DatasetInfo, load_info
from hrnet_jax.data.records import Records, open_records, prepared_directory
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.pictures import write_picture
from hrnet_jax.inspection.dataset_drawing import (
    contact_sheet,
    draw_classes,
    draw_sizes,
)
from hrnet_jax.workdir.files import write_json

REPORT_FILE = "report.json"
CLASSES_FILE = "classes.png"
SIZES_FILE = "sizes.png"
SHEET_FILE = "contact_sheet_{}.png"


@dataclasses.dataclass(frozen=True)
class SplitCounts:
    """What the records of one split hold.

    Attributes:
        pixels: int64 [K], pixels of each class.
        images: int64 [K], images that show the class.
        ignored: pixels without a class.
        sizes: int64 [N, 2], (height, width) of each image.
    """

    pixels: np.ndarray
    images: np.ndarray
    ignored: int
    sizes: np.ndarray


def write_dataset_report(
    name: str,
    data_dir: str | os.PathLike,
    out: str | os.PathLike,
    *,
    shown: int = 24,
    progress: bool = True,
) -> str:
    """Reads all records of a segmentation set and writes pictures and numbers.

    Writes `report.json` (the counts of each split), `classes.png` (shares of the
    classes), `sizes.png` (widths and heights) and one `contact_sheet_<split>.png`
    (images with their labels over them) for each split.

    Args:
        name: the name it was prepared under.
        data_dir: the folder given to the preparation.
        out: folder to write to; files of an earlier report are replaced.
        shown: images on a contact sheet, from all over the split.
        progress: whether to show a progress bar.

    Returns:
        A table of the classes, and a line for each class that never occurs.

    Raises:
        DataError: if the set is not prepared or has no classes; for a file that
            cannot be written.
    """
    if shown < 1:
        raise DataError(f"a contact sheet shows at least 1 image, got {shown}")
    info = load_info(prepared_directory(name, pathlib.Path(data_dir)))
    if not any(sum(pixels) for pixels in info.label_histogram.values()):
        raise DataError(
            f"data set {name!r} has no labelled pixels; expected a segmentation set"
        )
    folder = pathlib.Path(out)
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file; expected a folder for the report")
    folder.mkdir(parents=True, exist_ok=True)
    counts = {}
    for split in info.label_histogram:
        records = open_records(name, data_dir, split)
        counts[split] = count_records(records, progress)
        sheet = contact_sheet(records, shown)
        write_picture(folder / SHEET_FILE.format(split), sheet)
    draw_classes(
        info,
        {split: (each.pixels, each.images) for split, each in counts.items()},
        folder / CLASSES_FILE,
    )
    draw_sizes({s: each.sizes for s, each in counts.items()}, folder / SIZES_FILE)
    write_json(folder / REPORT_FILE, _as_json(info, counts))
    return report_text(info, counts)


def count_records(records: Records, progress: bool = False) -> SplitCounts:
    """Counts pixels, images and sizes of one split; decodes every record."""
    num_classes = records.info.num_classes
    pixels = np.zeros(num_classes, np.int64)
    images = np.zeros(num_classes, np.int64)
    ignored = 0
    sizes = []
    for sample in tqdm(
        records, desc=records.split, unit=" images", disable=not progress
    ):
        count = np.bincount(sample["label"].ravel(), minlength=256)
        pixels += count[:num_classes]
        images += count[:num_classes] > 0
        ignored += int(count[records.info.ignore_label])
        sizes.append(sample["label"].shape)
    return SplitCounts(pixels, images, ignored, np.array(sizes, np.int64))


def report_text(info: DatasetInfo, counts: Mapping[str, SplitCounts]) -> str:
    """Pixels and images of each class in each split, and what is missing."""
    header = ["", "class"]
    for split in counts:
        header += [f"{split} pixels", "%", "images"]
    rows = [header]
    for label, name in enumerate(info.class_names):
        row = [str(label), name]
        for each in counts.values():
            share = 100 * each.pixels[label] / max(1, each.pixels.sum())
            row += [str(each.pixels[label]), f"{share:.3f}", str(each.images[label])]
        rows.append(row)
    all_row = ["", "ignored"]
    for each in counts.values():
        share = 100 * each.ignored / max(1, each.pixels.sum() + each.ignored)
        all_row += [str(each.ignored), f"{share:.3f}", f"of {len(each.sizes)}"]
    rows.append(all_row)
    lines = [f"{info.name}: {info.num_classes} classes", "", *columns(rows, "rlr")]
    warnings = _absent(info, counts)
    return "\n".join([*lines, *[""] * bool(warnings), *warnings])


def _absent(info: DatasetInfo, counts: Mapping[str, SplitCounts]) -> list[str]:
    """A line for each class without a pixel in some split."""
    lines = []
    for label, name in enumerate(info.class_names):
        without = [s for s, each in counts.items() if not each.pixels[label]]
        if not without:
            continue
        if len(without) == len(counts):
            lines.append(
                f"warning: class {label} ({name}) never occurs; are the mask values "
                "and the class list as intended?"
            )
        else:
            lines.append(
                f"warning: class {label} ({name}) never occurs in {', '.join(without)}"
            )
    return lines


def _as_json(info: DatasetInfo, counts: Mapping[str, SplitCounts]) -> dict:
    return {
        "name": info.name,
        "class_names": list(info.class_names),
        "splits": {
            split: {
                "images": len(each.sizes),
                "pixels": each.pixels.tolist(),
                "images_with_class": each.images.tolist(),
                "ignored_pixels": each.ignored,
                "sizes": each.sizes.tolist(),
            }
            for split, each in counts.items()
        },
        "warnings": _absent(info, counts),
    }
