"""Training records drawn by the rare classes that they hold."""

import concurrent.futures
import dataclasses
from typing import Any

import numpy as np

from hrnet_jax.data.stream.grouping import Records
from hrnet_jax.errors import DataError


@dataclasses.dataclass(frozen=True)
class Likeliness:
    """How likely classes are drawn, and which records hold them.

    Attributes:
        classes: float64 [K], probability of each class; 0 where no record holds it.
        holders: for each class, int [n], the records that do.
    """

    classes: np.ndarray
    holders: tuple[np.ndarray, ...]


def likeliness_of(pixels: np.ndarray, temperature: float) -> Likeliness:
    """Classes by softmax((1 - f(c)) / temperature), f(c) their share of all pixels.

    Source: rare class sampling of Hoyer et al., "DAFormer", CVPR 2022, equation 10,
    with 0.01 for Cityscapes. Smaller temperatures prefer rare classes more; classes
    that are not there are left out.

    Args:
        pixels: int [N, K], of each class in each record.
        temperature: positive.

    Raises:
        DataError: if no record holds any class.
    """
    totals = pixels.sum(0).astype(np.float64)
    if not totals.any():
        raise DataError("no record holds a pixel of any class to be drawn by")
    exponents = (1 - totals / totals.sum()) / temperature
    exponents = np.where(totals > 0, exponents, -np.inf)
    likely = np.exp(exponents - exponents.max())
    holders = tuple(np.flatnonzero(column) for column in pixels.T)
    return Likeliness(likely / likely.sum(), holders)


def count_pixels(records: Records, num_classes: int, threads: int) -> np.ndarray:
    """Pixels of each class in each record, int64 [N, K]; reads all of them once.

    Args:
        records: with `label` uint8 [H, W].
        num_classes: K; labels from there on count nowhere.
        threads: that read.

    Raises:
        DataError: if the records have no labels.
    """

    def count(index: int) -> np.ndarray:
        sample = records[index]
        if "label" not in sample:
            raise DataError(
                "records are to be drawn by the classes of their pixels, but have no "
                f"'label'; they have {', '.join(sample)}"
            )
        counts = np.bincount(sample["label"].ravel(), minlength=256)
        return counts[:num_classes]

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return np.stack(list(pool.map(count, range(len(records)))))


class DrawnRecords:
    """An endless stream of records: a class is drawn, then a record that holds it.

    Record g of the stream is a function of the seed and g alone.

    Args:
        records: where samples come from.
        likeliness: of classes and records.
        seed: of the draws.
        most: samples of the stream.
    """

    def __init__(
        self, records: Records, likeliness: Likeliness, seed: int, most: int
    ) -> None:
        self._records = records
        self._likeliness = likeliness
        self._seed = seed
        self._length = most

    def __len__(self) -> int:
        return self._length

    def index(self, position: int) -> int:
        """Which record comes at a position."""
        rng = np.random.default_rng([self._seed, position])
        likely = self._likeliness
        drawn = rng.choice(len(likely.classes), p=likely.classes)
        return int(rng.choice(likely.holders[drawn]))

    def __getitem__(self, position: int) -> dict[str, Any]:
        return self._records[self.index(position)]
