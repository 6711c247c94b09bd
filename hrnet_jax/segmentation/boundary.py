"""Boundary IoU: how well the borders of classes are met.

Cheng, Girshick, Dollar, Berg, Kirillov, "Boundary IoU: Improving Object-Centric Image
Segmentation Evaluation" (CVPR 2021): of the pixels G of a class and those P that are
predicted so, only those count that are within d of their border,

    |(G_d n G) n (P_d n P)| / |(G_d n G) u (P_d n P)|,

with d = 2 % of the diagonal of the image, rounded, at least 1. As in the authors' code
the distance is the number of erosions by 3x3 that remove a pixel, so d in both
directions and diagonally, and the edge of the image is a border. Sums are over the whole
data set before they are divided. Pixels that are ignored count in neither, and are
another class for their neighbours.
"""

import cv2
import numpy as np

DILATION_RATIO = 0.02


def boundary_distance(size: tuple[int, int]) -> int:
    """d for an image of a (height, width)."""
    return max(1, round(DILATION_RATIO * float(np.hypot(*size))))


def near_border(labels: np.ndarray, distance: int) -> np.ndarray:
    """Pixels that eroding the mask of their own class would remove, for all classes.

    A pixel stays if all of the (2 d + 1)^2 around it are of its class, which is if the
    least and the largest label there are one.

    Args:
        labels: uint8 [H, W].
        distance: d, in pixels.

    Returns:
        bool [H, W].
    """
    square = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
    near = cv2.erode(labels, square) != cv2.dilate(labels, square)
    for edge in (np.s_[:distance], np.s_[-distance:]):
        near[edge] = True
        near[:, edge] = True
    return near


def boundary_counts(
    labels: np.ndarray, predictions: np.ndarray, num_classes: int
) -> np.ndarray:
    """Pixels of an image near the borders of each class.

    Args:
        labels: uint8 [H, W]; 255, or anything outside 0..K-1, is ignored.
        predictions: uint8 [H, W].
        num_classes: K.

    Returns:
        int64 [K, 3]: in both, labelled, predicted.
    """
    distance = boundary_distance(labels.shape)
    counted = labels < num_classes
    true = counted & near_border(labels, distance)
    found = counted & near_border(predictions, distance)
    both = true & found & (labels == predictions)

    def count(values: np.ndarray) -> np.ndarray:
        return np.bincount(values, minlength=num_classes)[:num_classes]

    counts = (count(labels[both]), count(labels[true]), count(predictions[found]))
    return np.stack(counts, -1).astype(np.int64)


def boundary_iou(counts: np.ndarray) -> np.ndarray:
    """Boundary IoU float64 [..., K] of counts int [..., K, 3]; 0 of nothing."""
    both, labelled, predicted = np.moveaxis(np.asarray(counts, np.int64), -1, 0)
    return both / np.maximum(1, labelled + predicted - both)
