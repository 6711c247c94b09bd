"""Metrics of classification: counts and formulas written out."""

import csv

import numpy as np
import pytest

from hrnet_jax.classification.metrics import (
    ClassificationEvaluator,
    average_precision,
    rank_of,
)
from hrnet_jax.classification.report import MOST_DRAWN, drawn_classes

RNG = np.random.default_rng(0)
NAMES = tuple("abcdefgh")
COUNT, K = 29, len(NAMES)
LOGITS = RNG.normal(0, 1, (COUNT, K)).astype(np.float32)
CLASSES = RNG.integers(0, K - 1, COUNT)  # none of the last
LOGITS[np.arange(COUNT), CLASSES] += 1
# The fifth of its image counts among the first five, the sixth does not.
for row, rank in ((0, 4), (1, 5)):
    others = np.sort(np.delete(LOGITS[row], CLASSES[row]))[::-1]
    LOGITS[row, CLASSES[row]] = (others[rank - 1] + others[rank]) / 2
# Those of an image without labels of ReaL are all 0.
REAL = (
    RNG.integers(0, 2, (COUNT, K)).astype(np.uint8)
    * (np.arange(COUNT) % 4 > 0)[:, None]
)
SEVERAL = RNG.integers(0, 2, (COUNT, K)).astype(np.uint8)
SEVERAL[:, 3] = 0
SEVERAL[4] = 0


def softmax(logits):
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def feed(evaluator, batch_size, truth):
    """Shows everything in batches, the last filled up with wrong ones."""
    for start in range(0, COUNT, batch_size):
        rows = np.minimum(np.arange(start, start + batch_size), COUNT - 1)
        logits = LOGITS[rows]
        batch = {
            "example_valid": np.arange(start, start + batch_size) < COUNT,
            "image_id": [f"image {row}" for row in rows],
            **{key: value[rows] for key, value in truth.items()},
        }
        found = {"class": logits.argmax(-1), "probabilities": softmax(logits)}
        if "class" in batch:
            found["rank"] = rank_of(logits, batch["class"])
            found["truth"] = softmax(logits)[np.arange(len(rows)), batch["class"]]
        evaluator.update(batch, found)
    return evaluator


def test_the_rank_counts_what_comes_before():
    logits = np.float32([[1, 3, 3, 2], [0, 0, 0, 0]])
    for classes, expected in (([3, 2], [2, 2]), ([1, 0], [0, 0]), ([2, 3], [1, 3])):
        assert rank_of(logits, np.array(classes)).tolist() == expected
        order = [np.argsort(-row, kind="stable").tolist() for row in logits]
        places = [row.index(c) for row, c in zip(order, classes, strict=True)]
        assert places == expected


@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_shares_of_right_images_do_not_depend_on_the_batches(batch_size):
    truth = {"class": CLASSES, "real": REAL}
    metrics = feed(ClassificationEvaluator(NAMES), batch_size, truth).compute()
    order = np.argsort(-LOGITS, 1)
    right = order[:, 0] == CLASSES
    in_five = (order[:, :5] == CLASSES[:, None]).any(1)
    labelled = REAL.any(1)
    real = REAL[np.arange(COUNT), order[:, 0]][labelled]
    assert metrics == pytest.approx(
        {
            "top1": right.mean(),
            "top5": in_five.mean(),
            "mean_per_class": np.mean(
                [right[CLASSES == k].mean() for k in set(CLASSES.tolist())]
            ),
            "real_top1": real.mean(),
        }
    )
    assert 0 < metrics["top1"] < metrics["top5"] < 1


def test_what_is_not_counted_is_said():
    evaluator = feed(
        ClassificationEvaluator(NAMES), 8, {"class": CLASSES, "real": REAL}
    )
    without = int((~REAL.any(1)).sum())
    absent, real = evaluator.remarks()
    assert absent == "no image shows h (left out of the mean over classes)"
    assert real == f"{without} images have no label of ReaL (left out of real_top1)"
    assert (
        "real_top1"
        not in feed(ClassificationEvaluator(NAMES), 8, {"class": CLASSES}).compute()
    )


def precision_by_hand(scores, positive):
    """The area step by step, a threshold at each score that occurs."""
    area, recall = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        chosen = scores >= threshold
        new = positive[chosen].sum() / positive.sum()
        area += (new - recall) * positive[chosen].mean()
        recall = new
    return area


