"""Batches whose samples belong together, such as images of one orientation."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from hrnet_jax.errors import DataError


class Records(Protocol):
    """Random access to decoded samples; picklable if workers are used."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, Any]: ...


class SizedRecords(Records, Protocol):
    """Records that know the sizes of their images without reading them."""

    def image_sizes(self) -> np.ndarray:
        """int [N, 2], (height, width)."""
        ...


def steps_per_epoch(groups: Sequence[int] | np.ndarray, batch_size: int) -> int:
    """Batches in which every record is at least once, each of one group."""
    counts = np.unique(np.asarray(groups), return_counts=True)[1]
    return int(np.sum(-(-counts // batch_size)))


def train_order(
    groups: Sequence[int] | np.ndarray, batch_size: int, seed: int, epoch: int
) -> np.ndarray:
    """Records of one epoch of training, a function of the arguments alone.

    The records of each group in random order, cut into batches, of which the last is
    filled with the group's first ones; then the batches in random order.

    Args:
        groups: int [N], the group of each record.
        batch_size: B.
        seed: of the run.
        epoch: from 0.

    Returns:
        int [steps_per_epoch, B], indices of records; each is there at least once.
    """
    groups = np.asarray(groups)
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(groups))
    batches = []
    for group in np.unique(groups):
        members = order[groups[order] == group]
        count = -(-len(members) // batch_size)
        batches.append(np.resize(members, count * batch_size).reshape(-1, batch_size))
    return rng.permutation(np.concatenate(batches))


def eval_order(
    groups: Sequence[int] | np.ndarray, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Every record once, group after group, each filled up to whole batches.

    Args:
        groups: int [N], the group of each record.
        batch_size: B.

    Returns:
        int [steps_per_epoch * B], indices of records, and bool of the same shape, false
        where the last record of a group stands for none.
    """
    groups = np.asarray(groups)
    indices, valid = [], []
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        filled = -len(members) % batch_size
        indices.append(np.concatenate([members, np.repeat(members[-1], filled)]))
        valid.append(np.arange(len(indices[-1])) < len(members))
    return np.concatenate(indices), np.concatenate(valid)


def check_groups(groups: Sequence[int] | np.ndarray, records: Records) -> None:
    """Checks that every record has a group.

    Raises:
        DataError: with both numbers.
    """
    if len(groups) != len(records):
        raise DataError(f"{len(groups)} groups for {len(records)} records")


class GroupedRecords:
    """An endless stream of training records, in the order of `train_order`.

    Args:
        records: where samples come from.
        groups: int [N], the group of each.
        batch_size: samples per global batch.
        seed: of the order.
        most: samples of all epochs, at most.
    """

    def __init__(
        self,
        records: Records,
        groups: Sequence[int] | np.ndarray,
        batch_size: int,
        seed: int,
        most: int,
    ) -> None:
        self._records = records
        self._groups = np.asarray(groups)
        self._batch_size = batch_size
        self._seed = seed
        self._of_epoch = steps_per_epoch(groups, batch_size) * batch_size
        self._length = most // self._of_epoch * self._of_epoch
        self._order: tuple[int, np.ndarray] = (-1, np.zeros(0, int))

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> dict[str, Any]:
        epoch, place = divmod(index, self._of_epoch)
        # Threads may read two epochs at a time, so what is looked up is held.
        known, order = self._order
        if known != epoch:
            order = train_order(self._groups, self._batch_size, self._seed, epoch)
            order = order.ravel()
            self._order = epoch, order
        return self._records[int(order[place])]


class GroupedEvaluation:
    """Every record once, in the order of `eval_order`.

    Samples have `example_valid`, and `record`, their index among the records.
    """

    def __init__(
        self,
        records: Records,
        transform: Any,
        groups: Sequence[int] | np.ndarray,
        batch_size: int,
    ) -> None:
        self._records = records
        self._transform = transform
        self._order, self._valid = eval_order(groups, batch_size)

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: int) -> dict[str, Any]:
        record = int(self._order[index])
        sample = self._transform(self._records[record])
        return {
            **sample,
            "record": np.int32(record),
            "example_valid": np.bool_(self._valid[index]),
        }
