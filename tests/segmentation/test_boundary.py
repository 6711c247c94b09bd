"""Boundary IoU beside the authors' definition, class by class."""

import cv2
import numpy as np

from hrnet_jax.segmentation.boundary import (
    boundary_counts,
    boundary_distance,
    boundary_iou,
)
from hrnet_jax.segmentation.metrics import SegmentationEvaluator


def border_of(mask):
    """Of one mask, what eroding it d times within a frame of zeros takes away."""
    height, width = mask.shape
    distance = max(1, round(0.02 * np.sqrt(height**2 + width**2)))
    framed = cv2.copyMakeBorder(
        mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0
    )
    kernel = np.ones((3, 3), np.uint8)
    kept = cv2.erode(framed, kernel, iterations=distance)[1:-1, 1:-1]
    return mask & ~kept.astype(bool)


def made_up(size, seed):
    """Blobs of three classes."""
    noise = np.random.default_rng(seed).random((*size, 3)).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), 9).argmax(-1).astype(np.uint8)


def by_definition(labels, predictions):
    counted = labels != 255
    rows = []
    for k in range(3):
        true = border_of(labels == k) & counted
        found = border_of(predictions == k) & counted
        rows.append([(true & found).sum(), true.sum(), found.sum()])
    return np.array(rows)


def test_counts_are_those_of_the_definition():
    assert boundary_distance((1024, 2048)) == 46 and boundary_distance((9, 9)) == 1
    labels, predictions = made_up((90, 130), 0), made_up((90, 130), 1)
    predictions[30:60] = labels[30:60]
    labels[70:80, 20:70] = 255
    got = boundary_counts(labels, predictions, 3)
    expected = by_definition(labels, predictions)
    np.testing.assert_array_equal(got, expected)
    both, true, found = expected.T
    np.testing.assert_allclose(boundary_iou(got), both / (true + found - both))


def test_the_evaluator_sums_over_images_and_leaves_padding_out():
    sizes = [(60, 80), (50, 90)]
    labels, predictions = np.full((2, 2, 60, 90), 255, np.uint8)
    counts = []
    for k, (height, width) in enumerate(sizes):
        labels[k, :height, :width] = made_up((height, width), k)
        predictions[k] = made_up((60, 90), k + 9)
        own = np.s_[k, :height, :width]
        counts.append(by_definition(labels[own], predictions[own]))
    evaluator = SegmentationEvaluator(tuple("abc"), per_image=True, boundary=True)
    names = ["first", "second"]
    evaluator.update(
        {
            "label": labels,
            "size": np.array(sizes),
            "example_valid": np.array([True, True]),
            "image_id": names,
        },
        {"label": predictions, "confusion": np.ones((3, 3), int)},
    )
    metrics = evaluator.compute()
    expected = boundary_iou(sum(counts))
    assert metrics["boundary_iou"] == np.mean(expected)
    assert metrics["boundary_iou/b"] == expected[1]
    for image, own in zip(evaluator._images, counts, strict=True):
        assert image.boundary_iou == boundary_iou(own).mean()