def test_the_average_precision_is_the_sum_over_thresholds():
    for decimals in (1, 6):  # with and without equal scores
        scores = RNG.random(40).round(decimals)
        positive = RNG.random(40) < 0.3
        expected = precision_by_hand(scores, positive)
        assert average_precision(scores, positive) == pytest.approx(expected)
    assert average_precision(np.array([3.0, 2, 1]), np.array([1, 0, 1], bool)) == (
        pytest.approx((1 + 2 / 3) / 2)
    )


@pytest.mark.parametrize("batch_size", [3, 32])
def test_images_of_several_classes_have_a_mean_of_average_precisions(batch_size):
    evaluator = ClassificationEvaluator(NAMES, several=True)
    metrics = feed(evaluator, batch_size, {"classes": SEVERAL}).compute()
    shown = [k for k in range(K) if SEVERAL[:, k].any()]
    assert 3 not in shown
    expected = [
        precision_by_hand(softmax(LOGITS)[:, k], SEVERAL[:, k].astype(bool))
        for k in shown
    ]
    assert metrics["mAP"] == pytest.approx(np.mean(expected))
    labelled = SEVERAL.any(1)
    best = SEVERAL[np.arange(COUNT), LOGITS.argmax(1)][labelled]
    assert metrics["top1"] == pytest.approx(best.mean())
    assert evaluator.remarks()[0].startswith("no image shows d ")


def rows_of(path):
    return list(csv.reader(path.read_text().splitlines()))


def test_the_report_has_classes_pairs_and_images(tmp_path):
    evaluator = ClassificationEvaluator(NAMES, per_example=True)
    feed(evaluator, 4, {"class": CLASSES}).report(tmp_path / "val")
    assert {path.name for path in (tmp_path / "val").iterdir()} == {
        *("classes.csv", "classes.txt", "confusion.csv", "confusion.png"),
        *("images.csv", "pairs.csv"),
    }
    best = LOGITS.argmax(1)
    header, *classes = rows_of(tmp_path / "val" / "classes.csv")
    assert header[:5] == ["class", "images", "top1", "top5", "precision"]
    for k, row in enumerate(classes):
        images, right = CLASSES == k, best[CLASSES == k] == k
        assert row[:2] == [NAMES[k], str(images.sum())]
        assert row[2] == (f"{right.mean():.4f}" if images.any() else "")
        precision = (CLASSES[best == k] == k).mean() if (best == k).any() else None
        assert row[4] == ("" if precision is None else f"{precision:.4f}")
    _, *pairs = rows_of(tmp_path / "val" / "pairs.csv")
    counts = [int(row[2]) for row in pairs]
    assert sum(counts) == (best != CLASSES).sum()
    assert counts == sorted(counts, reverse=True)
    true, predicted = NAMES.index(pairs[0][0]), NAMES.index(pairs[0][1])
    assert ((CLASSES == true) & (best == predicted)).sum() == counts[0]
    _, *images = rows_of(tmp_path / "val" / "images.csv")
    errors = 1 - softmax(LOGITS)[np.arange(COUNT), CLASSES]
    order = np.argsort(-errors, kind="stable")
    assert evaluator.worst(3) == order[:3].tolist()
    assert [row[0] for row in images[:3]] == [f"image {k}" for k in order[:3]]
    assert images[0][2:4] == [NAMES[CLASSES[order[0]]], NAMES[best[order[0]]]]


def test_that_of_several_classes_has_their_precisions(tmp_path):
    evaluator = ClassificationEvaluator(NAMES, several=True, per_example=True)
    feed(evaluator, 4, {"classes": SEVERAL}).report(tmp_path)
    _, *classes = rows_of(tmp_path / "classes.csv")
    assert classes[3] == ["d", "0", ""]
    expected = precision_by_hand(softmax(LOGITS)[:, 0], SEVERAL[:, 0].astype(bool))
    assert classes[0] == ["a", str(SEVERAL[:, 0].sum()), f"{expected:.4f}"]
    (worst,) = evaluator.worst(1)
    errors = np.abs(SEVERAL - softmax(LOGITS)).max(1)
    assert worst == errors.argmax()


def test_of_very_many_classes_those_mistaken_most_are_drawn():
    confusion = np.eye(MOST_DRAWN + 5, dtype=int)
    confusion[2, 7] = confusion[64, 1] = 3
    drawn = drawn_classes(confusion)
    assert len(drawn) == MOST_DRAWN and {1, 2, 7, 64} <= set(drawn.tolist())
    assert len(drawn_classes(confusion[:9, :9])) == 9
