"""Images and files of annotations in folders, as detection tools lay them out."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from hrnet_jax.data.files.image_files import IMAGE_SUFFIXES
from hrnet_jax.data.files.listing import listed

T = TypeVar("T")

# Names of folders -> the split they hold.
SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "obj_train_data": "train",
    "valid": "val",
    "val": "val",
    "validation": "val",
    "obj_valid_data": "val",
    "test": "test",
    "obj_test_data": "test",
    "obj_validation_data": "val",
}
_YEARS = ("2017", "2014", "2012", "2007")


def images_below(folder: Path) -> list[Path]:
    """Image files in a folder and all folders in it, sorted."""
    return [
        path
        for path in listed(folder, "**/*")
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    ]


def split_of(path: Path, source: Path) -> str:
    """The split that the folders of a file name; empty if none does."""
    for part in path.relative_to(source).parts[:-1]:
        name = part.lower()
        for year in _YEARS:
            name = name.removesuffix(year)
        if name in SPLIT_FOLDERS:
            return SPLIT_FOLDERS[name]
    return ""


def by_split(
    items: Iterable[tuple[Path, T]], source: Path
) -> dict[str, list[T]] | None:
    """What belongs to files, by the split that their folders name.

    None where a file is in the folder of no split, so that all have to be cut.
    """
    found: dict[str, list[T]] = {}
    for path, item in items:
        found.setdefault(split_of(path, source), []).append(item)
    if "" in found:
        return None
    order = ("train", "val", "test")
    return {split: found[split] for split in order if split in found}


def image_named(stem: str, folders: Sequence[Path]) -> Path | None:
    """The image of a name without suffix in the first folder that has one."""
    for folder in folders:
        for suffix in IMAGE_SUFFIXES:
            for form in (suffix, suffix.upper()):
                if (folder / f"{stem}{form}").is_file():
                    return folder / f"{stem}{form}"
    return None


def listed_stems(lists: Mapping[str, Path]) -> dict[str, list[str]]:
    """Names in the lists of splits, one in each line, `name 1` for those of VOC."""
    from hrnet_jax.data.files.text_files import read_text

    found = {}
    for split, path in lists.items():
        rows = [line.split() for line in read_text(path).splitlines()]
        # `-1` is an image without objects of the class that a list is of.
        found[split] = [row[0] for row in rows if row and row[1:2] != ["-1"]]
    return found
