"""Sides of a body, which joints and limbs are drawn in the colours of."""

import re

import numpy as np

MIDDLE, LEFT, RIGHT = range(3)
_WORDS = {"left": LEFT, "l": LEFT, "right": RIGHT, "r": RIGHT}


def sides_of_points(
    names: tuple[str, ...], flip_pairs: tuple[tuple[int, int], ...]
) -> np.ndarray:
    """The side of the body that each joint is on, as its name says.

    Args:
        names: of the joints, `left_eye`, `right hip`, `l_paw`.
        flip_pairs: joints that swap when mirrored. Of a pair whose names say nothing the
            first counts as left.

    Returns:
        int64 [K]: 0 middle, 1 left, 2 right.
    """
    sides = np.full(len(names), MIDDLE)
    for first, second in flip_pairs:
        sides[first], sides[second] = LEFT, RIGHT
    for index, name in enumerate(names):
        words = re.split(r"[^a-z]+", name.lower())
        said = {_WORDS[word] for word in words if word in _WORDS}
        if len(said) == 1:
            sides[index] = said.pop()
    return sides
