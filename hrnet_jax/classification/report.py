"""What an evaluation of classification found, as tables and a picture."""

import pathlib
from collections.abc import Sequence

import numpy as np

from hrnet_jax.classification.metrics import ImageScore
from hrnet_jax.config.tables import columns
from hrnet_jax.imaging.confusion import draw_confusion
from hrnet_jax.whole_files import write_csv, write_whole

# Of more classes than this the picture shows those with most mistakes.
MOST_DRAWN = 60


def class_rows(
    confusion: np.ndarray, in_five: np.ndarray, class_names: Sequence[str]
) -> list[list[str]]:
    """A table of the classes: a header, and a row for each.

    Args:
        confusion: int [K, K], images; rows are true classes.
        in_five: int [K], images whose class is among the five best.
        class_names: K names.

    Returns:
        Cells: name, images, top-1 (recall), top-5 and precision, from 0 to 1, empty for
        nothing of nothing, and the class that it is most often taken for.
    """
    rows = [["class", "images", "top1", "top5", "precision", "most often taken for"]]
    predicted = confusion.sum(0)
    for index, name in enumerate(class_names):
        images, right = confusion[index].sum(), confusion[index, index]
        wrong = confusion[index].copy()
        wrong[index] = 0
        mistaken = ""
        if wrong.any():
            other = int(wrong.argmax())
            mistaken = f"{class_names[other]}: {wrong[other]}"
        shares = (
            _share(right, images),
            _share(in_five[index], images),
            _share(right, predicted[index]),
        )
        rows.append([name, str(images), *shares, mistaken])
    return rows


def rows_of_several(
    precisions: np.ndarray, images: np.ndarray, class_names: Sequence[str]
) -> list[list[str]]:
    """The same for images with several classes: name, images, average precision.

    Args:
        precisions: float [K], NaN where no image shows the class.
        images: int [K], that show it.
        class_names: K names.
    """
    rows = [["class", "images", "AP"]]
    for name, count, value in zip(class_names, images, precisions, strict=True):
        rows.append([name, str(count), f"{value:.4f}" if count else ""])
    return rows


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.4f}" if whole else ""


def pair_rows(confusion: np.ndarray, class_names: Sequence[str]) -> list[list[str]]:
    """A table of the mistakes, the commonest first: a header, and a row for each pair.

    Args:
        confusion: int [K, K], images; rows are true classes.
        class_names: K names.

    Returns:
        Cells: true class, predicted class, images, share of the images of the true one.
    """
    wrong = confusion - np.diag(np.diag(confusion))
    pairs = np.argwhere(wrong)
    counts = wrong[tuple(pairs.T)]
    rows = [["true", "predicted", "images", "share"]]
    for place in np.argsort(-counts, kind="stable"):
        true, predicted = pairs[place]
        share = counts[place] / confusion[true].sum()
        rows.append(
            [
                class_names[true],
                class_names[predicted],
                str(counts[place]),
                f"{share:.4f}",
            ]
        )
    return rows


def image_rows(
    images: Sequence[ImageScore], class_names: Sequence[str]
) -> list[list[str]]:
    """A table of the images, the worst first: a header, and a row for each."""
    rows = [["image", "error", "true", "predicted", "probability", "rank"]]
    for image in sorted(images, key=lambda image: -image.error):
        true = ", ".join(class_names[index] for index in image.true)
        rows.append(
            [
                image.name,
                f"{image.error:.4f}",
                true,
                class_names[image.predicted],
                f"{image.probability:.4f}",
                str(image.rank + 1),
            ]
        )
    return rows


def write_tables(
    folder: pathlib.Path,
    classes: Sequence[Sequence[str]],
    images: Sequence[ImageScore],
    class_names: Sequence[str],
) -> None:
    """Writes `classes.txt`, `classes.csv` and `images.csv`.

    Args:
        folder: made if it is not there.
        classes: the table of the classes.
        images: for the table of the images.
        class_names: K names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = columns(classes, "lr")
    write_whole(folder / "classes.txt", "".join(f"{line}\n" for line in lines))
    write_csv(folder / "classes.csv", classes)
    write_csv(folder / "images.csv", image_rows(images, class_names))


def write_mistakes(
    folder: pathlib.Path, confusion: np.ndarray, class_names: Sequence[str]
) -> None:
    """Writes `confusion.csv`, `pairs.csv` and `confusion.png`.

    Args:
        folder: that is there.
        confusion: int [K, K], images; rows are true classes.
        class_names: K names.
    """
    header = ["true \\ predicted", *class_names]
    counts = [
        [name, *map(str, row)] for name, row in zip(class_names, confusion, strict=True)
    ]
    write_csv(folder / "confusion.csv", [header, *counts])
    write_csv(folder / "pairs.csv", pair_rows(confusion, class_names))
    drawn = drawn_classes(confusion)
    draw_confusion(
        confusion[np.ix_(drawn, drawn)],
        [class_names[index] for index in drawn],
        folder / "confusion.png",
        of="images",
        totals=confusion.sum(1)[drawn],
    )


def drawn_classes(confusion: np.ndarray) -> np.ndarray:
    """Classes that the picture shows, in their order: all, or those mistaken most."""
    if len(confusion) <= MOST_DRAWN:
        return np.arange(len(confusion))
    wrong = confusion.sum(1) + confusion.sum(0) - 2 * np.diag(confusion)
    return np.sort(np.argsort(-wrong, kind="stable")[:MOST_DRAWN])
