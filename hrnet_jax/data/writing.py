"""Writes a data set once, as ArrayRecord files in the layout of TFDS.

`Source` is what a data set has to provide; `prepare_records` does the rest:
statistics, metadata, progress, and a directory that appears only when it is
complete.
"""

import contextlib
import dataclasses
import functools
import io
import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import tensorflow_datasets as tfds
from tqdm import tqdm

from hrnet_jax.data.beside import save_beside
from hrnet_jax.data.files.image_files import Example
from hrnet_jax.data.info import IGNORE_LABEL, METADATA_FILE, SIZES_FILE, DatasetInfo
from hrnet_jax.errors import DataError

VERSION = "1.0.0"

# Large enough for sequential reading, small enough to hold one shard in memory
# while it is written.
SHARD_BYTES = 256 * 2**20


class Source(Protocol):
    """The protocol of a data set to be prepared.

    Attributes:
        Options: dataclass of its options, each with a default.
        needs_source: whether it reads a folder of the user.
        source_decides: whether another folder means another data set.
        options: those that it was made with.
    """

    Options: ClassVar[type]
    needs_source: ClassVar[bool]
    source_decides: ClassVar[bool]
    options: Any

    def __init__(self, source: Path | None, options: Any) -> None: ...

    def info(self, name: str) -> DatasetInfo:
        """Names, palette and the like; counts and histograms are filled in."""

    def features(self) -> dict[str, tfds.features.FeatureConnector]:
        """Features of one example."""

    def splits(self) -> Mapping[str, Sequence[Any]]:
        """The items of every split, in record order; finds missing files."""

    def item_bytes(self, item: Any) -> int:
        """About how many bytes the example of `item` takes."""

    def example(self, split: str, item: Any) -> Example:
        """The example of one item."""


@runtime_checkable
class WritesBeside(Protocol):
    """A source with further files that stand beside the records."""

    def beside(self) -> Mapping[str, np.ndarray | Mapping[str, np.ndarray]]:
        """Name -> the array of an .npy file, or the arrays of an .npz file by name."""


def image_feature() -> tfds.features.Image:
    """A JPEG or PNG image."""
    return tfds.features.Image(shape=(None, None, 3))


def label_feature() -> tfds.features.Image:
    """A label PNG."""
    return tfds.features.Image(shape=(None, None, 1), encoding_format="png")


def segmentation_features() -> dict[str, tfds.features.FeatureConnector]:
    """Image, label and name."""
    return {
        "image": image_feature(),
        "label": label_feature(),
        "image_id": tfds.features.Text(),
    }


def prepare_records(
    source: Source,
    name: str,
    data_dir: Path,
    *,
    description: str,
    prepared_from: Mapping[str, Any],
    progress: bool,
) -> None:
    """Writes `data_dir/name/VERSION`, which must not exist yet.

    TFDS writes into a directory named `incomplete...` and renames it at the end.

    Args:
        source: the data set.
        name: name to store it under.
        data_dir: of this preparation alone; TFDS makes a folder `downloads` there.
        description: one line for the TFDS metadata.
        prepared_from: source and options, kept in the metadata.
        progress: whether to show a progress bar.

    Raises:
        DataError: naming the file, if the source is not as expected.
    """
    splits = {split: items for split, items in source.splits().items() if items}
    if not splits:
        raise DataError(f"{name}: no images in any split")
    facts = dataclasses.replace(source.info(name), prepared_from=dict(prepared_from))
    statistics = Statistics(facts.num_classes, len(facts.image_class_names))
    total = sum(len(items) for items in splits.values())
    with tqdm(
        total=total,
        desc=f"preparing {name}",
        unit=" images",
        mininterval=0.5,
        disable=not progress,
    ) as bar:

        def seen(split: str, example: Example) -> None:
            statistics.add(split, example)
            bar.update()

        builder = _RecordBuilder(
            name=name,
            data_dir=data_dir,
            description=description,
            source=source,
            splits=splits,
            metadata=_Metadata(
                lambda: statistics.complete(facts), statistics.sizes, source
            ),
            seen=seen,
        )
        builder.write()


