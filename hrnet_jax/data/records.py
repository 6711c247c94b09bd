"""Random access to prepared records.

Needs neither TensorFlow nor the builder that wrote them: features and metadata
are read from the prepared directory.
"""

import functools
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, overload

import cv2
import numpy as np
import tensorflow_datasets as tfds

from hrnet_jax.data import record_files
from hrnet_jax.data.beside import sizes_in
from hrnet_jax.data.copies import local_copy
from hrnet_jax.data.info import (
    LABEL_KEYS,
    METADATA_FILE,
    SIZES_FILE,
    DatasetInfo,
    load_info,
)
from hrnet_jax.data.subsets import SubsetSource, find_subset
from hrnet_jax.data.tfds_classes import FEATURES_FILE, describes_classes
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.opencv import decoded
from hrnet_jax.storage.paths import as_path, is_remote

_VERSION = re.compile(r"\d+\.\d+\.\d+")
_LEFTOVER = re.compile(r"incomplete\.\w+_\d+\.\d+\.\d+")


class NotPreparedError(DataError):
    """A data set is not in the folder where it was looked for."""


class Records(Sequence):
    """The samples of one split, by index.

    A sample is a dictionary of NumPy arrays: `image` uint8 [H, W, 3] RGB,
    `label` uint8 [H, W] (255 = ignore), whatever else the data set holds, and
    `image_id` as str. Where labels are not published there is no `label`. Reading is safe from several threads; a pickled object
    opens the files again, so worker processes can use it.

    Attributes:
        name: name of the data set.
        split: the split, as asked for.
        info: facts about the whole data set.
        labelled: whether the samples have labels, all of them.
    """

    def __init__(
        self,
        name: str,
        data_dir: str | os.PathLike,
        split: str,
        cache_dir: str | os.PathLike = "",
    ) -> None:
        directory = prepared_directory(name, data_dir)
        if is_remote(directory):
            data_dir = local_copy(directory, data_dir, cache_dir)
            directory = prepared_directory(name, data_dir)
        self.name = name
        self.split = split
        self.info: DatasetInfo = load_info(directory)
        self._data_dir = str(data_dir)
        with record_files.reading_descriptions(directory):
            builder = tfds.builder_from_directory(str(directory))
            images = record_files.image_channels(builder.info.features)
            texts = record_files.text_features(builder.info.features)
            self._splits = builder.info.splits
            record_files.check_files(builder.info)
            self._source = self._open(builder, images)
        names = self.info.key_names or {key: key for key in [*images, *texts]}
        self._images = {names[key]: n for key, n in images.items() if key in names}
        self._texts = [names[key] for key in texts if key in names]
        self._decodes = True
        self.labelled = self.info.unlabelled_splits == () or not (
            {split for split, _ in self.places()} & set(self.info.unlabelled_splits)
        )

    def __len__(self) -> int:
        return len(self._source)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        """The decoded sample at `index`; negative indices count from the end.

        A slice, `records[:3]`, decodes all its samples at once.

        Raises:
            IndexError: if there is no such record.
            DataError: naming the file, if it is damaged or an image does not decode.
        """
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        sample = self._read(position)
        absent = [key for key, value in sample.items() if value is None]
        if absent:
            what = f"record {position} cannot be read"
            raise self._damaged(what, position, f"it has no {absent[0]!r}")
        for key in () if self.labelled else LABEL_KEYS:
            sample.pop(key, None)
        for key in self._texts:
            sample[key] = self._text(sample[key], key, position)
        for key, channels in self._images.items() if self._decodes else ():
            if key not in sample:
                continue
            sample[key] = self._decode(sample[key], channels, key, position)
        return {key: _writeable(value) for key, value in sample.items()}

    @property
    def directory(self) -> Path:
        """The folder of the records, in which further files of the set stand."""
        return prepared_directory(self.name, self._data_dir)

    def image_sizes(self) -> np.ndarray:
        """Height and width of every image, int32 [N, 2].

        No image is read, but of sets of labels that an earlier version prepared, whose
        images differ in size.

        Raises:
            DataError: if the set was prepared without them, or the file is damaged.
        """
        directory = self.directory
        if not self.info.max_objects and not self._has_sizes(directory):
            return self._sizes_read
        tables: dict[str, np.ndarray] = {}
        rows = []
        for split, index in self.places():
            if split not in tables:
                path = directory / SIZES_FILE.format(split=split)
                count = self._splits[split].num_examples
                tables[split] = sizes_in(path, count)
            rows.append(tables[split][index])
        return np.array(rows, np.int32).reshape(-1, 2)

    def _has_sizes(self, directory: Path) -> bool:
        splits = {split for split, _ in self.places()}
        return all((directory / SIZES_FILE.format(split=s)).is_file() for s in splits)

    @functools.cached_property
    def _sizes_read(self) -> np.ndarray:
        """What the file of sizes says, from the images."""
        splits = {split for split, _ in self.places()}
        # TFDS does not tell the sizes of its own sets.
        largest = {tuple(self.info.max_size.get(split, ())) for split in splits}
        smallest = {tuple(self.info.min_size.get(split, ())) for split in splits}
        if largest == smallest and len(largest) == 1 and () not in largest:
            return np.tile(np.array([*largest], np.int32), (len(self), 1))
        decoded_ones = self._as(decodes=True)
        return np.array([one["image"].shape[:2] for one in decoded_ones], np.int32)

    def places(self) -> list[tuple[str, int]]:
        """Stored split of every record, and its index there."""
        if isinstance(self._source, SubsetSource):
            return self._source.chosen
        parts = tfds.core.ReadInstruction.from_spec(self.split).to_absolute(
            self._splits
        )
        places = []
        for part in parts:
            # None, where a part begins or ends with the split.
            count = self._splits[part.splitname].num_examples
            end = count if part.to is None else part.to
            places += [(part.splitname, k) for k in range(part.from_ or 0, end)]
        return places

    def encoded(self) -> "Records":
        """The same records with images as the bytes of their files, not decoded.

        For those who need a part of the pixels, or none.
        """
        return self._as(decodes=False)

    def _as(self, *, decodes: bool) -> "Records":
        other = object.__new__(type(self))
        other.__dict__ |= self.__dict__ | {"_decodes": decodes}
        return other

    def __reduce__(self) -> tuple:
        return _reopened, (self.name, self._data_dir, self.split, self._decodes)

    def __repr__(self) -> str:
        return f"Records({self.name!r}, {self.split!r}, {len(self)} samples)"

    def _open(
        self, builder: tfds.core.DatasetBuilder, images: Iterable[str]
    ) -> Sequence | SubsetSource:
        decoders = {key: tfds.decode.SkipDecoding() for key in images}
        info = self.info
        try:
            subset = find_subset(self.split, info.subsets, info.counts)
            if subset is not None:
                parts = info.subsets[subset[0]]
                stored = {
                    split: builder.as_data_source(split, decoders=decoders)
                    for split in parts
                }
                return SubsetSource(stored, parts, subset[1])
            return builder.as_data_source(self.split, decoders=decoders)
        except (ValueError, KeyError):
            known = ", ".join(f"{key} ({n})" for key, n in info.counts.items())
            raise DataError(
                f"data set {self.name!r} has no split {self.split!r}; it has {known}"
            ) from None

    def _read(self, position: int) -> dict[str, Any]:
        try:
            sample = dict(self._source[position])
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 (other content can cause any)
            reason = record_files.in_short(error)
            what = f"record {position} cannot be read"
            # From None: what a worker process raises travels as text.
            raise self._damaged(what, position, reason) from None
        names = self.info.key_names
        if not names:
            return sample
        # Of another program; what has no name here is of no use.
        sample = {here: sample.get(key) for key, here in names.items()}
        return {"image_id": f"{self.split}_{position:08d}"} | sample

    def _damaged(self, what: str, position: int, reason: str) -> DataError:
        return DataError(
            f"{self._file_of(position)}: {what} ({reason}; split {self.split!r} of "
            f"{self.name!r}); copy the file again, or prepare the data set again "
            "(--overwrite)"
        )

    def _file_of(self, position: int) -> str:
        """The file that holds a record."""
        split = self.split
        if isinstance(self._source, SubsetSource):
            split, position = self._source.chosen[position]
        for part in self._splits[split].file_instructions:
            # -1 takes all that are left in the file.
            whole = part.take < 0
            count = part.examples_in_shard - part.skip if whole else part.take
            if position < count:
                return part.filename
            position -= count
        raise AssertionError("a record of no file")

    def _text(self, data: bytes, key: str, index: int) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            what = f"{key!r} of record {index} is no text"
            raise self._damaged(what, index, str(error)) from None

    def _decode(self, data: bytes, channels: int, key: str, index: int) -> np.ndarray:
        mode = cv2.IMREAD_COLOR_RGB if channels == 3 else cv2.IMREAD_GRAYSCALE
        pixels = decoded(data, mode)
        if pixels is None:
            what = f"{key!r} of record {index} does not decode"
            raise self._damaged(what, index, f"{len(data)} bytes")
        return pixels


