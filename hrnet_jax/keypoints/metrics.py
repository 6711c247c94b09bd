"""Landmark metrics: normalised mean error, failure rate, area under the curve.

Errors are fractions of the normaliser here; `LandmarkEvaluator` reports percent
and says so in the names of its metrics.
"""

import pathlib
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np

from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.keypoints.gathering import gathered

# Two groups of point indices; the normaliser is the distance of their centroids.
Groups = tuple[Sequence[int], Sequence[int]]

# Maps points [B, K, 2] in pixels of crops, whose centers [B, 2] and scales [B]
# follow, into the frame of the annotation.
ToImage = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

# The normaliser that every data set has: the size of the face box.
BOX = "box"

# Errors above which a face counts as a failure: Table 24 of the HRNet paper (TPAMI).
THRESHOLDS = (0.08, 0.10)


def nme(
    predicted: np.ndarray,
    target: np.ndarray,
    normalizer: np.ndarray,
    *,
    annotated: np.ndarray | None = None,
) -> np.ndarray:
    """Normalised mean error: the mean distance of the points over the normaliser.

    Source: HRNet-Facial-Landmark-Detection, `compute_nme` in
    `lib/core/evaluation.py`, which knows no missing points.

    Args:
        predicted: float [N, K, 2], x and y in pixels.
        target: float [N, K, 2], in the frame of `predicted`.
        normalizer: float [N], in pixels, positive.
        annotated: bool or 0/1 [N, K]; points without annotation are not counted.
            None counts all points.

    Returns:
        float64 [N], fractions: 0.03 is what papers print as 3 (%).

    Raises:
        ValueError: for shapes that do not fit, which would broadcast silently.
        DataError: for a point or normaliser that is not finite, a normaliser that
            is not positive, and a face without annotated points.
    """
    predicted, target = _points(predicted, "predicted"), _points(target, "target")
    if predicted.shape != target.shape:
        raise ValueError(
            f"predicted points of shape {predicted.shape}, target {target.shape}; "
            "expected the same"
        )
    faces = len(target)
    normalizer = np.asarray(normalizer, np.float64)
    if normalizer.shape != (faces,):
        raise ValueError(
            f"normalizer of shape {normalizer.shape}, expected one for each of "
            f"{faces} faces"
        )
    counted = _mask(annotated, target)
    bad = ~np.isfinite(normalizer) | (normalizer <= 0)
    if bad.any():
        index = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"face {index}: normalizer {normalizer[index]:g}; "
            "expected a positive number of pixels"
        )
    _check_finite(predicted, counted, "predicted")
    _check_finite(target, counted, "target")
    count = counted.sum(1)
    if (count == 0).any():
        index = int(np.flatnonzero(count == 0)[0])
        raise DataError(f"face {index}: no annotated point to compare with")
    distance = _distances(predicted, target, counted)
    return distance.sum(1) / (count * normalizer)


def _distances(
    predicted: np.ndarray, target: np.ndarray, counted: np.ndarray
) -> np.ndarray:
    """float64 [N, K], in pixels; 0 where a point does not count."""
    # Not by multiplication: points without annotation may be NaN.
    difference = np.where(counted[..., None], predicted - target, 0)
    return np.linalg.norm(difference, axis=2)


def normalizer_from_points(
    points: np.ndarray, groups: Groups, *, annotated: np.ndarray | None = None
) -> np.ndarray:
    """Distance between the centroids of two groups of points.

    For 300W's inter-ocular distance the groups are one outer eye corner each, for
    its inter-pupil distance the six points of one eye each.

    Args:
        points: float [N, K, 2].
        groups: two groups of indices below K.
        annotated: bool or 0/1 [N, K]; all points of the groups must be. None says
            that all are.

    Returns:
        float64 [N], in pixels, positive.

    Raises:
        ValueError: for shapes or indices that do not fit.
        DataError: if a point of the groups is not annotated or not finite, or the
            centroids coincide.
    """
    points = _points(points, "points")
    first, second = (list(group) for group in groups)
    used = first + second
    count = points.shape[1]
    if not first or not second or any(not 0 <= index < count for index in used):
        raise ValueError(
            f"groups {first} and {second} for {count} points; expected indices "
            f"0..{count - 1} in both"
        )
    known = _mask(annotated, points)
    for face, point in np.argwhere(~known[:, used])[:1]:
        raise DataError(
            f"face {face}: point {used[point]} is not annotated, which the "
            "normalizer needs"
        )
    _check_finite(points[:, used], known[:, used], "normalizer's")
    distance = np.linalg.norm(
        points[:, first].mean(1) - points[:, second].mean(1), axis=1
    )
    if (distance == 0).any():
        raise DataError(
            f"face {int(np.argmin(distance))}: the points of the normalizer coincide, "
            "so its distance is 0"
        )
    return distance