class Statistics:
    """Counts images, sizes and pixels per class while examples pass by.

    Examples of a split come in record order.

    Args:
        num_classes: of pixels.
        image_classes: of whole images.
    """

    def __init__(self, num_classes: int, image_classes: int = 0) -> None:
        self._num_classes = num_classes
        self._image_classes = image_classes
        self._notes: Counter[tuple[str, str]] = Counter()
        self._splits: dict[str, dict[str, Any]] = {}

    def add(self, split: str, example: Example) -> None:
        """Counts one example."""
        now = self._splits.setdefault(
            split,
            {
                "sizes": [],
                "classes": np.zeros(self._num_classes, np.int64),
                "present": np.zeros(self._num_classes, np.int64),
                "ignored": 0,
                "images": np.zeros(self._image_classes, np.int64),
            },
        )
        now["sizes"].append(example.size)
        now["images"][list(example.classes)] += 1
        self._notes.update((split, note) for note in example.notes)
        if example.labels is not None:
            pixels = np.bincount(example.labels.ravel(), minlength=256)
            classes = pixels[: self._num_classes]
            now["classes"] += classes
            now["present"] += np.where(classes > 0, classes.sum(), 0)
            now["ignored"] += int(pixels[IGNORE_LABEL])

    def complete(self, info: DatasetInfo) -> DatasetInfo:
        """`info` with the counts filled in; counts and sizes also of subsets."""
        sizes = self._each(lambda now: np.array(now["sizes"]))
        for subset, parts in info.subsets.items():
            chosen = [
                sizes[split] if indices is None else sizes[split][list(indices)]
                for split, indices in parts.items()
            ]
            sizes[subset] = np.concatenate(chosen)
        return dataclasses.replace(
            info,
            counts={split: len(each) for split, each in sizes.items()},
            image_class_counts=self._image_class_counts(),
            findings=info.findings
            + tuple((*what, number) for what, number in self._notes.items()),
            label_histogram=self._each(lambda now: now["classes"].tolist()),
            ignored_pixels=self._each(lambda now: now["ignored"]),
            pixels_where_present=self._each(lambda now: now["present"].tolist()),
            max_size={
                split: tuple(each.max(0).tolist()) for split, each in sizes.items()
            },
            min_size={
                split: tuple(each.min(0).tolist()) for split, each in sizes.items()
            },
        )

    def _image_class_counts(self) -> dict[str, list[int]]:
        counts = self._each(lambda now: now["images"].tolist())
        return counts if any(map(any, counts.values())) else {}

    def sizes(self) -> dict[str, np.ndarray]:
        """Split -> int32 [N, 2], height and width of each image."""
        return self._each(lambda now: np.array(now["sizes"], np.int32))

    def _each(self, read: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        return {split: read(now) for split, now in self._splits.items()}


class _Metadata(tfds.core.Metadata):
    """Saves the facts when TFDS has written the last record."""

    def __init__(
        self,
        facts: Callable[[], DatasetInfo],
        sizes: Callable[[], Mapping[str, np.ndarray]],
        source: Source,
    ) -> None:
        self._facts = facts
        self._sizes = sizes
        self._source = source

    def save_metadata(self, data_dir: Any) -> None:
        facts = self._facts()
        # Batches are put together by the shape of their images.
        for split, sizes in self._sizes().items() if _whole_images(facts) else ():
            np.save(Path(data_dir, SIZES_FILE.format(split=split)), sizes)
        if isinstance(self._source, WritesBeside):
            for name, values in self._source.beside().items():
                save_beside(Path(data_dir, name), values)
        text = json.dumps(facts.to_json(), indent=1)
        Path(data_dir, METADATA_FILE).write_text(text)

    def load_metadata(self, data_dir: Any) -> None:
        """Nothing to do: reading goes through `info.load_info`."""


def _whole_images(facts: DatasetInfo) -> bool:
    """Whether a record is an image, and not the one thing shown in it."""
    return bool(facts.max_objects or facts.num_classes or facts.persons)


class _RecordBuilder(  # type: ignore[call-arg]
    tfds.core.ShardBasedBuilder, skip_registration=True
):
    """The one TFDS builder: takes its examples from a `Source`.

    A `ShardBasedBuilder` keeps the order of the source and streams; the usual
    generator based one would hold an ordered split in memory and needs
    TensorFlow above 1 GB.
    """

    VERSION = tfds.core.Version(VERSION)

    def __init__(
        self,
        *,
        name: str,
        data_dir: Path,
        description: str,
        source: Source,
        splits: Mapping[str, Sequence[Any]],
        metadata: _Metadata,
        seen: Callable[[str, Example], None],
    ) -> None:
        self.name = name
        self._description = description
        self._source = source
        self._splits = splits
        self._metadata = metadata
        self._seen = seen
        super().__init__(data_dir=data_dir, file_format="array_record")

    def write(self) -> None:
        """Prepares the records; TFDS announcements are replaced by ours."""
        with contextlib.redirect_stdout(io.StringIO()):
            unused = Path(self.data_dir).parents[1] / "downloads"
            self.download_and_prepare(download_dir=unused)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=self._description,
            features=tfds.features.FeaturesDict(self._source.features()),
            metadata=self._metadata,
            disable_shuffling=True,
        )

    def _shard_iterators_per_split(self, dl_manager: Any) -> dict[str, list]:
        del dl_manager
        return {
            split: [
                functools.partial(self._examples, split, items, shard)
                for shard in self._shards(items)
            ]
            for split, items in self._splits.items()
        }

    def _shards(self, items: Sequence[Any]) -> list[range]:
        """Cuts a split into runs of equal length, about SHARD_BYTES each."""
        total = sum(self._source.item_bytes(item) for item in items)
        number = min(max(1, math.ceil(total / SHARD_BYTES)), len(items))
        edges = [shard * len(items) // number for shard in range(number + 1)]
        return [range(first, end) for first, end in itertools.pairwise(edges)]

    def _examples(self, split: str, items: Sequence[Any], shard: range) -> Iterator:
        for index in shard:
            example = self._source.example(split, items[index])
            self._seen(split, example)
            yield index, example.stored
