"""Images that are there twice, found by their bytes."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from hrnet_jax.data.classes.items import ClassItem, ClassSplits
from hrnet_jax.data.files.findings import Findings
from hrnet_jax.errors import DataError

Found = tuple[str, ClassItem]


def check_duplicates(
    found: ClassSplits, source: Path, keep: bool, findings: Findings
) -> None:
    """Refuses one file in two classes; counts those that are there twice in one.

    Only files of the same length are read.

    Args:
        found: all images.
        source: their folder, for the findings.
        keep: whether one image may be in two classes.
        findings: takes what is there twice.

    Raises:
        DataError: naming both files and their classes.
    """
    for same in _groups(found):
        first_split, first = same[0]
        for split, item in same[1:]:
            if item.labels != first.labels and not keep:
                classes = " and ".join(
                    repr(", ".join(found.names[label] for label in one.labels))
                    for one in (first, item)
                )
                raise DataError(
                    f"{first.place} and {item.place} are the same image in two classes, "
                    f"{classes}; leave one of them out, or say duplicates=keep"
                )
            what = "images that are there twice"
            if split != first_split:
                what = f"images of {split} that are in {first_split} as well"
            findings.count(source, what)


def _groups(found: ClassSplits) -> Iterator[list[Found]]:
    """Images of the same bytes, two or more."""
    by_length: dict[int, list[Found]] = {}
    for split, items in found.splits.items():
        for item in items:
            by_length.setdefault(item.place.length(), []).append((split, item))
    for alike in by_length.values():
        if len(alike) == 1:
            continue
        by_bytes: dict[bytes, list[Found]] = {}
        for split, item in alike:
            digest = hashlib.blake2b(item.place.read()).digest()
            by_bytes.setdefault(digest, []).append((split, item))
        yield from (same for same in by_bytes.values() if len(same) > 1)
