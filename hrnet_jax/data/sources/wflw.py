"""WFLW: 98 landmarks, from HRNet's CSV files or from its own text lists."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from hrnet_jax.data.files.file_names import check_image_name
from hrnet_jax.data.files.text_tables import number, word_rows
from hrnet_jax.data.points import point_sets
from hrnet_jax.data.points.hrnet_csv import CsvFiles
from hrnet_jax.data.points.items import (
    LandmarkItem,
    box_around,
    fully_annotated,
    name_faces,
)
from hrnet_jax.data.points.source import (
    LandmarkSource,
    SplitItems,
    Subsets,
    check_layout,
    image_folder,
    positions_in,
)
from hrnet_jax.errors import DataError

NUM_POINTS = len(point_sets.WFLW.names)
LAYOUTS = ("auto", "csv", "text")

# The six attributes in the order of the lists' flags, with the word that file
# names use for them.
_ATTRIBUTES = {
    "pose": "largepose",
    "expression": "expression",
    "illumination": "illumination",
    "make_up": "makeup",
    "occlusion": "occlusion",
    "blur": "blur",
}
_CSV = "face_landmarks_wflw_{}.csv"
_CSV_SPLITS = {split: _CSV.format(split) for split in ("train", "test")}
_CSV_SUBSETS = {
    subset: ("test", _CSV.format(f"test_{word}"))
    for subset, word in _ATTRIBUTES.items()
}

_FLAGGED_LIST = "list_98pt_rect_attr_train_test/list_98pt_rect_attr_{}.txt"
_WHOLE_LIST = "list_98pt_test/list_98pt_test.txt"
_SUBSET_LIST = "list_98pt_test/list_98pt_test_{}.txt"
_RECTANGLE = 4  # numbers between points and flags, which HRNet does not use


@dataclasses.dataclass(frozen=True)
class WFLWOptions:
    """Options of the preparation.

    Attributes:
        layout: `csv` for HRNet's files, `text` for the original lists, `auto`
            for CSV where there is one.
        images: folder of the images in the source folder; `images` or
            `WFLW_images`, or the source folder itself, if empty.
    """

    layout: str = "auto"
    images: str = ""


class WFLW(LandmarkSource[LandmarkItem]):
    """Wider Facial Landmarks in the Wild: 98 landmarks.

    ```
    SOURCE/face_landmarks_wflw_{train,test,test_largepose,...}.csv
    SOURCE/WFLW_annotations/list_98pt_rect_attr_train_test/*.txt
    SOURCE/WFLW_annotations/list_98pt_test/*.txt
    SOURCE/WFLW_images/
    ```

    The six subsets of the test split come from HRNet's files, else from the
    flags of the lists, else from the lists of the subsets. Where there are only
    those, without `list_98pt_test.txt`, the test split is what the subsets hold.
    """

    Options: ClassVar[type] = WFLWOptions
    point_set = point_sets.WFLW
    tight_boxes = True
    eval_splits: ClassVar[tuple[str, ...]] = ("test",)

    def read(self) -> SplitItems:
        """The splits that are there, by the layout.

        Raises:
            DataError: if there is none, or a file is not as expected.
        """
        layout = check_layout(self.options.layout, LAYOUTS)
        usual = ("images", "WFLW_images")
        images = image_folder(self.source, self.options.images, usual)
        contents: SplitItems[LandmarkItem] = SplitItems({})
        if layout in ("auto", "csv"):
            files = CsvFiles(self.source, images, NUM_POINTS)
            contents = files.read(_CSV_SPLITS, _CSV_SUBSETS)
        if layout == "text" or (layout == "auto" and not contents.splits):
            folder = self.source / "WFLW_annotations"
            folder = folder if folder.is_dir() else self.source
            contents = read_lists(folder, images)
        if not contents.splits:
            csv_files = " or ".join(_CSV_SPLITS.values())
            lists = (
                f"{_FLAGGED_LIST.format('train')}, ..._test.txt or {_WHOLE_LIST} in "
                "WFLW_annotations"
            )
            forms = {
                "csv": csv_files,
                "text": lists,
                "auto": f"{csv_files}, or {lists}",
            }
            raise DataError(f"{self.source} has no WFLW: expected {forms[layout]}")
        return contents


def read_lists(folder: Path, images: Path) -> SplitItems:
    """Faces and subsets of the original text lists that are there.

    Args:
        folder: the folder WFLW_annotations.
        images: the folder WFLW_images.

    Raises:
        DataError: naming file and line, if a list is malformed.
    """
    splits: dict[str, list[LandmarkItem]] = {}
    subsets: dict[str, Mapping[str, tuple[int, ...] | None]] = {}
    for split in ("train", "test"):
        path = folder / _FLAGGED_LIST.format(split)
        if path.is_file():
            splits[split], flags = read_list(path, images, flagged=True)
    if "test" in splits:
        for column, subset in enumerate(_ATTRIBUTES):
            chosen = np.flatnonzero(flags[:, column]).tolist()
            if chosen:
                subsets[subset] = {"test": tuple(chosen)}
        return SplitItems(splits, subsets)
    tests, listed = _read_test_lists(folder, images)
    return SplitItems(splits | tests, listed)


def _read_test_lists(
    folder: Path, images: Path
) -> tuple[dict[str, list[LandmarkItem]], Subsets]:
    """The test split and its subsets, by the lists without flags that are there."""
    parts = {}
    for subset, word in _ATTRIBUTES.items():
        path = folder / _SUBSET_LIST.format(word)
        if path.is_file():
            parts[subset], _ = read_list(path, images, flagged=False)
    whole, listed = folder / _WHOLE_LIST, f"the lists in {folder}"
    if whole.is_file():
        faces, _ = read_list(whole, images, flagged=False)
        listed = str(whole)
    elif parts:
        faces = _union(parts)
    else:
        return {}, {}
    subsets = {
        subset: {"test": positions_in(faces, part, listed)}
        for subset, part in parts.items()
    }
    return {"test": faces}, subsets


def read_list(
    path: Path, images: Path, *, flagged: bool
) -> tuple[list[LandmarkItem], np.ndarray]:
    """Faces of one list: 98 x y, [rectangle, six flags,] image name.

    Args:
        path: the list.
        images: folder that the image names are relative to.
        flagged: whether lines have the rectangle and the flags.

    Returns:
        The faces, and their flags uint8 [N, 6] (zeros without flags).

    Raises:
        DataError: naming file and line, if a line is of another form.
    """
    rows = word_rows(path)
    if not rows:
        raise DataError(f"{path} lists no images")
    between = _RECTANGLE + len(_ATTRIBUTES) if flagged else 0
    names = name_faces(
        [check_image_name(words[-1], f"{path}:{line}") for line, words in rows]
    )
    faces = []
    flags = np.zeros((len(rows), len(_ATTRIBUTES)), np.uint8)
    for index, (line, words) in enumerate(rows):
        where = f"{path}:{line}"
        expected = 2 * NUM_POINTS + between + 1
        if len(words) != expected:
            raise DataError(
                f"{where} has {len(words)} words, expected {expected}: "
                f"{NUM_POINTS} points, "
                + ("4 numbers of the rectangle, 6 flags, " if flagged else "")
                + "image name"
            )
        values = [
            number(word, where, f"point {k // 2} {'xy'[k % 2]}")
            for k, word in enumerate(words[: 2 * NUM_POINTS])
        ]
        if flagged:
            flags[index] = _flags(words[-1 - len(_ATTRIBUTES) : -1], where)
        points = np.array(values).reshape(-1, 2)
        face = fully_annotated(
            image=images / words[-1],
            image_id=names[index],
            points=points,
            box=box_around(points, where),
            where=where,
        )
        faces.append(face)
    return faces, flags


def _flags(words: list[str], where: str) -> list[int]:
    for word, attribute in zip(words, _ATTRIBUTES, strict=True):
        if word not in ("0", "1"):
            raise DataError(f"{where}: flag {attribute!r} is {word!r}, expected 0 or 1")
    return [int(word) for word in words]


def _union(parts: Mapping[str, list[LandmarkItem]]) -> list[LandmarkItem]:
    """Every face once, in the order of the lists."""
    unique = {
        (face.image, face.points.tobytes()): face
        for part in parts.values()
        for face in part
    }
    names = name_faces([face.image_id.partition("#")[0] for face in unique.values()])
    return [
        dataclasses.replace(face, image_id=name)
        for face, name in zip(unique.values(), names, strict=True)
    ]
