"""Object key point similarity of persons, and suppression of doubles by it."""

from collections.abc import Sequence

import numpy as np

# deep-high-resolution-net.pytorch, `experiments/coco/hrnet/*.yaml`: OKS_THRE, IN_VIS_THRE.
SAME_PERSON = 0.9
SURE_POINT = 0.2
# The published limit where doubles are not removed.
MOST_PERSONS = 20


def similarity(
    points: np.ndarray,
    others: np.ndarray,
    area: np.ndarray | float,
    sigmas: Sequence[float] | np.ndarray,
    *,
    counted: np.ndarray | None = None,
) -> np.ndarray:
    """How well points agree, from 0 to 1: exp(-d^2 / (2 area (2 sigma)^2)), on average.

    Source: cocoapi, `cocoeval.py`, `computeOks`; with the mean of two areas
    deep-high-resolution-net.pytorch, `lib/nms/nms.py`, `oks_iou`.

    Args:
        points: float [K, 2], x and y in pixels.
        others: float [N, K, 2], in the frame of `points`.
        area: float [N], or one number, of the persons in pixels.
        sigmas: K numbers.
        counted: bool [N, K], or [K], points to be averaged over; all if None.

    Returns:
        float64 [N]; 0 where no point is counted.
    """
    points, others = np.asarray(points, np.float64), np.asarray(others, np.float64)
    variances = (2 * np.asarray(sigmas, np.float64)) ** 2
    area = np.broadcast_to(np.asarray(area, np.float64), others.shape[:1])
    squared = ((others - points) ** 2).sum(2)
    exponents = squared / variances / (area + np.spacing(1))[:, None] / 2
    if counted is None:
        return np.exp(-exponents).mean(1)
    counted = np.broadcast_to(np.asarray(counted, bool), squared.shape)
    # Points that are not counted may be anything.
    alike = np.where(counted, np.exp(-np.where(counted, exponents, 0)), 0)
    return alike.sum(1) / np.maximum(counted.sum(1), 1)


def suppressed(
    points: np.ndarray,
    scores: np.ndarray,
    areas: np.ndarray,
    sigmas: Sequence[float] | np.ndarray,
    threshold: float = SAME_PERSON,
) -> np.ndarray:
    """Persons of an image that are left where the better of two alike is kept.

    Source: deep-high-resolution-net.pytorch, `lib/nms/nms.py`, `oks_nms`: the similarity
    of two persons is over the mean of their areas, and all points count.

    Args:
        points: float [N, K, 2].
        scores: float [N], of the persons.
        areas: float [N], in pixels.
        sigmas: K numbers.
        threshold: persons of a similarity above it are one.

    Returns:
        int64 [M], indices of those that are kept, best first; of equal scores the first
        comes first.
    """
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    areas = np.asarray(areas, np.float64)
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        mean = (areas[best] + areas[order]) / 2
        alike = similarity(points[best], points[order], mean, sigmas)
        order = order[alike <= threshold]
    return np.array(kept, np.int64)


def softly_suppressed(
    points: np.ndarray,
    scores: np.ndarray,
    areas: np.ndarray,
    sigmas: Sequence[float] | np.ndarray,
    threshold: float = SAME_PERSON,
    most: int = MOST_PERSONS,
) -> np.ndarray:
    """Persons of an image where those who are like a better one come later.

    Each time the best is taken, all that are left lose score: times
    exp(-similarity^2 / threshold). Source: `lib/nms/nms.py`, `soft_oks_nms`, with its
    Gaussian; no published configuration uses it.

    Args:
        points: float [N, K, 2]; `scores` [N], `areas` [N] and `sigmas` as of
            `suppressed`.
        threshold: the smaller, the more is lost.
        most: persons at most.

    Returns:
        int64 [M], indices in the order in which they are taken.
    """
    scores = np.array(scores, np.float64)
    areas = np.asarray(areas, np.float64)
    left = np.arange(len(scores))
    taken: list[np.integer] = []
    while len(left) and len(taken) < most:
        # Of equal scores the first comes first.
        at = scores[left].argmax()
        best, left = left[at], np.delete(left, at)
        taken.append(best)
        mean = (areas[best] + areas[left]) / 2
        alike = similarity(points[best], points[left], mean, sigmas)
        scores[left] *= np.exp(-(alike**2) / threshold)
    return np.array(taken, np.int64)


def rescored(
    box_score: np.ndarray, point_scores: np.ndarray, least: float = SURE_POINT
) -> np.ndarray:
    """Scores of persons: that of the box, times the mean of those of its sure points.

    Source: deep-high-resolution-net.pytorch, `lib/dataset/coco.py`, `evaluate`.

    Args:
        box_score: float [N].
        point_scores: float [N, K].
        least: points of this score and below are not sure.

    Returns:
        float64 [N]; 0 where no point is sure.
    """
    point_scores = np.asarray(point_scores, np.float64)
    sure = point_scores > least
    total = np.where(sure, point_scores, 0).sum(1)
    return np.asarray(box_score, np.float64) * total / np.maximum(sure.sum(1), 1)
