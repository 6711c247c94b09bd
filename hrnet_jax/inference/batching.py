"""Any number of images through programs of few batch sizes."""

from collections.abc import Iterable, Iterator

import numpy as np

# Images of one call of the compiled program.
_LARGEST_PART = 8


def equal_parts(images: np.ndarray) -> Iterator[np.ndarray]:
    """Cuts [N, ...] into parts of few different sizes, so that few are compiled.

    Parts have 1, 2, 4 or 8 images; the last is filled up with black ones. Without
    images there is one part, as the names and shapes of predictions are asked for.
    """
    for start in range(0, max(1, len(images)), _LARGEST_PART):
        part = images[start : start + _LARGEST_PART]
        size = 1 << max(0, len(part) - 1).bit_length()
        missing = size - len(part)
        yield np.pad(part, ((0, missing), *[(0, 0)] * (part.ndim - 1)))


def join_parts(parts: Iterable[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Predictions of all parts, one after the other."""
    parts = list(parts)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