def failure_rate(nme: np.ndarray, threshold: float) -> float:
    """Share of faces whose error is strictly greater than the threshold.

    Args:
        nme: float [N], fractions.
        threshold: a fraction, 0.08 or 0.10 in the literature.

    Returns:
        0 to 1.

    Raises:
        ValueError: for no faces, or a threshold that is not positive.
        DataError: for an error that is not finite.
    """
    return float(np.mean(_errors(nme, threshold) > threshold))


def auc(nme: np.ndarray, threshold: float) -> float:
    """Area under the cumulative error distribution up to a threshold.

    The exact integral of the empirical step function from 0 to the threshold, over
    the threshold: each face brings the part of that way on which it counts as
    solved, mean(max(0, 1 - nme / threshold)). Implementations that sample the
    curve differ by up to one sample.

    Args:
        nme: float [N], fractions.
        threshold: a fraction, 0.08 or 0.10 in the literature.

    Returns:
        0 to 1; 1 if all errors are 0.

    Raises:
        ValueError: for no faces, or a threshold that is not positive.
        DataError: for an error that is not finite.
    """
    return float(np.mean(np.maximum(0, 1 - _errors(nme, threshold) / threshold)))


class LandmarkEvaluator:
    """Gathers the errors of every face of a data set.

    Args:
        normalizers: name -> two groups of points; `box`, the size of the face
            box, always exists as well.
        default: name of the normaliser of the failure rates and areas.
        to_image: maps predictions from the crops to the annotation.
        point_names: for a report; numbers where there are none.

    Raises:
        ConfigError: if the default is none of the normalisers.
    """

    def __init__(
        self,
        normalizers: Mapping[str, Groups],
        default: str,
        to_image: ToImage,
        point_names: Sequence[str] = (),
    ):
        if BOX in normalizers:
            raise ConfigError(
                f"normalizer {BOX!r} is the size of the face box and cannot be made "
                "of points; expected another name"
            )
        if default not in {*normalizers, BOX}:
            raise ConfigError(
                f"unknown normalizer {default!r}; expected one of "
                f"{', '.join([*normalizers, BOX])}"
            )
        self.default = default
        self._groups = dict(normalizers)
        self._to_image = to_image
        self._point_names = point_names
        self._image_ids: list[str] = []
        # Of each face the error of each point; NaN where it is not annotated.
        self._of_points: list[np.ndarray] = []
        self._errors: dict[str, list[np.ndarray]] = {
            name: [] for name in (*normalizers, BOX)
        }

    def update(self, batch: dict, predictions: dict[str, jax.Array]) -> None:
        """Takes one batch; of several processes each learns of all faces.

        Args:
            batch: `image_points` float [B, K, 2], `annotated` 0/1 [B, K],
                `box_size` float [B], `center` float [B, 2] and `scale` float [B]
                of the crops, `example_valid` bool [B]; `image_id`, the names of
                this process's examples.
            predictions: `points` float [B, K, 2], in pixels of the crops.

        Raises:
            DataError: naming the image, for an annotation without a normaliser or
                without points, and for predictions that are not finite.
        """
        keys = "image_points", "annotated", "box_size", "center", "scale"
        names, rows, found = gathered(batch, predictions, keys, ("points",))
        target, annotated, box_size, center, scale = (rows[key] for key in keys)
        points = found["points"]
        predicted = self._to_image(
            *(np.asarray(x, np.float64) for x in (points, center, scale))
        )
        # One by one, so that an error names the image.
        for index, name in enumerate(names):
            one = slice(index, index + 1)
            try:
                for key in self._errors:
                    size = box_size[one]
                    if key != BOX:
                        size = normalizer_from_points(
                            target[one], self._groups[key], annotated=annotated[one]
                        )
                    error = nme(
                        predicted[one], target[one], size, annotated=annotated[one]
                    )
                    self._errors[key].append(error)
                    if key == self.default:
                        faces = predicted[one], target[one], annotated[one] > 0
                        parts = _distances(*faces)[0] / size
                        self._of_points.append(np.where(faces[2][0], parts, np.nan))
            except DataError as error:
                reason = str(error).removeprefix("face 0: ")
                raise DataError(f"image {name}, normalizer {key}: {reason}") from None
        self._image_ids += names

    def compute(self) -> dict[str, float]:
        """Means over all faces so far, in percent.

        Returns:
            See `summarize`.

        Raises:
            DataError: if there was no face.
        """
        if not self._image_ids:
            raise DataError("no face was evaluated; expected at least one example")
        errors = {name: np.concatenate(parts) for name, parts in self._errors.items()}
        return summarize(errors, self.default)

    def errors(self) -> dict[str, float]:
        """Image -> its error under the default normaliser, as a fraction.

        Raises:
            DataError: if two faces have one name.
        """
        values = self._errors[self.default]
        result = {
            name: float(value[0])
            for name, value in zip(self._image_ids, values, strict=True)
        }
        if len(result) < len(self._image_ids):
            twice = next(n for n in self._image_ids if self._image_ids.count(n) > 1)
            raise DataError(f"image {twice} was evaluated twice; expected unique names")
        return result

    def remarks(self) -> list[str]:
        """Nothing that the metrics do not say."""
        return []

    def report(self, folder: pathlib.Path) -> None:
        """Writes tables of faces and points and the distribution; see `report`."""
        # Not needed to train.
        from hrnet_jax.keypoints.report import write_report

        order = self.worst(len(self._image_ids))
        write_report(
            folder,
            [self._image_ids[index] for index in order],
            {k: np.concatenate(parts)[order] for k, parts in self._errors.items()},
            self.default,
            np.stack(self._of_points),
            self._point_names,
        )

    def worst(self, count: int) -> list[int]:
        """Positions of the faces of largest error, the worst first."""
        errors = np.concatenate(self._errors[self.default])
        return [int(index) for index in np.argsort(-errors, kind="stable")[:count]]


