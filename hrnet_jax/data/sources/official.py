"""Base of published segmentation sets, read in the layout that their archives have."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from hrnet_jax.data.class_tables import ClassTable
from hrnet_jax.data.files.file_names import is_file
from hrnet_jax.data.files.findings import Finding
from hrnet_jax.data.files.listing import contents_of, listed
from hrnet_jax.data.files.text_tables import word_rows
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.data.sources.image_label_pairs import FilePair, FileSource
from hrnet_jax.errors import DataError


@dataclasses.dataclass(frozen=True)
class Origin:
    """What is known of a published set.

    Attributes:
        layout: of the source folder, in words, for messages.
        place: where its makers publish it.
        counts: split -> number of images.
        unlabelled: splits whose labels are not published.
    """

    layout: str
    place: str
    counts: Mapping[str, int]
    unlabelled: tuple[str, ...] = ("test",)


@dataclasses.dataclass(frozen=True)
class OfficialOptions:
    """Options of the preparation.

    Attributes:
        splits: the splits to prepare; those without published labels have images
            alone, and can be predicted.
    """

    splits: tuple[str, ...] = ("train", "val")


class OfficialSource(FileSource):
    """Base of published sets of images and label files.

    A subclass gives the attributes, `find`, and the table and meaning of `FileSource`.

    Attributes:
        origin: what is known of the set.
        classes: their names and colours, in the order of the labels.
        flip_pairs: labels that swap when an image is mirrored.
        subsets: subset -> the stored splits that it joins.
    """

    Options: ClassVar[type] = OfficialOptions
    origin: ClassVar[Origin]
    classes: ClassVar[ClassTable]
    flip_pairs: ClassVar[tuple[tuple[int, int], ...]] = ()
    subsets: ClassVar[Mapping[str, tuple[str, ...]]] = {"trainval": ("train", "val")}

    def __init__(self, source: Path, options: Any) -> None:
        """Checks the names of the splits.

        Raises:
            DataError: for a split that the set does not have, or none at all.
        """
        super().__init__(source, options)
        known = self.origin.counts
        for split in options.splits or ("",):
            if split not in known:
                raise DataError(
                    f"option splits={','.join(options.splits)}: there is no split "
                    f"{split!r}; expected some of {', '.join(known)}"
                )
        self._found: dict[str, list[FilePair]] | None = None

    def find(self, split: str) -> list[FilePair]:
        """The items of one split, in record order.

        Raises:
            DataError: naming what is missing.
        """
        raise NotImplementedError

    def splits(self) -> dict[str, list[FilePair]]:
        """The items of the chosen splits.

        Raises:
            DataError: naming what is missing, what is there, and where the set is.
        """
        if self._found is None:
            self._found = {split: self.find(split) for split in self.options.splits}
        return self._found

    def info(self, name: str) -> DatasetInfo:
        """Classes, subsets, and splits that are smaller or larger than published."""
        stored = self.options.splits
        without = tuple(s for s in stored if s in self.origin.unlabelled)
        labelled = [split for split in stored if split not in without] or list(stored)
        return DatasetInfo(
            name=name,
            num_classes=len(self.classes),
            class_names=tuple(self.classes),
            palette=tuple(self.classes.values()),
            flip_pairs=self.flip_pairs,
            default_splits={
                "train": labelled[0],
                "eval": "val" if "val" in stored else labelled[-1],
            },
            subsets={
                subset: dict.fromkeys(parts)
                for subset, parts in self.subsets.items()
                if set(parts) <= set(stored)
            },
            unlabelled_splits=without,
            findings=self._incomplete(),
        )

    def _incomplete(self) -> tuple[Finding, ...]:
        return tuple(
            (split, f"images, of {self.origin.counts[split]} published", len(pairs))
            for split, pairs in (self._found or {}).items()
            if len(pairs) != self.origin.counts[split]
        )

    def folder(self, *names: str) -> Path:
        """The first of these folders that is there.

        Raises:
            DataError: saying what was looked for, what is there, and where the set is.
        """
        return self._first(names, Path.is_dir)

    def file(self, *names: str) -> Path:
        """The first of these files that is there; see `folder`."""
        return self._first(names, Path.is_file)

    def _first(self, names: Sequence[str], there: Callable[[Path], bool]) -> Path:
        for name in names:
            if there(self.source / name):
                return self.source / name
        raise self.missing(names, there)

    def missing(
        self, names: Sequence[str], there: Callable[[Path], bool] = Path.exists
    ) -> DataError:
        """The error that none of these is in the source folder."""
        others = f" (nor is {', '.join(names[1:])})" if names[1:] else ""
        near = [self.source.parent, *filter(Path.is_dir, listed(self.source))]
        hint = next(
            (
                f" Is it --source={root}?"
                for root in near
                if any(there(root / name) for name in names)
            ),
            "",
        )
        return DataError(
            f"{self.source / names[0]} is missing{others}; expected "
            f"{self.origin.layout}; {self.source} holds {contents_of(self.source)}.{hint} "
            f"The set is at {self.origin.place}"
        )

    def hrnet_pairs(self, split: str) -> list[FilePair] | None:
        """All of `SPLIT/image` and `SPLIT/label`, as the lists of HRNet name them.

        None where there are no such folders.
        """
        if not (self.source / split / "image").is_dir():
            return None
        return self.paired(
            NamedFiles(self.folder(f"{split}/image"), ".jpg"),
            NamedFiles(self.folder(f"{split}/label"), ".png"),
        )

    def paired(self, images: "NamedFiles", labels: "NamedFiles") -> list[FilePair]:
        """Pairs of all files of two folders, sorted by name.

        Raises:
            DataError: naming the first image without a label file, or the reverse.
        """
        for have, lack, what in (
            (images, labels, "label file"),
            (labels, images, "image"),
        ):
            alone = sorted(have.paths.keys() - lack.paths.keys())
            if alone:
                raise DataError(
                    f"{have.paths[alone[0]]} has no {what} {lack.named(alone[0])} "
                    f"({len(alone)} of {len(have.paths)} files)"
                )
        return [
            FilePair(images.paths[key], labels.paths[key], Path(key).name)
            for key in sorted(images.paths)
        ]

    def listed_pairs(
        self, path: Path, images: tuple[Path, str], labels: tuple[Path, str] | None
    ) -> list[FilePair]:
        """Pairs of the names in a list, one a line, in its order.

        Args:
            path: the list; what follows a name in its line is not read.
            images: their folder and what their names end with, as `.jpg`.
            labels: the same of the label files, None where there are none.

        Raises:
            DataError: naming the line of a file that is not there, or of a name that
                came before.
        """
        pairs, absent = [], []
        seen: dict[str, int] = {}
        for number, words in word_rows(path):
            name = words[0].removesuffix(images[1])
            where = f"{path}:{number}"
            if seen.setdefault(name, number) != number:
                raise DataError(f"{where} names {name!r}, as line {seen[name]} does")
            image = images[0] / f"{name}{images[1]}"
            label = labels[0] / f"{name}{labels[1]}" if labels else None
            absent += [(where, name, p) for p in (image, label) if p and not is_file(p)]
            pairs.append(FilePair(image, label, name))
        if absent:
            where, name, file = absent[0]
            raise DataError(
                f"{where} names {name!r}, but {file} is not there ({len(absent)} files "
                f"of {len(pairs)} lines); the set is at {self.origin.place}"
            )
        if not pairs:
            raise DataError(f"{path} lists no images")
        return pairs


class NamedFiles:
    """Files of a folder by what their names have in front of an ending.

    Attributes:
        paths: `aachen/aachen_0` -> its file `aachen/aachen_0_leftImg8bit.png`.
    """

    def __init__(self, folder: Path, ending: str, depth: str = "") -> None:
        """Lists the folder.

        Args:
            folder: where the files are.
            ending: of their names.
            depth: folders between, as `*/`.

        Raises:
            DataError: if there are none.
        """
        self._folder = folder
        self._ending = ending
        self.paths = {
            path.relative_to(folder).as_posix().removesuffix(ending): path
            for path in listed(folder, f"{depth}*{ending}")
        }
        if not self.paths:
            raise DataError(
                f"{folder} has no files {depth.replace('*', 'CITY')}*{ending}; it holds "
                f"{contents_of(folder)}"
            )

    def named(self, key: str) -> Path:
        """The file of a key, there or not."""
        return self._folder / f"{key}{self._ending}"

    def alone(self) -> list[FilePair]:
        """Images without labels, sorted by name."""
        return [FilePair(self.paths[k], None, Path(k).name) for k in sorted(self.paths)]


def check_disjoint(splits: Mapping[str, Sequence[FilePair]]) -> None:
    """Refuses an image in two splits: one would be evaluated on what it was taught.

    Raises:
        DataError: naming it.
    """
    seen: dict[Path, str] = {}
    for split, pairs in splits.items():
        for pair in pairs:
            if seen.setdefault(pair.image, split) != split:
                raise DataError(
                    f"image {pair.image} is in split {split!r} and in "
                    f"{seen[pair.image]!r}; expected it in one of them"
                )
