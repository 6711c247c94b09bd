"""Any number of images through programs of few batch sizes."""

from collections.abc import Iterable, Iterator

import numpy as np

# Images of one call of the compiled program.
_LARGEST_PART = 8


def equal_parts(batch: dict[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    """Cuts arrays [N, ...] into parts of few different sizes, so that few are compiled.

    Parts have 1, 2, 4 or 8 images; the last is filled up with black ones. Without
    images there is one part, as the names and shapes of predictions are asked for.
    """
    count = len(batch["image"])
    for start in range(0, max(1, count), _LARGEST_PART):
        end = min(count, start + _LARGEST_PART)
        size = 1 << max(0, end - start - 1).bit_length()
        missing = size - (end - start)
        yield {
            name: np.pad(value[start:end], ((0, missing), *[(0, 0)] * (value.ndim - 1)))
            for name, value in batch.items()
        }


def join_parts(parts: Iterable[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Predictions of all parts, one after the other."""
    parts = list(parts)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