def summarize(errors: Mapping[str, np.ndarray], default: str) -> dict[str, float]:
    """Metrics of a data set in percent, from the errors of its faces.

    Args:
        errors: normaliser -> float [N], fractions.
        default: the normaliser of failure rates and areas.

    Returns:
        `nme` of the default normaliser, `nme_percent/<normalizer>` of each, and
        `failure_rate_percent/<threshold>` and `auc_percent/<threshold>` of the
        default one.
    """
    metrics = {"nme": 100 * float(np.mean(errors[default]))}
    for name, values in errors.items():
        metrics[f"nme_percent/{name}"] = 100 * float(np.mean(values))
    for threshold in THRESHOLDS:
        rate = failure_rate(errors[default], threshold)
        metrics[f"failure_rate_percent/{threshold:.2f}"] = 100 * rate
    for threshold in THRESHOLDS:
        area = auc(errors[default], threshold)
        metrics[f"auc_percent/{threshold:.2f}"] = 100 * area
    return metrics


def _points(values: np.ndarray, name: str) -> np.ndarray:
    """float64 [N, K, 2]."""
    values = np.asarray(values, np.float64)
    if values.ndim != 3 or values.shape[2] != 2:
        raise ValueError(f"{name} of shape {values.shape}, expected (N, K, 2)")
    return values


def _mask(annotated: np.ndarray | None, points: np.ndarray) -> np.ndarray:
    """bool [N, K]."""
    if annotated is None:
        return np.ones(points.shape[:2], bool)
    annotated = np.asarray(annotated)
    if annotated.shape != points.shape[:2]:
        raise ValueError(
            f"annotated of shape {annotated.shape}, expected {points.shape[:2]}, one "
            "for each point"
        )
    return annotated.astype(bool)


def _check_finite(points: np.ndarray, counted: np.ndarray, name: str) -> None:
    bad = counted & ~np.isfinite(points).all(2)
    for face, point in np.argwhere(bad)[:1]:
        x, y = points[face, point]
        raise DataError(
            f"face {face}: {name} point {point} is ({x:g}, {y:g}); expected finite "
            "coordinates"
        )


def _errors(nme: np.ndarray, threshold: float) -> np.ndarray:
    """float64 [N], checked."""
    nme = np.asarray(nme, np.float64)
    if nme.ndim != 1 or not nme.size:
        raise ValueError(f"errors of shape {nme.shape}, expected (N,), one a face")
    if not 0 < threshold < np.inf:
        raise ValueError(f"threshold {threshold}, expected a positive fraction")
    if not np.isfinite(nme).all():
        index = int(np.flatnonzero(~np.isfinite(nme))[0])
        raise DataError(f"face {index}: error {nme[index]:g}; expected a finite number")
    return nme
