"""Detections in exported files: their names there, and how two sets of them compare."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.detection.postprocess import Candidates, Detections, chosen_detections
from hrnet_jax.detection.settings import DetectionSettings

Found = dict[str, np.ndarray]

# Outputs of files that leave suppression to their reader begin so.
_CANDIDATES = "candidate_"
# Of a hundred detections one may be another: where scores are equal or an overlap is at
# its threshold up to rounding, suppression decides either way.
_OTHERS = 100


def named_candidates(candidates: Candidates) -> dict[str, jax.Array]:
    """`candidate_boxes`, `_scores`, `_classes` and `_valid`, as files call them.

    Scores are 0 where not valid.
    """
    named = candidates._asdict()
    del named["labels"]
    named["scores"] = jnp.where(candidates.valid, candidates.scores, 0)
    return {f"{_CANDIDATES}{key}": part for key, part in named.items()}


def are_candidates(outputs: dict[str, Any]) -> bool:
    """Whether outputs of a file are to be suppressed among."""
    return f"{_CANDIDATES}boxes" in outputs


def suppressed(
    outputs: dict[str, jax.Array],
    labels: int,
    settings: DetectionSettings,
    plus_one: float,
) -> Detections:
    """Detections of candidates that a file has left to its reader.

    Args:
        outputs: of `named_candidates`.
        labels: number of classes.
        settings: numbers.
        plus_one: see `Conventions`.
    """
    parts = {name.removeprefix(_CANDIDATES): part for name, part in outputs.items()}
    return chosen_detections(Candidates(**parts, labels=labels), settings, plus_one)


def largest_difference(expected: Found, got: Found) -> float | None:
    """How far detections are from the nearest ones of another set, at most.

    Order does not count: equal scores have none. Both ways, so none is missing in
    either set.

    Args:
        expected: `boxes`, `scores`, `classes`, `valid` and maybe `masks` of a batch, or
            the same of candidates.
        got: the others.

    Returns:
        In standard deviations of all boxes, scores or masks that are expected; infinite
        where an image has detections of a class in one set alone. None without any.
    """
    expected, got = _plain(expected), _plain(got)
    if not expected["valid"].any() and not got["valid"].any():
        return None
    keys = [key for key in ("boxes", "scores", "masks") if key in expected]
    scales: dict[str, float] = {
        key: _deviation(expected[key][expected["valid"]]) for key in keys
    }
    errors = [
        error
        for image in range(len(expected["valid"]))
        for one, other in ((expected, got), (got, expected))
        for error in _of_image(one, other, image, scales)
    ]
    return float(np.sort(errors)[: len(errors) - len(errors) // _OTHERS].max())


def _plain(found: Found) -> Found:
    return {name.removeprefix(_CANDIDATES): part for name, part in found.items()}


def _deviation(values: np.ndarray) -> float:
    """Standard deviation, but at least a tenth of the largest.

    The best of many have scores almost alike, whose deviation says nothing of rounding.
    """
    if not values.size:
        return 1e-30
    return max(float(values.std()), float(np.abs(values).max()) / 10, 1e-30)


def _of_image(
    one: Found, other: Found, image: int, scales: dict[str, float]
) -> np.ndarray:
    """Distance of every detection of an image to the nearest of the other set."""
    errors = []
    for label in np.unique(one["classes"][image][one["valid"][image]]):
        mine, theirs = (
            np.flatnonzero(found["valid"][image] & (found["classes"][image] == label))
            for found in (one, other)
        )
        if not len(theirs):
            errors.append(np.full(len(mine), np.inf))
            continue

        def pair(key: str, mine=mine, theirs=theirs) -> tuple[np.ndarray, np.ndarray]:
            return one[key][image][mine], other[key][image][theirs]

        a, b = pair("boxes")
        apart = np.abs(a[:, None] - b[None]).max(-1) / scales["boxes"]
        a, b = pair("scores")
        apart = np.maximum(apart, np.abs(a[:, None] - b[None]) / scales["scores"])
        found = apart.min(1)
        if "masks" in scales:
            a, b = pair("masks")
            masks = np.abs(a - b[apart.argmin(1)]).max((-1, -2))
            found = np.maximum(found, masks / scales["masks"])
        errors.append(found)
    return np.concatenate(errors) if errors else np.zeros(0)
