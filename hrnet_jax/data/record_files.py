"""What TFDS writes beside prepared records: its descriptions."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import tensorflow_datasets as tfds

from hrnet_jax.data.tfds_classes import FEATURES_FILE
from hrnet_jax.errors import DataError

# Characters of a reason, which may quote whole files.
_SHOWN = 300


def in_short(error: Exception) -> str:
    """What an error says, or its kind, in one line."""
    return " ".join(str(error).split())[:_SHOWN] or type(error).__name__


@contextlib.contextmanager
def reading_descriptions(directory: Path) -> Iterator[None]:
    """Reports what TFDS raises on descriptions that somebody changed."""
    try:
        yield
    except (DataError, MemoryError):
        raise
    # Of any kind, as TFDS does not check what it reads.
    except Exception as error:
        raise DataError(
            f"{directory}: {FEATURES_FILE} or dataset_info.json cannot be read "
            f"({in_short(error)}); prepare the data set again (--overwrite)"
        ) from error


def image_channels(features: tfds.features.FeaturesDict) -> dict[str, int]:
    """Feature -> channels, of those that hold an encoded image."""
    return {
        key: feature.shape[-1]
        for key, feature in features.items()
        if isinstance(feature, tfds.features.Image)
    }


def text_features(features: tfds.features.FeaturesDict) -> list[str]:
    """Features that hold text."""
    return [
        key
        for key, feature in features.items()
        if isinstance(feature, tfds.features.Text)
    ]


def check_files(info: tfds.core.DatasetInfo) -> None:
    """Names a shard that got lost, for example while copying the folder."""
    for split in info.splits.values():
        for path in split.filepaths:
            if not Path(path).is_file():
                raise DataError(
                    f"{path} is missing: copy it again, or prepare the data set "
                    "again (--overwrite)"
                )
