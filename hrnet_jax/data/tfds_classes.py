"""Classification sets that TFDS prepared, read where they lie.

`imagenet2012`, `imagenette`, `cifar10` and most others with the features `image` and
`label`: their descriptions tell what `metadata.json` tells of sets prepared here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hrnet_jax.config.json_files import read_object
from hrnet_jax.data.files.text_tables import text_rows
from hrnet_jax.errors import DataError
from hrnet_jax.storage.paths import as_path

FEATURES_FILE = "features.json"
_DESCRIPTION_FILE = "dataset_info.json"
_IMAGE, _LABEL, _CLASS_LABEL = "image", "label", "ClassLabel"
# Features of texts that name an image; the first that there is.
_NAMES = ("file_name", "filename", "image/filename", "id", "image_id")
# TFDS's name of a split -> how it is called here as well.
_ALIASES = {"validation": "val"}
_READABLE = "array_record"
_MOST_CLASSES = 10**6
# Data set -> splits whose labels are not published; -1 stands there.
_UNLABELLED = {"imagenet2012": ("test",)}


def describes_classes(directory: Path) -> bool:
    """Whether a version of a set holds images with one class each, by TFDS."""
    try:
        features = _features(as_path(directory))
    except (DataError, OSError):
        return False
    return _kind(features, _IMAGE) == "Image" and _kind(features, _LABEL) == (
        _CLASS_LABEL
    )


def class_facts(directory: Path) -> dict[str, Any]:
    """Fields of `DatasetInfo` of a set for which `describes_classes` holds.

    Raises:
        DataError: naming the file that cannot be read or lacks something; for a file
            format without random access.
    """
    directory = as_path(directory)
    features = _features(directory)
    path = directory / _DESCRIPTION_FILE
    description = _read(path)
    found = str(description.get("fileFormat", "tfrecord"))
    if found != _READABLE:
        raise DataError(
            f"{path}: the records are stored as {found!r}, of which single ones cannot "
            f"be read; expected {_READABLE!r}: tfds convert_format "
            f"--dataset_version_dir={directory} --out_file_format={_READABLE} "
            "--out_dir=FOLDER"
        )
    name = str(description.get("name", directory.parent.name))
    names = _class_names(directory, features)
    stored = _counts(path, description)
    aliases = {
        alias: split
        for split, alias in _ALIASES.items()
        if split in stored and alias not in stored
    }
    counts = stored | {alias: stored[split] for alias, split in aliases.items()}
    train = "train" if "train" in counts else next(iter(counts))
    texts = [text for text in _NAMES if _kind(features, text) == "Text"]
    return {
        "name": name,
        "num_classes": 0,
        "class_names": (),
        "palette": (),
        "counts": counts,
        # Reports go through the splits that are stored.
        "label_histogram": {split: [] for split in stored},
        "default_splits": {
            "train": train,
            "eval": next((s for s in ("val", "test") if s in counts), train),
        },
        "subsets": {alias: {split: None} for alias, split in aliases.items()},
        "unlabelled_splits": tuple(
            split for split in _UNLABELLED.get(name, ()) if split in stored
        ),
        "image_class_names": names,
        "image_class_ids": names,
        "key_names": {_IMAGE: "image", _LABEL: "class"}
        | {text: "image_id" for text in texts[:1]},
    }


def _class_names(directory: Path, features: Mapping[str, Any]) -> tuple[str, ...]:
    path = directory / f"{_LABEL}.labels.txt"
    if path.is_file():
        return tuple(text for _, text in text_rows(path))
    try:
        number = int(features[_LABEL]["classLabel"]["numClasses"])
    except (KeyError, OverflowError, TypeError, ValueError):
        number = 0
    if not 0 < number <= _MOST_CLASSES:
        raise DataError(f"{path} is missing, which names the classes")
    return tuple(f"class {index}" for index in range(number))


def _counts(path: Path, description: Mapping[str, Any]) -> dict[str, int]:
    try:
        counts = {
            str(split["name"]): sum(int(length) for length in split["shardLengths"])
            for split in description["splits"]
        }
    except (KeyError, OverflowError, TypeError, ValueError):
        counts = {}
    if not counts:
        raise DataError(f"{path}: key 'splits' does not tell the images of each split")
    return counts


def _features(directory: Path) -> Mapping[str, Any]:
    path = directory / FEATURES_FILE
    try:
        features = _read(path)["featuresDict"]["features"]
    except (KeyError, TypeError):
        features = None
    if not isinstance(features, Mapping):
        raise DataError(f"{path} does not list the features of a data set")
    return features


def _kind(features: Mapping[str, Any], name: str) -> str:
    """Name of the class of a feature; empty where there is no such feature."""
    feature = features.get(name)
    if not isinstance(feature, Mapping):
        return ""
    return str(feature.get("pythonClassName", "")).rpartition(".")[2]


def _read(path: Path) -> Mapping[str, Any]:
    try:
        return read_object(path, DataError)
    except FileNotFoundError:
        raise DataError(f"{path} is missing") from None
