"""What an evaluation of segmentation found, as tables and pictures."""

import pathlib
from collections.abc import Iterable, Sequence

import numpy as np

from hrnet_jax.config.tables import columns
from hrnet_jax.imaging.confusion import draw_confusion
from hrnet_jax.segmentation.metrics import ImageScore, class_scores
from hrnet_jax.whole_files import write_csv, write_whole

_SCORES = ("iou", "dice", "precision", "recall")


def class_rows(confusion: np.ndarray, class_names: Sequence[str]) -> list[list[str]]:
    """A table of the classes: a header, and a row for each and for their mean.

    Args:
        confusion: int [K, K], rows are true classes.
        class_names: K names.

    Returns:
        Cells: name, shares of the labelled and of the predicted pixels in percent,
        then the `class_scores`, from 0 to 1. The mean is over all classes.
    """
    scores = class_scores(confusion)
    rows = [["class", "labelled %", "predicted %", *_SCORES]]
    for index, name in enumerate(class_names):
        shares = [
            100 * scores[key][index] / max(1, scores[key].sum())
            for key in ("labelled", "predicted")
        ]
        values = [scores[key][index] for key in _SCORES]
        rows.append([name, *_cells(shares, 2), *_cells(values, 4)])
    means = [scores[key].mean() for key in _SCORES]
    rows.append(["mean", "", "", *_cells(means, 4)])
    return rows


def _cells(values: Iterable[float], digits: int) -> list[str]:
    return [f"{value:.{digits}f}" for value in values]


def image_rows(
    images: Sequence[ImageScore], class_names: Sequence[str]
) -> list[list[str]]:
    """A table of the images, the worst first: a header, and a row for each."""
    rows = [["image", "mean_iou", "pixel_accuracy", "labelled_pixels", "mistaken"]]
    boundary = any(image.boundary_iou is not None for image in images)
    rows[0] += ["boundary_iou"] * boundary
    for image in sorted(images, key=lambda image: image.mean_iou):
        mistaken = ""
        if image.mixed_up:
            true, predicted, pixels = image.mixed_up
            mistaken = f"{class_names[true]} as {class_names[predicted]}: {pixels}"
        scores = _cells((image.mean_iou, image.pixel_accuracy), 4)
        near = [] if image.boundary_iou is None else _cells([image.boundary_iou], 4)
        rows.append([image.name, *scores, str(image.labelled), mistaken, *near])
    return rows


def write_report(
    folder: pathlib.Path,
    confusion: np.ndarray,
    class_names: Sequence[str],
    images: Sequence[ImageScore] = (),
) -> None:
    """Writes `classes.txt`, `classes.csv`, `confusion.csv`, `confusion.png`, `images.csv`.

    Args:
        folder: made if it is not there.
        confusion: int [K, K], rows are true classes.
        class_names: K names.
        images: for `images.csv`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    classes = class_rows(confusion, class_names)
    lines = columns(classes, "lr")
    write_whole(folder / "classes.txt", "".join(f"{line}\n" for line in lines))
    write_csv(folder / "classes.csv", classes)
    header = ["true \\ predicted", *class_names]
    counts = [
        [name, *map(str, row)] for name, row in zip(class_names, confusion, strict=True)
    ]
    write_csv(folder / "confusion.csv", [header, *counts])
    draw_confusion(confusion, class_names, folder / "confusion.png", of="pixels")
    write_csv(folder / "images.csv", image_rows(images, class_names))
