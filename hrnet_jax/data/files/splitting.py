"""Splits custom images into train, val and test."""

import hashlib
from collections.abc import Sequence

import numpy as np

from hrnet_jax.errors import DataError

SPLITS = ("train", "val", "test")


def split_by_ratio(
    keys: Sequence[str], ratios: tuple[float, ...], seed: int
) -> dict[str, list[str]]:
    """Cuts names in the order of a seeded hash; depends on names and seed only.

    Args:
        keys: different names.
        ratios: shares of train, val and test, one to three.
        seed: seed of the hash.

    Returns:
        The sorted names of each split, at least one.

    Raises:
        DataError: if the ratios are not positive with sum 1, or there are too
            few names.
    """
    good = 1 <= len(ratios) <= 3 and all(ratio > 0 for ratio in ratios)
    if not good or abs(sum(ratios) - 1) > 1e-6:
        raise DataError(
            f"ratios must be one to three positive shares with sum 1, got {ratios}"
        )
    if len(keys) < len(ratios):
        raise DataError(f"{len(keys)} images cannot fill {len(ratios)} splits")
    order = sorted(
        keys, key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest()
    )
    # Every split keeps at least one image, however few there are.
    edges = np.rint(np.cumsum(ratios) * len(keys)).astype(int)
    for position in range(len(ratios) - 1):
        least = position + 1
        most = len(keys) - (len(ratios) - least)
        edges[position] = np.clip(edges[position], least, most)
    starts = [0, *edges[:-1]]
    return {
        split: sorted(order[start:end])
        for split, start, end in zip(SPLITS, starts, edges, strict=False)
    }
