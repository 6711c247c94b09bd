"""A few shapes that images of many sizes are padded to.

A program is compiled for each shape, so there have to be few; what pads an image is
computed for nothing, so they have to fit.
"""

import numpy as np

# Sizes that are merged one by one; more are first rounded up to a grid.
_MOST_SINGLE = 48


def few_shapes(
    sizes: np.ndarray, most: int, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Groups sizes so that little of the shapes that hold them is padding.

    Beginning with a shape for each size, the two shapes whose common one adds the least
    area to all their members are merged, until there are few enough. Where there are at
    most so many sizes, none is padded.

    Args:
        sizes: int [N, M, 2], (height, width) of the M maps of each image, which are
            padded together.
        most: shapes at most, 1 or more.
        weights: float [M], what a pixel of each map costs; alike if None.

    Returns:
        int [N], the shape of each image; int [S, M, 2], the shapes. The order of both
        depends on the set of sizes alone.
    """
    sizes = np.asarray(sizes, np.int64)
    weights = np.ones(sizes.shape[1]) if weights is None else np.asarray(weights)
    unique, member = np.unique(
        sizes.reshape(len(sizes), -1), axis=0, return_inverse=True
    )
    member = member.reshape(-1)
    counts = np.bincount(member, minlength=len(unique))
    unique = unique.reshape(len(unique), *sizes.shape[1:])
    group = _on_a_grid(unique, max(most, _MOST_SINGLE))
    shapes = [unique[group == g].max(0) for g in range(group.max() + 1)]
    numbers = [counts[group == g].sum() for g in range(group.max() + 1)]
    while len(shapes) > most:
        first, second = _cheapest_pair(np.array(shapes), np.array(numbers), weights)
        shapes[first] = np.maximum(shapes[first], shapes[second])
        numbers[first] += numbers[second]
        del shapes[second], numbers[second]
        group[group == second] = first
        group[group > second] -= 1
    return group[member], np.array(shapes)


def _on_a_grid(unique: np.ndarray, most: int) -> np.ndarray:
    """Groups of sizes that are alike when rounded up, int [U]; the finest grid."""
    step = 1
    while True:
        rounded = -(-unique.reshape(len(unique), -1) // step)
        kinds, group = np.unique(rounded, axis=0, return_inverse=True)
        if len(kinds) <= most:
            return group.reshape(-1)
        step *= 2


def _cheapest_pair(
    shapes: np.ndarray, numbers: np.ndarray, weights: np.ndarray
) -> tuple[int, int]:
    """The two shapes [S, M, 2] that cost the least to merge; the first of equals."""
    area = (shapes.prod(-1) * weights).sum(-1)
    both = np.maximum(shapes[:, None], shapes[None])
    merged = (both.prod(-1) * weights).sum(-1)
    spent = area * numbers
    added = merged * (numbers[:, None] + numbers) - spent[:, None] - spent
    added[np.tril_indices(len(shapes))] = np.inf
    first, second = np.unravel_index(added.argmin(), added.shape)
    return int(first), int(second)
