"""Names of folders and lists that own images and masks come in."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hrnet_jax.data.files.listing import contents_of
from hrnet_jax.data.files.splitting import SPLITS
from hrnet_jax.errors import DataError


@dataclasses.dataclass(frozen=True)
class FolderLayout:
    """Where a set in folders has its parts.

    Attributes:
        images: folder of the images.
        masks: folder of the masks.
        classes_file: list of the classes.
        lists: folder of the lists of the splits.
        tool: what writes it, for messages.
    """

    images: str = "images"
    masks: str = "masks"
    classes_file: str = "classes.txt"
    lists: str = "."
    tool: str = "the layout of docs/data.md"


LAYOUTS = (
    FolderLayout(),
    FolderLayout("img_dir", "ann_dir", tool="the layout of mmsegmentation"),
    FolderLayout(
        "JPEGImages",
        "SegmentationClass",
        "labelmap.txt",
        "ImageSets/Segmentation",
        tool="the layout of Pascal VOC and CVAT",
    ),
)


def layout_of(source: Path, options: Any) -> FolderLayout:
    """The layout of a folder, with the names that a user gives instead.

    Args:
        source: the folder.
        options: with `images`, `masks` and `classes_file`, None where nothing is said.

    Raises:
        DataError: for two layouts in one folder, or none.
    """
    said = {
        name: getattr(options, name)
        for name in ("images", "masks", "classes_file")
        if getattr(options, name) is not None
    }
    there = [one for one in LAYOUTS if (source / one.images).is_dir()]
    if "images" in said:
        there = [one for one in LAYOUTS if one.images == said["images"]] or [LAYOUTS[0]]
    if len(there) > 1:
        raise DataError(
            f"{source} has {' and '.join(one.images for one in there)}; say which are the "
            f"images: --option images={there[0].images}, or images={there[1].images}"
        )
    if not there:
        known = ", ".join(f"{one.images}/ ({one.tool})" for one in LAYOUTS)
        raise DataError(
            f"{source / LAYOUTS[0].images} is missing; expected the images there, or in "
            f"one of {known}; {source} holds {contents_of(source)}; --option images=NAME "
            "names another folder"
        )
    layout = there[0]
    if not (source / layout.classes_file).is_file():
        layout = dataclasses.replace(layout, classes_file=LAYOUTS[0].classes_file)
    return dataclasses.replace(layout, **said)


def folder_splits(keys: Iterable[str]) -> dict[str, list[str]]:
    """Images by the split that their first folder names.

    Args:
        keys: paths of the images below their folder.

    Returns:
        Nothing where the first folders are others, or `train` is the only one.
    """
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    for key in sorted(keys):
        first, slash, _ = key.partition("/")
        if not slash or first not in splits:
            return {}
        splits[first].append(key)
    used = {split: keys for split, keys in splits.items() if keys}
    return used if "train" in used and len(used) > 1 else {}