def open_records(
    name: str,
    data_dir: str | os.PathLike,
    split: str,
    cache_dir: str | os.PathLike = "",
) -> Records:
    """Opens one split of a prepared data set.

    Args:
        name: the name it was prepared under.
        data_dir: the folder given to the preparation; what is in a bucket is copied to
            this host first, once.
        split: `train`, `val`, ..., or a subset (`DatasetInfo.subsets`), or a
            part of one in TFDS notation such as `train[:64]` or `train[80%:]`.
        cache_dir: folder for such copies; empty for `~/.cache/hrnet_jax/data`.

    Raises:
        DataError: if the data set is not prepared there, or has no such split.
    """
    return Records(name, data_dir, split, cache_dir)


def _reopened(name: str, data_dir: str, split: str, decodes: bool) -> Records:
    records = open_records(name, data_dir, split)
    return records if decodes else records.encoded()


def find_prepared(name: str, data_dir: str | os.PathLike) -> Path | None:
    """The newest complete version of a data set, or None.

    Directories of preparations that were killed carry other names, and one
    without its metadata was not finished, unless TFDS wrote it (`tfds_classes`).
    """
    root = as_path(data_dir).expanduser() / name
    if not root.is_dir():
        return None
    versions = [
        path
        for path in root.iterdir()
        if _VERSION.fullmatch(path.name)
        and (path / FEATURES_FILE).is_file()
        and ((path / METADATA_FILE).is_file() or describes_classes(path))
    ]
    newest = [tuple(map(int, path.name.split("."))) for path in versions]
    return versions[newest.index(max(newest))] if versions else None


