"""Confusion matrices and what is computed from them."""

import jax
import numpy as np
import pytest

from hrnet_jax import runtime
from hrnet_jax.segmentation.metrics import (
    SegmentationEvaluator,
    confusion_matrix,
    summarize,
)
from tests.goldens import official

NUMERIC = "numeric/segmentation"


def names(count):
    return tuple(f"class{index}" for index in range(count))


@pytest.mark.parametrize("classes", [19, 59])
def test_equals_the_official_code(classes):
    arrays = official.arrays(NUMERIC)
    prefix = f"confusion/{classes}_"
    matrix = confusion_matrix(
        arrays[prefix + "labels"], arrays[prefix + "predictions"], classes
    )
    assert matrix.dtype == np.int32
    np.testing.assert_array_equal(matrix, arrays[prefix + "matrix"])
    metrics = summarize(matrix, names(classes))
    iou = [metrics[f"iou/{name}"] for name in names(classes)]
    np.testing.assert_allclose(iou, arrays[prefix + "iou"], rtol=1e-12)
    means = [metrics[k] for k in ("mean_iou", "pixel_accuracy", "mean_accuracy")]
    np.testing.assert_allclose(
        means, arrays[prefix + "mean_iou_pixel_acc_mean_acc"], rtol=1e-12
    )


def test_rows_are_true_classes():
    labels = np.array([[0, 0, 1, 2, 255]])
    predictions = np.array([[0, 1, 1, 0, 2]])
    np.testing.assert_array_equal(
        confusion_matrix(labels, predictions, 3), [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
    )


def test_metrics_are_the_formula():
    matrix = np.array([[3, 1, 0], [2, 4, 0], [0, 0, 0]])
    metrics = summarize(matrix, ("road", "car", "train"))
    assert metrics["iou/road"] == 3 / (3 + 1 + 2)
    assert metrics["iou/car"] == 4 / (4 + 1 + 2)
    # A class that never occurs counts as zero, as in the official evaluation.
    assert metrics["iou/train"] == 0
    np.testing.assert_allclose(metrics["mean_iou"], (3 / 6 + 4 / 7) / 3)
    np.testing.assert_allclose(metrics["pixel_accuracy"], 7 / 10)
    np.testing.assert_allclose(metrics["mean_accuracy"], (3 / 4 + 4 / 6) / 3)


def test_nothing_seen_gives_zeros():
    assert set(summarize(np.zeros((2, 2), int), names(2)).values()) == {0.0}


@pytest.mark.parametrize("wrong", [3, 200, 254, -1])
def test_a_label_out_of_range_is_not_counted(wrong):
    labels = np.array([0, 1, 2, wrong])
    predictions = np.array([0, 1, 2, 0])
    np.testing.assert_array_equal(confusion_matrix(labels, predictions, 3), np.eye(3))


def test_bytes_do_not_wrap_around():
    # 150 * 150 classes do not fit the uint8 that labels travel in.
    labels = np.full((1, 4), 149, np.uint8)
    matrix = confusion_matrix(labels, labels, 150)
    assert matrix[149, 149] == 4
    assert matrix.sum() == 4


def test_eight_devices_count_what_one_counts():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, (8, 5, 5))
    labels[rng.random(labels.shape) < 0.2] = 255
    predictions = rng.integers(0, 7, (8, 5, 5))
    expected = np.zeros((7, 7), int)
    for label, prediction in zip(labels.flat, predictions.flat, strict=True):
        if label != 255:
            expected[label, prediction] += 1
    sharding = runtime.batch_sharding(runtime.make_mesh(data=8), 3)
    count = jax.jit(confusion_matrix, static_argnums=2)
    got = count(
        jax.device_put(labels, sharding), jax.device_put(predictions, sharding), 7
    )
    np.testing.assert_array_equal(got, expected)


def test_the_evaluator_adds_up_beyond_32_bits():
    evaluator = SegmentationEvaluator(names(2))
    part = np.array([[2**31 - 1, 0], [1, 2**31 - 1]], np.int64).astype(np.int32)
    for _ in range(4):
        evaluator.update({}, {"confusion": part})
    total = 4 * (2**31 - 1)
    metrics = evaluator.compute()
    np.testing.assert_allclose(metrics["iou/class0"], total / (total + 4), rtol=1e-15)
    np.testing.assert_allclose(
        metrics["pixel_accuracy"], 2 * total / (2 * total + 4), rtol=1e-15
    )
