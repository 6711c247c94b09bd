"""Share of correct key points: of head sizes (PCKh), torsos or boxes."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from hrnet_jax.data.info import DatasetInfo

# What is reported of head sizes, and of other lengths. 0.11 is what the published code
# prints as "Mean@0.1": row 11 of a table from 0 on in steps of 0.01.
HEAD_THRESHOLDS = (0.5, 0.1, 0.11)
THRESHOLDS = (0.2, 0.1, 0.05)


@dataclasses.dataclass(frozen=True, eq=False)
class Correct:
    """Correct points of a data set.

    Attributes:
        correct: int64 [K], persons whose point is correct.
        count: int64 [K], persons that have the point.
    """

    correct: np.ndarray
    count: np.ndarray

    def percent(self) -> np.ndarray:
        """float64 [K]; NaN for points that nobody has."""
        with np.errstate(invalid="ignore"):
            return 100 * self.correct / self.count

    def mean(self, left_out: Sequence[int] = ()) -> float:
        """Percent of all points that there are; those of some indices do not count.

        Source: deep-high-resolution-net.pytorch, `lib/dataset/mpii.py`, `evaluate`: the
        mean of the points, weighted by how many persons have them.
        """
        counts = np.setdiff1d(np.arange(len(self.count)), left_out)
        total = self.count[counts].sum()
        return float(100 * self.correct[counts].sum() / total) if total else np.nan


def correct_points(errors: np.ndarray, threshold: float) -> Correct:
    """Counts points whose error is not above a threshold.

    Args:
        errors: float [N, K], distances over the length of each person; NaN where a
            point is not annotated.
        threshold: a share of that length.
    """
    known = np.isfinite(errors)
    within = known & (np.where(known, errors, np.inf) <= threshold)
    return Correct(within.sum(0).astype(np.int64), known.sum(0).astype(np.int64))


def parts(info: DatasetInfo) -> dict[str, tuple[int, ...]]:
    """Points by the part of the body: both of a flip pair together, others alone.

    Returns:
        Name without the side, such as `shoulder` -> indices; without those that the
        benchmark leaves out.
    """
    partner = dict(info.point_flip_pairs)
    seconds = set(partner.values())
    found: dict[str, tuple[int, ...]] = {}
    for index, name in enumerate(info.point_names):
        if index in info.uncounted_points or index in seconds:
            continue
        both = (index, partner[index]) if index in partner else (index,)
        plain = _without_side(name) if index in partner else name
        # Two parts may have one name without their sides.
        found[plain if plain not in found else name] = both
    return found


def _without_side(name: str) -> str:
    for side in ("left_", "right_", "left ", "right "):
        if name.startswith(side):
            return name.removeprefix(side)
    return name


def part_percent(found: Correct, indices: Sequence[int]) -> float | None:
    """Percent of a part: the mean of its points; None where nobody has one.

    Source: deep-high-resolution-net.pytorch, `lib/dataset/mpii.py`, which halves the sum
    of left and right.
    """
    values = found.percent()[list(indices)]
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None
