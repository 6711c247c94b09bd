"""What is beside prepared records: descriptions of TFDS, sizes of images."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
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


def sizes_in(path: Path, count: int) -> np.ndarray:
    """int [N, 2] of a file.

    Raises:
        DataError: if it is missing or has something else.
    """
    try:
        sizes = np.load(path)
    except FileNotFoundError:
        raise DataError(
            f"{path} is missing; prepare the data set again (--overwrite)"
        ) from None
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path} cannot be read ({error}); prepare the data set again (--overwrite)"
        ) from None
    good = isinstance(sizes, np.ndarray) and sizes.shape == (count, 2)
    if not good or sizes.dtype.kind != "i" or (sizes < 1).any():
        raise DataError(
            f"{path} does not have height and width of {count} images; prepare the "
            "data set again (--overwrite)"
        )
    return sizes


def check_files(info: tfds.core.DatasetInfo) -> None:
    """Names a shard that got lost, for example while copying the folder."""
    for split in info.splits.values():
        for path in split.filepaths:
            if not Path(path).is_file():
                raise DataError(
                    f"{path} is missing: copy it again, or prepare the data set "
                    "again (--overwrite)"
                )