def prepared_directory(name: str, data_dir: str | os.PathLike) -> Path:
    """Like `find_prepared`, but an absent data set is an error.

    Raises:
        NotPreparedError: with the command that prepares the data set.
    """
    if not name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise DataError(f"{name!r} is not a name of a data set")
    directory = find_prepared(name, data_dir)
    if directory is not None:
        return directory
    available = prepared_names(data_dir)
    ways = f"python scripts/prepare_data.py --dataset={name} --data_dir={data_dir}"
    if available:
        # Sets of one's own have names of their own.
        ways += f", or name one of these, as in dataset.name={available[0]}"
    raise NotPreparedError(
        f"data set {name!r} is not prepared in {data_dir} "
        f"(found there: {', '.join(available) or 'none'}); run: {ways}"
    )


def prepared_names(data_dir: str | os.PathLike) -> list[str]:
    """Names of all data sets that are prepared in a folder."""
    root = as_path(data_dir).expanduser()
    if not root.is_dir():
        return []
    names = [path.name for path in root.iterdir() if path.is_dir()]
    return sorted(name for name in names if find_prepared(name, root))


def set_aside(name: str, data_dir: str | os.PathLike, aside: Path) -> None:
    """Moves every version of a data set, and what TFDS left unfinished, to a folder.

    Touches nothing else in `data_dir/name`, which may be a folder of the user.
    """
    root = Path(data_dir).expanduser() / name
    for path in root.iterdir() if root.is_dir() else ():
        complete = _VERSION.fullmatch(path.name) and (path / FEATURES_FILE).is_file()
        if path.is_dir() and (complete or _LEFTOVER.fullmatch(path.name)):
            path.rename(aside / path.name)


def _writeable(value: Any) -> Any:
    """A copy where TFDS hands out a view of the stored bytes."""
    if isinstance(value, np.ndarray) and not value.flags.writeable:
        return value.copy()
    return value
