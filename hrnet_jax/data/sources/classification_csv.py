"""Own images with classes in CSV tables."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from hrnet_jax.data.classes.class_names import CLASS_FILE, chosen_classes
from hrnet_jax.data.classes.folders import cut_classes
from hrnet_jax.data.classes.items import ClassItem, ClassSplits, ImagePlace, unique_ids
from hrnet_jax.data.classes.source import ClassOptions, ClassSource
from hrnet_jax.data.classes.tables import LabelledRow, read_label_table
from hrnet_jax.data.files.file_names import is_file
from hrnet_jax.data.files.image_names import ImageFinder
from hrnet_jax.data.files.splitting import SPLITS, split_by_ratio
from hrnet_jax.data.files.text_tables import text_rows
from hrnet_jax.data.points.source import image_folder
from hrnet_jax.errors import DataError

ONE_TABLE = "labels.csv"


@dataclasses.dataclass(frozen=True)
class ClassificationCSVOptions(ClassOptions):
    """Options of the preparation.

    Attributes:
        table: one table of any name, to be cut by ratios, instead of `labels.csv`.
        images: folder of the images in the source folder; `images`, or the source
            folder itself, if empty.
        multi_label: whether an image may be of several classes, in several rows, in
            columns of 0 and 1 or in one cell, or of none.
        separator: what stands between classes in a cell, of sets with several.
        encoding: of the tables; empty for UTF-8, or what a byte-order mark says.
    """

    table: str = ""
    images: str = ""
    multi_label: bool = False
    separator: str = "|"
    encoding: str = ""


@dataclasses.dataclass(frozen=True)
class _Image:
    """An image with the names of its classes, and where that stands."""

    path: Path
    name: str
    classes: tuple[str, ...]
    where: str


class ClassificationCSV(ClassSource):
    """Own images with classes, in one CSV table a split.

    ```
    SOURCE/images/a.jpg  park/b.png ...
    SOURCE/train.csv  val.csv  test.csv     or labels.csv, cut by ratios
    SOURCE/classes.txt                      optional: names in label order
    ```

    The header names the columns: `image,label`. With `multi_label` also a column of 0
    and 1 for each class.
    """

    Options: ClassVar[type] = ClassificationCSVOptions

    def read(self) -> ClassSplits:
        """The images of all tables.

        Raises:
            DataError: naming file and line of what is wrong.
        """
        options = self.options
        tables = self._tables()
        found = {split: self._images(path) for split, path in tables.items()}
        self._check_apart(found)
        classes = self._classes(found, tables)
        labels = {name: label for label, name in enumerate(classes)}
        splits = {
            split: _items(images, labels, several=options.multi_label)
            for split, images in found.items()
        }
        if "" in splits:
            splits = self._cut(splits[""], tuple(classes))
        names = tuple(classes)
        return ClassSplits(splits, names, names, several=options.multi_label)

    def _tables(self) -> dict[str, Path]:
        """The table of each split; of no name the one to be cut."""
        if self.options.table:
            return {"": self.source / self.options.table}
        found = {
            split: self.source / f"{split}.csv"
            for split in SPLITS
            if (self.source / f"{split}.csv").is_file()
        }
        path = self.source / ONE_TABLE
        if found and path.is_file():
            raise DataError(
                f"{self.source} has {path.name} beside "
                f"{', '.join(table.name for table in found.values())}; keep "
                "either the one to be cut or those of the splits"
            )
        if not found and not path.is_file():
            raise DataError(
                f"{self.source} has none of {', '.join(f'{s}.csv' for s in SPLITS)}, "
                f"{ONE_TABLE} (the option table=FILE names another)"
            )
        return found or {"": path}

    def _images(self, path: Path) -> list[_Image]:
        """The images of a table, each once."""
        options = self.options
        mark = options.separator if options.multi_label else ""
        rows = read_label_table(path, mark, options.encoding, self.findings)
        folder = image_folder(self.source, options.images, ("images",))
        finder = ImageFinder([folder, path.parent, self.source], path, self.findings)
        images: dict[Path, _Image] = {}
        for row in rows:
            self._add(images, row, *finder.find(row.image, row.where))
        missing = [one for one in images.values() if not is_file(one.path)]
        if missing:
            raise DataError(
                f"{missing[0].where} names {missing[0].path}, not found "
                f"({len(missing)} of {len(images)})"
            )
        if not images:
            raise DataError(f"{path} has no images below its header")
        return list(images.values())

    def _add(
        self, images: dict[Path, _Image], row: LabelledRow, path: Path, name: str
    ) -> None:
        """Adds an image, or the classes of one more row on it."""
        several = self.options.multi_label
        if not several and len(row.classes) != 1:
            raise DataError(
                f"{row.where}: {row.image!r} has {len(row.classes)} classes, expected "
                "one; say multi_label=true if images may have several or none"
            )
        before = images.get(path)
        if before is None:
            images[path] = _Image(path, name, row.classes, row.where)
            return
        if not several and row.classes != before.classes:
            raise DataError(
                f"{row.where}: {row.image!r} is of class {row.classes[0]!r}, but of "
                f"{before.classes[0]!r} in {before.where}; say multi_label=true if "
                "images may have several"
            )
        if not several:
            self.findings.count(self.source, "rows that are there twice, left out")
        both = tuple(dict.fromkeys(before.classes + row.classes))
        images[path] = dataclasses.replace(before, classes=both)

    def _check_apart(self, found: Mapping[str, Sequence[_Image]]) -> None:
        seen: dict[Path, _Image] = {}
        for images in found.values():
            for one in images:
                if one.path in seen:
                    raise DataError(
                        f"{one.where}: image {one.name!r} is already in "
                        f"{seen[one.path].where}"
                    )
            seen |= {one.path: one for one in images}

    def _classes(
        self, found: Mapping[str, Sequence[_Image]], tables: Mapping[str, Path]
    ) -> list[str]:
        """Names in label order: of the option, of the file, or all sorted."""
        first: dict[str, str] = {}
        for images in found.values():
            for one in images:
                for name in one.classes:
                    first.setdefault(name, one.where)
        known = sorted(first, key=_order)
        path = self.source / CLASS_FILE
        if path.is_file():
            known = [text for _, text in text_rows(path)]
            twice = [name for k, name in enumerate(known) if name in known[:k]]
            if twice:
                raise DataError(f"{path} names the class {twice[0]!r} twice")
        known = list(chosen_classes(self.options.classes, {n: n for n in known}, path))
        unknown = [name for name in first if name not in known]
        if unknown and not self.options.classes:
            raise DataError(
                f"{first[unknown[0]]}: class {unknown[0]!r} is not in {path}"
            )
        train = next(iter(found))
        for name in [] if "" in found else known:
            if not any(name in one.classes for one in found[train]):
                what = f"class {name}, without images"
                self.findings.count(tables[train], what)
        return known

    def _cut(
        self, items: list[ClassItem], names: tuple[str, ...]
    ) -> dict[str, list[ClassItem]]:
        options = self.options
        if not options.multi_label:
            return cut_classes(items, names, options.ratios, options.seed)
        ids = sorted(item.image_id for item in items)
        split_of = {
            one: split
            for split, chosen in split_by_ratio(
                ids, options.ratios, options.seed
            ).items()
            for one in chosen
        }
        splits: dict[str, list[ClassItem]] = {}
        for item in items:
            splits.setdefault(split_of[item.image_id], []).append(item)
        return {split: splits[split] for split in SPLITS if split in splits}


def _items(
    images: Sequence[_Image], labels: Mapping[str, int], *, several: bool
) -> list[ClassItem]:
    """Items of images; those of classes that were not chosen are left out."""
    chosen = []
    for one in images:
        found = tuple(sorted(labels[name] for name in one.classes if name in labels))
        if found or several:
            chosen.append((one, found))
    names = unique_ids([one.name for one, _ in chosen])
    return [
        ClassItem(ImagePlace(one.path), name, found)
        for (one, found), name in zip(chosen, names, strict=True)
    ]


def _order(name: str) -> tuple[int, int, str]:
    """Numbers by value, and before words."""
    if name.isascii() and name.isdecimal():
        return 0, int(name), name
    return 1, 0, name
