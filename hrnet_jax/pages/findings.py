"""What an evaluation of a run found, ready for a page."""

import base64
import csv
import dataclasses
import pathlib
import tempfile
from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np

from hrnet_jax.pages import html
from hrnet_jax.training.evaluate import evaluators_of_run

# Pictures have up to three panels in a row, each then at most 320 pixels wide.
_WIDTH = 960
_QUALITY = 82

Rows = list[list[str]]


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture that is part of a page.

    Attributes:
        name: of what it shows.
        source: of the `img` element, with all of the data.
        width: in pixels.
        height: in pixels.
    """

    name: str
    source: str
    width: int
    height: int

    def element(self, text: str) -> html.Markup:
        """The picture, with what it shows in words."""
        return html.tag(
            "img", src=self.source, alt=text, width=self.width, height=self.height
        )


@dataclasses.dataclass(frozen=True)
class Findings:
    """An evaluation of one split.

    Attributes:
        metrics: name -> value.
        remarks: what one should know about them, a line each.
        tables: name of a table that the evaluator reports (`classes`) -> its rows, the
            first of them the header.
        drawn: name -> picture that the evaluator reports.
        worst: pictures of the worst examples, the worst first.
    """

    metrics: dict[str, float]
    remarks: Sequence[str]
    tables: dict[str, Rows]
    drawn: dict[str, Picture]
    worst: list[Picture]


def evaluate_run(
    config: dict[str, Any],
    workdir: pathlib.Path,
    step: int | str,
    splits: Sequence[str],
    worst: int,
) -> dict[str, Findings]:
    """Evaluates a checkpoint of a run, each split once.

    Args:
        config: of the run, perhaps changed.
        workdir: of the run.
        step: `best`, `latest` or a number.
        splits: of the data set; the test split (the evaluation split where there is
            none) if empty.
        worst: number of pictures of the worst examples.

    Returns:
        Split -> what was found.

    Raises:
        HRNetError: see `training.evaluate.evaluators_of_run`.
    """
    with tempfile.TemporaryDirectory() as folder:
        evaluators = evaluators_of_run(config, workdir, step, splits, folder, worst)
        found = {}
        for split, evaluator in evaluators.items():
            of_split = pathlib.Path(folder) / split
            found[split] = Findings(
                evaluator.compute(),
                evaluator.remarks(),
                {path.stem: _rows(path) for path in sorted(of_split.glob("*.csv"))},
                {picture.name: picture for picture in pictures_in(of_split)},
                [
                    # Without its rank.
                    dataclasses.replace(picture, name=picture.name.partition("_")[2])
                    for picture in pictures_in(of_split / "worst")
                ],
            )
    return found


def _rows(path: pathlib.Path) -> Rows:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def pictures_in(folder: pathlib.Path, most: int | None = None) -> list[Picture]:
    """The `.png` files of a folder, in the order of their names, reduced.

    Args:
        folder: which need not be there.
        most: how many at most; None for all.
    """
    return [*_read(sorted(folder.glob("*.png"))[:most])]


def _read(paths: Iterable[pathlib.Path]) -> Iterable[Picture]:
    for path in paths:
        stored = np.frombuffer(path.read_bytes(), np.uint8)
        pixels = cv2.imdecode(stored, cv2.IMREAD_COLOR) if len(stored) else None
        if pixels is not None:  # else damaged, or not yet whole
            yield as_picture(path.stem, pixels)


def as_picture(name: str, pixels: np.ndarray) -> Picture:
    """A picture, uint8 BGR [H, W, 3], reduced to the width of a page."""
    height, width = pixels.shape[:2]
    if width > _WIDTH:
        height = max(1, round(height * _WIDTH / width))
        width = _WIDTH
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    text = base64.b64encode(encoded.tobytes()).decode()
    return Picture(name, f"data:image/jpeg;base64,{text}", width, height)
