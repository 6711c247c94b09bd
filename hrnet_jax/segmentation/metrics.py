"""Segmentation metrics from integer counts over a whole data set."""

import jax
import jax.numpy as jnp
import numpy as np


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


def summarize(confusion: np.ndarray, class_names: tuple[str, ...]) -> dict[str, float]:
    """Metrics of a confusion matrix, in percent of one (0 to 1).

    A class that neither occurs nor is predicted has IoU 0 and counts in the
    mean, as in the official `get_confusion_matrix` evaluation.

    Args:
        confusion: int [K, K], rows are true classes.
        class_names: K names.

    Returns:
        `mean_iou`, `pixel_accuracy`, `mean_accuracy` and `iou/<class>`.
    """
    confusion = np.asarray(confusion, np.int64)
    correct = np.diag(confusion).astype(np.float64)
    true, predicted = confusion.sum(1), confusion.sum(0)
    iou = correct / np.maximum(1, true + predicted - np.diag(confusion))
    metrics = {
        "mean_iou": float(iou.mean()),
        "pixel_accuracy": float(correct.sum() / max(1, true.sum())),
        "mean_accuracy": float((correct / np.maximum(1, true)).mean()),
    }
    for name, value in zip(class_names, iou, strict=True):
        metrics[f"iou/{name}"] = float(value)
    return metrics


class SegmentationEvaluator:
    """Adds confusion matrices up over a data set."""

    def __init__(self, class_names: tuple[str, ...]):
        self._class_names = class_names
        self._confusion = np.zeros((len(class_names),) * 2, np.int64)

    def update(self, batch: dict, predictions: dict[str, jax.Array]) -> None:
        """Takes the `confusion` of `SegmentationTask.predict`."""
        del batch  # Padding and ignored pixels are masked on the device.
        self._confusion += np.asarray(predictions["confusion"], np.int64)

    def compute(self) -> dict[str, float]:
        """Metrics over everything seen so far."""
        return summarize(self._confusion, self._class_names)
