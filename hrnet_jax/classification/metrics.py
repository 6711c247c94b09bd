"""Metrics of image classification from counts and ranks over a whole data set."""

import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.runtime.processes import gather_names, gather_rows

_NAMED = 5


def rank_of(logits: jax.Array, classes: jax.Array) -> jax.Array:
    """How many classes come before the given one, int32 [B].

    Of equal scores the first class comes first, as `argmax` has it.

    Args:
        logits: float [B, K].
        classes: int [B].
    """
    own = jnp.take_along_axis(logits, classes[:, None], 1)
    earlier = jnp.arange(logits.shape[-1]) < classes[:, None]
    before = (logits > own) | ((logits == own) & earlier)
    return jnp.sum(before, -1, dtype=jnp.int32)


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under precision over recall of one class, without interpolation.

    sum_n (R_n - R_(n-1)) P_n over the thresholds, which are the scores that occur:
    images of equal scores come together, in whatever order they are.

    Args:
        scores: float [N].
        positive: bool [N], of which at least one is.
    """
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order], np.cumsum(positive[order])
    last = np.flatnonzero(np.append(np.diff(ordered) != 0, True))
    recall = hits[last] / hits[-1]
    precision = hits[last] / (last + 1)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


class ImageScore(NamedTuple):
    """How well one image is classified.

    Attributes:
        name: of the image.
        true: its classes.
        predicted: the most probable class.
        probability: of the predicted class.
        error: 1 - the probability of the true class; of images with several classes the
            largest difference between a probability and the label.
        rank: of the true class, from 0; with several, of the best of them.
    """

    name: str
    true: tuple[int, ...]
    predicted: int
    probability: float
    error: float
    rank: int


class ClassificationEvaluator:
    """Counts over a data set; every process sees the counts of all.

    Args:
        class_names: K names.
        several: whether an image may have several classes, or none.
        per_example: whether a report is wanted, which lists images.
    """

    def __init__(
        self,
        class_names: tuple[str, ...],
        *,
        several: bool = False,
        per_example: bool = False,
    ):
        self._names = class_names
        self._several = several
        self._per_example = per_example
        count = len(class_names)
        self._confusion = np.zeros((count, count), np.int64)
        # Images of each class whose rank is below 5.
        self._in_five = np.zeros(count, np.int64)
        # Images with labels of ReaL, and those among them that are right.
        self._real = np.zeros(2, np.int64)
        self._probabilities: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []
        self._images: list[ImageScore] = []

    def update(self, batch: dict, predictions: dict[str, jax.Array]) -> None:
        """Takes one batch.

        Args:
            batch: `class` int [B] or `classes` uint8 [B, K], `example_valid` bool [B];
                `real` uint8 [B, K] where there are labels of ReaL; for a report the
                names `image_id`.
            predictions: of `ClassificationTask.predict`.
        """
        keys = ("example_valid", "class", "classes")
        rows = {key: batch[key] for key in keys if key in batch}
        if "real" in batch:
            rows["is_real"], rows["real_right"] = _of_real(
                batch["real"], predictions["class"]
            )
        wanted = ["class", *(key for key in ("rank", "truth") if key in predictions)]
        if self._several or self._per_example:
            wanted.append("probabilities")
        found = {key: predictions[key] for key in wanted}
        rows, found = gather_rows((rows, found))
        valid = rows["example_valid"].astype(bool)
        self._count(
            {key: value[valid] for key, value in rows.items()},
            {key: value[valid] for key, value in found.items()},
        )
        if self._per_example:
            names = gather_names(batch["image_id"], batch["example_valid"])
            for k in np.flatnonzero(valid):
                one = {key: value[k] for key, value in found.items()}
                truth = {key: value[k] for key, value in rows.items()}
                self._images.append(_image_score(str(names[k]), truth, one))

    def _count(self, rows: dict, found: dict) -> None:
        if "is_real" in rows:
            self._real += [rows["is_real"].sum(), rows["real_right"].sum()]
        if self._several:
            self._probabilities.append(found["probabilities"])
            self._labels.append(rows["classes"].astype(bool))
            return
        np.add.at(self._confusion, (rows["class"], found["class"]), 1)
        np.add.at(self._in_five, rows["class"], found["rank"] < 5)

    def compute(self) -> dict[str, float]:
        """Metrics over everything seen, from 0 to 1.

        Returns:
            `top1`, `top5` and `mean_per_class`, the mean of the top-1 of each class that
            has images, and `real_top1` where there are labels of ReaL. Of images with
            several classes `mAP`, the mean of `average_precision` over the classes that
            occur, and `top1`, the share of the images with a class whose most probable
            class is one of them.
        """
        if self._several:
            return self._compute_several()
        images = self._confusion.sum(1)
        right = np.diag(self._confusion)
        total = max(1, int(images.sum()))
        present = images > 0
        metrics = {
            "top1": float(right.sum() / total),
            "top5": float(self._in_five.sum() / total),
            "mean_per_class": float(np.mean(right[present] / images[present]))
            if present.any()
            else 0.0,
        }
        if self._real[0]:
            metrics["real_top1"] = float(self._real[1] / self._real[0])
        return metrics

    def _compute_several(self) -> dict[str, float]:
        probabilities, labels = self._together()
        shown = labels[labels.any(1)]
        best = probabilities[labels.any(1)].argmax(1)
        precisions = class_precisions(probabilities, labels)
        known = precisions[np.isfinite(precisions)]
        return {
            "mAP": float(known.mean()) if known.size else 0.0,
            "top1": float(shown[np.arange(len(shown)), best].mean())
            if len(shown)
            else 0.0,
        }

    def _together(self) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities float32 [N, K] and labels bool [N, K] of all images."""
        if not self._labels:
            shape = (0, len(self._names))
            return np.zeros(shape, np.float32), np.zeros(shape, bool)
        return np.concatenate(self._probabilities), np.concatenate(self._labels)

    def remarks(self) -> list[str]:
        """Classes without images, and images without labels of ReaL."""
        if self._several:
            images = self._together()[1].sum(0)
        else:
            images = self._confusion.sum(1)
        remarks = []
        if absent := [self._names[index] for index in np.flatnonzero(images == 0)]:
            named = ", ".join(absent[:_NAMED])
            more = f" and {len(absent) - _NAMED} more" if len(absent) > _NAMED else ""
            remarks.append(
                f"no image shows {named}{more} (left out of the mean over classes)"
            )
        if left := int(self._confusion.sum() - self._real[0]) if self._real[0] else 0:
            remarks.append(
                f"{left} images have no label of ReaL (left out of real_top1)"
            )
        return remarks

    def report(self, folder: pathlib.Path) -> None:
        """Writes tables of classes, of mistaken pairs and of images; see `report`."""
        # Not needed to train.
        from hrnet_jax.classification import report

        if self._several:
            probabilities, labels = self._together()
            classes = report.rows_of_several(
                class_precisions(probabilities, labels), labels.sum(0), self._names
            )
            report.write_tables(folder, classes, self._images, self._names)
            return
        classes = report.class_rows(self._confusion, self._in_five, self._names)
        report.write_tables(folder, classes, self._images, self._names)
        report.write_mistakes(folder, self._confusion, self._names)

    def worst(self, count: int) -> list[int]:
        """Positions of the images with the largest `error`, the worst first."""
        errors = np.array([image.error for image in self._images])
        order = np.argsort(-errors, kind="stable")
        return [int(index) for index in order[:count]]


