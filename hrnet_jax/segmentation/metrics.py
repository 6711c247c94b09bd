"""Segmentation metrics from integer counts over a whole data set."""

import functools
import json
import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.runtime.processes import gather_dealt, gather_names, gather_rows
from hrnet_jax.segmentation.boundary import boundary_counts, boundary_iou


def confusion_matrix(
    labels: jax.Array, predictions: jax.Array, num_classes: int
) -> jax.Array:
    """Counts pixels by true and predicted class.

    Args:
        labels: int [...]; 255, or anything outside 0..K-1, is ignored.
        predictions: int [...], in [0, num_classes).
        num_classes: K.

    Returns:
        int32 [K, K], rows are true classes. Exact up to 2**31 pixels a call;
        add calls up in int64 on the host.
    """
    labels = labels.astype(jnp.int32)
    predictions = predictions.astype(jnp.int32)
    valid = (labels >= 0) & (labels < num_classes)
    # Ignored pixels fall into one extra bin.
    index = jnp.where(valid, labels * num_classes + predictions, num_classes**2)
    # Not `bincount`, which makes one axis of images and rows: where devices share
    # them, each would gather all. So each counts its pixels, and the counts add up.
    counts = jnp.zeros(num_classes**2 + 1, jnp.int32).at[index].add(1)
    return counts[:-1].reshape(num_classes, num_classes)


def summarize(
    confusion: np.ndarray, class_names: tuple[str, ...], absent: str = "zero"
) -> dict[str, float]:
    """Metrics of a confusion matrix, in percent of one (0 to 1).

    Args:
        confusion: int [K, K], rows are true classes.
        class_names: K names.
        absent: what becomes of classes without a labelled pixel. `zero`: their IoU is
            0 and counts in the mean, as in the official `get_confusion_matrix`
            evaluation; `skip`: both means and `iou/<class>` are of the others.

    Returns:
        `mean_iou`, `pixel_accuracy`, `mean_accuracy` and `iou/<class>`.
    """
    scores = class_scores(confusion)
    # Where nothing is labelled, all count.
    nothing = not scores["labelled"].any()
    counted = (scores["labelled"] > 0) | (absent == "zero") | nothing
    correct = np.diag(np.asarray(confusion, np.int64)).sum()
    metrics = {
        "mean_iou": float(scores["iou"][counted].mean()),
        "pixel_accuracy": float(correct / max(1, scores["labelled"].sum())),
        "mean_accuracy": float(scores["recall"][counted].mean()),
    }
    for index in np.flatnonzero(counted):
        metrics[f"iou/{class_names[index]}"] = float(scores["iou"][index])
    return metrics


