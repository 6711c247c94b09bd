"""The report of an evaluation: classes, mistakes, images."""

import csv

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from hrnet_jax.segmentation.metrics import (
    SegmentationEvaluator,
    class_scores,
    image_score,
)
from hrnet_jax.segmentation.report import class_rows, image_rows, write_report

NAMES = ("road", "car", "train")
# Cars are taken for road; there is no train, and none is predicted.
CONFUSION = np.array([[6, 0, 0], [3, 1, 0], [0, 0, 0]])


def rows_of(path):
    return list(csv.reader(path.read_text().splitlines()))


def test_scores_of_classes_are_the_formulas():
    scores = class_scores(CONFUSION)
    assert scores["labelled"].tolist() == [6, 4, 0]
    assert scores["predicted"].tolist() == [9, 1, 0]
    np.testing.assert_allclose(scores["iou"], [6 / 9, 1 / 4, 0])
    np.testing.assert_allclose(scores["precision"], [6 / 9, 1, 0])
    np.testing.assert_allclose(scores["recall"], [1, 1 / 4, 0])
    np.testing.assert_allclose(scores["dice"], [12 / 15, 2 / 5, 0])
    # Dice is the harmonic mean of the two.
    precision, recall = scores["precision"][:2], scores["recall"][:2]
    f1 = 2 * precision * recall / (precision + recall)
    np.testing.assert_allclose(scores["dice"][:2], f1)


def test_the_table_of_classes():
    header, road, car, train, mean = class_rows(CONFUSION, NAMES)
    assert header[0] == "class" and header[-2:] == ["precision", "recall"]
    assert road == ["road", "60.00", "90.00", "0.6667", "0.8000", "0.6667", "1.0000"]
    assert car[:3] == ["car", "40.00", "10.00"]
    assert train == ["train", "0.00", "0.00", *["0.0000"] * 4]
    assert mean[3] == f"{(6 / 9 + 1 / 4) / 3:.4f}"


def test_an_image_is_scored_by_the_classes_that_occur_in_it():
    score = image_score("a", CONFUSION)
    assert score.mean_iou == pytest.approx((6 / 9 + 1 / 4) / 2)
    assert score.pixel_accuracy == 0.7 and score.labelled == 10
    assert score.mixed_up == (1, 0, 3)
    assert image_score("b", np.eye(3, dtype=int)).mixed_up is None
    # The worst is the first row.
    rows = image_rows([image_score("b", np.eye(3, dtype=int)), score], NAMES)
    assert rows[1] == ["a", "0.4583", "0.7000", "10", "car as road: 3"]
    assert rows[2] == ["b", "1.0000", "1.0000", "3", ""]


def test_writes_tables_and_the_matrix(tmp_path):
    folder = tmp_path / "new" / "val"
    write_report(folder, CONFUSION, NAMES, [image_score("a", CONFUSION)])
    assert {path.name for path in folder.iterdir()} == {
        "classes.csv",
        "classes.txt",
        "confusion.csv",
        "confusion.png",
        "images.csv",
    }
    assert rows_of(folder / "confusion.csv")[2] == ["car", "3", "1", "0"]
    assert rows_of(folder / "classes.csv") == class_rows(CONFUSION, NAMES)
    assert (folder / "classes.txt").read_text().splitlines()[0].split()[0] == "class"
    assert cv2.imread(str(folder / "confusion.png")).std() > 10


def texts_in_cells(monkeypatch, folder, confusion, names):
    """(column, row) -> what the picture of a confusion matrix says there."""
    texts = {}
    save = Figure.savefig

    def spy(figure, *args, **kwargs):
        (axes,) = figure.axes
        texts.update({text.get_position(): text.get_text() for text in axes.texts})
        return save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", spy)
    write_report(folder, confusion, names)
    return texts


def test_the_matrix_shows_the_percent_of_each_true_class(tmp_path, monkeypatch):
    texts = texts_in_cells(monkeypatch, tmp_path, CONFUSION, NAMES)
    # Of the pixels of cars 75 % are called road; of those called road 33 % are cars.
    assert (texts[0, 1], texts[1, 1], texts[0, 0]) == ("75", "25", "100")
    # Of no pixels.
    assert texts[0, 2] == texts[2, 2] == "0"


def test_a_matrix_of_many_classes_has_no_numbers(tmp_path, monkeypatch):
    names = [f"class {k}" for k in range(30)]
    matrix = np.eye(30, dtype=int)
    assert texts_in_cells(monkeypatch, tmp_path, matrix, names) == {}


def batch_of(labels, names, valid):
    return {
        "label": np.uint8(labels),
        "image_id": names,
        "example_valid": np.array(valid),
    }


def test_an_evaluator_knows_every_image_but_those_that_fill_up():
    evaluator = SegmentationEvaluator(NAMES, per_image=True)
    labels = [[[0, 0, 1, 255]], [[1, 1, 1, 1]], [[255] * 4], [[1, 1, 1, 1]]]
    predicted = [[[0, 0, 1, 2]], [[0, 1, 1, 1]], [[0] * 4], [[0] * 4]]
    evaluator.update(
        batch_of(labels, ["a", "b", "void", "filling"], [True, True, True, False]),
        {"label": np.uint8(predicted), "confusion": [[2, 0, 0], [1, 4, 0], [0, 0, 0]]},
    )
    # Without a labelled pixel an image is neither good nor bad.
    assert evaluator.worst(9) == [1, 0] and evaluator.worst(1) == [1]


def test_the_evaluator_names_classes_that_never_occur():
    evaluator = SegmentationEvaluator(NAMES)
    evaluator.update({}, {"confusion": [[6, 0, 0], [4, 0, 0], [0, 0, 0]]})
    absent, silent = evaluator.remarks()
    assert absent == (
        "no pixel is labelled train (IoU 0 counts in the mean; "
        "eval.inference.absent_classes=skip leaves it out)"
    )
    assert silent == "no pixel is predicted car, though some are labelled"
    skipping = SegmentationEvaluator(NAMES, "skip")
    skipping.update({}, {"confusion": CONFUSION})
    assert skipping.remarks() == [
        "no pixel is labelled train (left out of the mean)",
    ]
    metrics = skipping.compute()
    assert metrics["mean_iou"] == pytest.approx((6 / 9 + 1 / 4) / 2)
    assert metrics["mean_accuracy"] == pytest.approx((1 + 1 / 4) / 2)
    assert metrics["pixel_accuracy"] == 0.7 and "iou/train" not in metrics