def class_precisions(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """`average_precision` of each class, float64 [K]; NaN where no image shows it.

    Args:
        probabilities: float [N, K].
        labels: bool [N, K].
    """
    return np.array(
        [
            average_precision(scores, shown) if shown.any() else np.nan
            for scores, shown in zip(probabilities.T, labels.T, strict=True)
        ]
    )


@jax.jit
def _of_real(real: jax.Array, predicted: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Whether an image has labels of ReaL, and whether the prediction is one of them.

    Beyer et al. 2020, "Are we done with ImageNet?": any of the labels is right, and
    images without one do not count.
    """
    is_real = jnp.any(real > 0, -1)
    right = jnp.take_along_axis(real > 0, predicted[:, None], 1)[:, 0]
    return is_real, right & is_real


def _image_score(name: str, truth: dict, found: dict) -> ImageScore:
    probabilities = found["probabilities"]
    predicted = int(found["class"])
    shown = float(probabilities[predicted])
    if "class" in truth:
        error, rank = 1 - float(found["truth"]), int(found["rank"])
        return ImageScore(name, (int(truth["class"]),), predicted, shown, error, rank)
    labels = truth["classes"].astype(bool)
    error = float(np.max(np.abs(labels - probabilities), initial=0.0))
    order = np.argsort(-probabilities, kind="stable")
    hits = np.flatnonzero(labels[order])
    rank = int(hits[0]) if len(hits) else len(labels)
    true = tuple(int(index) for index in np.flatnonzero(labels))
    return ImageScore(name, true, predicted, shown, error, rank)