def class_scores(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of each class; a quotient of nothing by nothing is 0.

    Args:
        confusion: int [..., K, K], rows are true classes.

    Returns:
        Of shape [..., K]: `labelled` and `predicted`, int64 pixels; `iou`, `dice`
        (2 |A n B| / (|A| + |B|), which is F1), `precision` and `recall`, float64.
    """
    confusion = np.asarray(confusion, np.int64)
    both = np.diagonal(confusion, axis1=-2, axis2=-1)
    labelled, predicted = confusion.sum(-1), confusion.sum(-2)

    def quotient(above: np.ndarray, below: np.ndarray) -> np.ndarray:
        return above.astype(np.float64) / np.maximum(1, below)

    return {
        "labelled": labelled,
        "predicted": predicted,
        "iou": quotient(both, labelled + predicted - both),
        "dice": quotient(2 * both, labelled + predicted),
        "precision": quotient(both, predicted),
        "recall": quotient(both, labelled),
    }


class SegmentationEvaluator:
    """Adds confusion matrices up over a data set.

    Args:
        class_names: K names.
        absent: see `summarize`.
        per_image: whether a report is wanted, which lists images; costs one more
            count of each.
        boundary: whether `boundary_iou` is wanted; of several processes each counts
            its share of the images.
    """

    def __init__(
        self,
        class_names: tuple[str, ...],
        absent: str = "zero",
        per_image: bool = False,
        boundary: bool = False,
    ):
        self._class_names = class_names
        self._absent = absent
        self._per_image = per_image
        self._boundary = np.zeros((len(class_names), 3), np.int64) if boundary else None
        self._confusion = np.zeros((len(class_names),) * 2, np.int64)
        self._images: list[ImageScore] = []
        self._records: list[int] = []

    def update(self, batch: dict, predictions: dict[str, jax.Array]) -> None:
        """Takes the `confusion` of `SegmentationTask.predict`.

        Args:
            batch: for a report `label` uint8 [B, H, W], `example_valid` bool [B], the
                names `image_id`, and where images come in another order `record` int
                [B], their index; of several processes each learns of all images.
            predictions: `confusion` int [K, K]; for a report `label` uint8 [B, H, W].

        For boundary IoU the same as for a report, and `size` int [B, 2].
        """
        # Padding and ignored pixels are masked on the device.
        self._confusion += np.asarray(predictions["confusion"], np.int64)
        near = None
        if self._boundary is not None:
            near = _boundaries(batch, predictions["label"], len(self._class_names))
            self._boundary += near.sum(0)
        if not self._per_image:
            return
        classes = len(self._class_names)
        counts = _count_each(batch["label"], predictions["label"], classes)
        rows = {key: batch[key] for key in ("example_valid", "record") if key in batch}
        rows, counts = gather_rows((rows, counts))
        names = gather_names(batch["image_id"], batch["example_valid"])
        for k in np.flatnonzero(rows["example_valid"]):
            place = rows["record"][k] if "record" in rows else len(self._records)
            self._records.append(int(place))
            score = image_score(str(names[k]), counts[k])
            if near is not None:
                score = score._replace(boundary_iou=_mean_of_present(near[k]))
            self._images.append(score)

    def compute(self) -> dict[str, float]:
        """Metrics over everything seen so far."""
        metrics = summarize(self._confusion, self._class_names, self._absent)
        if self._boundary is None:
            return metrics
        # Means are of the same classes as those of IoU.
        iou = {
            name: float(value)
            for name, value in zip(
                self._class_names, boundary_iou(self._boundary), strict=True
            )
            if f"iou/{name}" in metrics
        }
        metrics["boundary_iou"] = float(np.mean([*iou.values()]))
        return metrics | {f"boundary_iou/{name}": value for name, value in iou.items()}

    def remarks(self) -> list[str]:
        """Classes that were never labelled, and that were never predicted."""
        scores = class_scores(self._confusion)
        remarks = []
        if never := self._named(scores["labelled"] == 0):
            what = (
                "IoU 0 counts in the mean; eval.inference.absent_classes=skip leaves "
                "it out"
                if self._absent == "zero"
                else "left out of the mean"
            )
            remarks.append(f"no pixel is labelled {never} ({what})")
        if never := self._named((scores["predicted"] == 0) & (scores["labelled"] > 0)):
            remarks.append(f"no pixel is predicted {never}, though some are labelled")
        return remarks

    def _named(self, chosen: np.ndarray) -> str:
        return " or ".join(self._class_names[index] for index in np.flatnonzero(chosen))

    def report(self, folder: pathlib.Path) -> None:
        """Writes tables of classes and images and the confusion matrix; see `report`."""
        # Not needed to train.
        from hrnet_jax.segmentation.report import write_report

        write_report(folder, self._confusion, self._class_names, self._images)

    def worst(self, count: int) -> list[int]:
        """Positions of the labelled images of lowest mean IoU, the worst first."""
        ious = np.array([image.mean_iou for image in self._images])
        order = [
            index
            for index in np.lexsort((np.array(self._records), ious))
            if self._images[index].labelled
        ]
        return [self._records[index] for index in order[:count]]


class ImageScore(NamedTuple):
    """How well one image is labelled.

    Attributes:
        name: of the image.
        mean_iou: over the classes that are labelled in it or predicted.
        pixel_accuracy: over its labelled pixels.
        labelled: number of labelled pixels.
        mixed_up: (true class, predicted class, pixels) of its commonest mistake;
            None where there is no mistake.
        boundary_iou: over the classes that have a border in it; None if not wanted.
    """

    name: str
    mean_iou: float
    pixel_accuracy: float
    labelled: int
    mixed_up: tuple[int, int, int] | None
    boundary_iou: float | None = None


def image_score(name: str, confusion: np.ndarray) -> ImageScore:
    """The score of one image from its confusion matrix, int [K, K]."""
    confusion = np.asarray(confusion, np.int64)
    scores = class_scores(confusion)
    present = scores["labelled"] + scores["predicted"] > 0
    total = int(confusion.sum())
    wrong = confusion - np.diag(np.diag(confusion))
    true, predicted = np.unravel_index(wrong.argmax(), wrong.shape)
    pixels = int(wrong.max(initial=0))
    return ImageScore(
        name,
        float(scores["iou"][present].mean()) if total else 0.0,
        float(np.trace(confusion) / max(1, total)),
        total,
        (int(true), int(predicted), pixels) if pixels else None,
    )


def _boundaries(batch: dict, predictions: jax.Array, num_classes: int) -> np.ndarray:
    """`boundary_counts` of each image of a batch, int64 [B, K, 3], on every process."""
    keys = ("label", "size", "example_valid")
    rows, found = gather_rows(({key: batch[key] for key in keys}, predictions))
    count = len(found)
    own = []
    for k in range(jax.process_index(), count, jax.process_count()):
        height, width = rows["size"][k] * rows["example_valid"][k]
        of_image = np.s_[k, :height, :width]
        counts = np.zeros((num_classes, 3), np.int64)
        if height:
            counts = boundary_counts(
                rows["label"][of_image], found[of_image], num_classes
            )
        own.append(json.dumps(counts.tolist()))
    return np.array([json.loads(text) for text in gather_dealt(own, count)], np.int64)


def _mean_of_present(counts: np.ndarray) -> float:
    """Mean boundary IoU of the classes with a border, of counts int [K, 3]."""
    present = counts.any(-1)
    return float(boundary_iou(counts)[present].mean()) if present.any() else 0.0


@functools.partial(jax.jit, static_argnums=2)
def _count_each(
    labels: jax.Array, predictions: jax.Array, num_classes: int
) -> jax.Array:
    """Confusion matrices int32 [B, K, K] of label maps [B, H, W]."""
    count = functools.partial(confusion_matrix, num_classes=num_classes)
    return jax.vmap(count)(labels, predictions)
