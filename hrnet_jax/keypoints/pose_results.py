"""What an evaluation of poses found, as COCO's results and as tables."""

import dataclasses
import json
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from hrnet_jax.data.truth import Truth
from hrnet_jax.keypoints.report import point_rows, write_table
from hrnet_jax.whole_files import write_whole

RESULTS_FILE = "coco_keypoints.json"
# Digits of what is written, of pixels and of scores.
_PIXEL_DIGITS, _SCORE_DIGITS = 3, 5


@dataclasses.dataclass(frozen=True, eq=False)
class Poses:
    """What was found for the N examples of a split, in their order.

    Attributes:
        points: float64 [N, K, 2], in the frame of the files of annotations.
        point_scores: float64 [N, K].
        scores: float64 [N], of the persons.
    """

    points: np.ndarray
    point_scores: np.ndarray
    scores: np.ndarray


def coco_results(
    poses: Poses, kept: Iterable[int], images: np.ndarray, category: int
) -> list[dict[str, Any]]:
    """Persons as COCO's server takes them.

    Args:
        poses: what was found.
        kept: which of the examples.
        images: int [N], id of the image of each.
        category: of persons.
    """
    results = []
    for k in kept:
        points = np.round(poses.points[k], _PIXEL_DIGITS)
        scores = np.round(poses.point_scores[k], _SCORE_DIGITS)[:, None]
        results.append(
            {
                "image_id": int(images[k]),
                "category_id": int(category),
                "keypoints": np.concatenate([points, scores], 1).ravel().tolist(),
                "score": round(float(poses.scores[k]), _SCORE_DIGITS),
            }
        )
    return results


def write_pose_report(
    folder: pathlib.Path,
    truth: Truth,
    poses: Poses,
    kept: Sequence[int],
    *,
    category: int,
    quality: tuple[str, np.ndarray],
    errors: np.ndarray | None,
    length: str,
    point_names: Sequence[str],
) -> None:
    """Writes `persons.csv`, the worst first, `points.csv` and the file of results.

    Args:
        folder: made if it is not there.
        truth: names of the examples, and their images.
        poses: what was found.
        kept: which of them are results.
        category: of persons, in the file of results.
        quality: what tells how good each example is, and float [N], less is worse.
        errors: float [N, K], shares of a length, NaN where a point is not annotated;
            None where examples are not annotated.
        length: its name.
        point_names: K names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name, values = quality
    rows = [
        [
            truth.examples[k],
            "" if np.isnan(values[k]) else f"{values[k]:.4f}",
            f"{poses.scores[k]:.4f}",
        ]
        for k in np.argsort(values, kind="stable")
    ]
    write_table(folder / "persons.csv", [["person", name, "score"], *rows])
    if errors is not None:
        write_table(
            folder / "points.csv", point_rows(errors, point_names, length, "persons")
        )
    images = truth.image_numbers[truth.image]
    results = coco_results(poses, kept, images, category)
    write_whole(folder / RESULTS_FILE, json.dumps(results))
