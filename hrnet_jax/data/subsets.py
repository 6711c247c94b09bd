"""Splits that are parts of stored ones, such as the hard faces of a test set."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

_SLICED = re.compile(r"([\w-]+)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?")


class SubsetSource:
    """Records of stored splits, chosen by index.

    Attributes:
        chosen: (stored split, index) of each record.
    """

    def __init__(
        self,
        stored: Mapping[str, Sequence[Any]],
        parts: Mapping[str, tuple[int, ...] | None],
        part: slice,
    ) -> None:
        """Puts the chosen records one behind the other.

        Args:
            stored: the records of the stored splits.
            parts: stored split -> indices, None for all of them.
            part: which of them, in that order.
        """
        self._stored = stored
        self.chosen = [
            (split, index)
            for split, indices in parts.items()
            for index in (range(len(stored[split])) if indices is None else indices)
        ][part]

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, position: int) -> Any:
        """The record at `position`."""
        split, index = self.chosen[position]
        return self._stored[split][index]


def find_subset(
    asked: str, subsets: Mapping[str, Any], counts: Mapping[str, int]
) -> tuple[str, slice] | None:
    """The subset that a split names, and the part of it.

    Args:
        asked: `pose`, or a part as `pose[:64]`, `pose[50%:]`.
        subsets: the known ones.
        counts: split or subset -> number of records.

    Returns:
        None if `asked` names no subset.

    Raises:
        ValueError: for a part beyond the records, as TFDS does for stored splits.
    """
    found = _SLICED.fullmatch(asked)
    if found is None or found[1] not in subsets:
        return None
    first, last = (_bound(text, counts[found[1]]) for text in found.groups()[1:])
    return found[1], slice(first, last)


def _bound(text: str | None, count: int) -> int | None:
    if text is None:
        return None
    if text.endswith("%"):
        bound = round(int(text[:-1]) / 100 * count)
    else:
        bound = int(text)
    if abs(bound) > count:
        raise ValueError(f"{text} is beyond {count} records")
    return bound
