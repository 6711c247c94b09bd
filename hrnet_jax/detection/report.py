"""What an evaluation of detections found, as tables and files of results."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from hrnet_jax.config.tables import columns
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.detection.outputs import Detections, write_results
from hrnet_jax.tasks.coco_scores import KINDS, Scores
from hrnet_jax.whole_files import write_csv, write_whole

_SCORES = ("AP", "AP50", "AR100")


def class_rows(
    info: DatasetInfo, scores: Mapping[str, Scores], counts: np.ndarray
) -> list[list[str]]:
    """A table of the classes: a header, and a row for each and for their mean.

    Args:
        info: names of the classes.
        scores: kind -> scores.
        counts: int [K], objects of each class.

    Returns:
        Cells: name, number of objects, then scores of boxes and of masks from 0 to 1; a
        class without an object has none.
    """
    header = [f"{KINDS[kind]}{key}" for kind in scores for key in _SCORES]
    rows = [["class", "objects", *header]]
    for label, name in enumerate(info.box_class_names):
        cells = []
        for one in scores.values():
            values = one.of_class(label)
            cells += [f"{values[key]:.4f}" if values else "" for key in _SCORES]
        rows.append([name, str(int(counts[label])), *cells])
    means = [one.named()[key] for one in scores.values() for key in _SCORES]
    total = str(int(counts.sum()))
    return [*rows, ["mean", total, *(f"{value:.4f}" for value in means)]]


def write_report(
    folder: pathlib.Path,
    info: DatasetInfo,
    scores: Mapping[str, Scores],
    counts: np.ndarray,
    images: Sequence[tuple[str, int, int, float]],
    found: Sequence[Detections],
    masks: bool,
) -> None:
    """Writes `classes.txt`, `classes.csv`, `images.csv` and the files of results.

    Args:
        folder: made if it is not there.
        info: names and numbers of the classes.
        scores: kind -> scores; empty where nothing is annotated.
        counts: int [K], objects of each class.
        images: (name, objects, detections, agreement) of each.
        found: detections of each image, for `coco_bbox.json` and `coco_segm.json`.
        masks: whether there are masks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if scores:
        classes = class_rows(info, scores, counts)
        lines = columns(classes, "lr")
        write_whole(folder / "classes.txt", "".join(f"{line}\n" for line in lines))
        write_csv(folder / "classes.csv", classes)
    header = ["image", "objects", "detections", "agreement"]
    ranked = sorted(images, key=lambda image: image[3])
    rows = [[name, str(n), str(m), f"{q:.4f}"] for name, n, m, q in ranked]
    write_csv(folder / "images.csv", [header, *rows])
    write_results(folder, found, info, masks=masks)
