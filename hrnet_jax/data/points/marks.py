"""What annotated points may mean where tools differ: asked, not guessed."""

from collections.abc import Sequence

import numpy as np

from hrnet_jax.data.points.items import SquareBox, box_around
from hrnet_jax.errors import DataError

ZEROS = ("", "missing", "points")


def check_zeros(zeros: str) -> str:
    """The option `zeros`, if it is one of the known values.

    Raises:
        DataError: naming them.
    """
    if zeros not in ZEROS:
        raise DataError(f"option zeros={zeros}: expected one of missing, points")
    return zeros


def box_around_marked(points: np.ndarray, where: str, instead: str) -> SquareBox:
    """The box around the annotated points of a face that has none of its own.

    Args:
        points: float64 [N, 2], the annotated ones.
        where: file and line, for the message.
        instead: what the user can give, for the message.

    Raises:
        DataError: for a single point, or points that coincide.
    """
    if len(points) == 1:
        raise DataError(
            f"{where} has only one annotated point and no box; give {instead}, or leave "
            "out faces with fewer than two points with min_points=2"
        )
    return box_around(points, where)


def without_zeros(
    xy: np.ndarray,
    annotated: np.ndarray,
    zeros: str,
    names: Sequence[str],
    where: str,
) -> np.ndarray:
    """Which points are annotated, where some of them are at exactly 0, 0.

    Many tools write 0, 0 for a point without an annotation; it may also be a point in the
    corner of the image.

    Args:
        xy: float64 [K, 2], as in the file.
        annotated: bool [K].
        zeros: `missing` or `points`, as the user said; empty to ask.
        names: of the points.
        where: file and line, for the message.

    Returns:
        bool [K].

    Raises:
        DataError: naming the first such point and both options.
    """
    at_zero = annotated & (xy == 0).all(1)
    if zeros == "points" or not at_zero.any():
        return annotated
    if zeros == "missing":
        return annotated & ~at_zero
    raise DataError(
        f"{where}: point {names[int(np.argmax(at_zero))]!r} is at 0, 0; say "
        "zeros=missing (0, 0 stands for points that are not annotated) or zeros=points "
        "(they are in the corner of the image)"
    )
