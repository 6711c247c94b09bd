"""Predictions for photographs of persons in the form of COCO's results."""

import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hrnet_jax.whole_files import write_whole

RESULTS_FILE = "keypoints.json"


def listed_results(
    points: np.ndarray,
    scores: np.ndarray,
    person_scores: np.ndarray,
    category: int,
) -> list[dict[str, Any]]:
    """The persons of an image as COCO's results, which lack the image yet.

    Args:
        points: [N, K, 2], in the frame of the annotations.
        scores: [N, K].
        person_scores: [N].
        category: number of the category of persons.
    """
    triples = np.concatenate([points, np.asarray(scores)[..., None]], 2)
    rows = triples.reshape(len(triples), -1)
    return [
        {
            "category_id": category,
            "keypoints": [round(float(value), 4) for value in row],
            "score": round(float(score), 6),
        }
        for row, score in zip(rows, person_scores, strict=True)
    ]


def write_results(path: pathlib.Path, entries: Sequence[Mapping[str, Any]]) -> None:
    """Writes the results of several images into one file.

    Args:
        path: of the file.
        entries: with `image`, the path of each, and `results` of `listed_results`. An
            `image_id` is the number that ends the name of its image, as COCO's have it;
            the name itself where one has none, or two have the same.
    """
    paths = [pathlib.Path(entry["image"]) for entry in entries]
    found = [re.search(r"(\d+)$", path.stem) for path in paths]
    numbers = [int(match[1]) for match in found if match]
    ids: list[int | str] = [*numbers]
    if len(set(numbers)) < len(paths):
        ids = [path.name for path in paths]
    rows = [
        {"image_id": number, **row}
        for number, entry in zip(ids, entries, strict=True)
        for row in entry.get("results", ())
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(rows))
