"""Pictures of a prepared data set: bars, histograms, contact sheets."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from hrnet_jax.data.records import Records
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.pictures import font, save_figure

# Pixels of a contact sheet; pictures on it are as large as a cell.
CELL = 240
_GAP, _TEXT_HEIGHT, _TEXT_SIZE = 8, 20, 12
_COLUMNS = 6

_DPI, _BINS = 110, 30
_EDGE = "#5f636a"

Sample = dict[str, Any]


def draw_bars(
    names: Sequence[str],
    colours: np.ndarray,
    shares: Mapping[str, Mapping[str, np.ndarray]],
    path: pathlib.Path,
) -> None:
    """Bars of shares of each class or point, a row a split.

    Args:
        names: of the K classes or points.
        colours: float [K, 3], RGB from 0 to 1.
        shares: split -> what a share is of -> float [K], percent.
        path: picture to write.

    Raises:
        DataError: if the file cannot be written.
    """
    height = len(shares) * (1.2 + 0.22 * len(names))
    columns = max(map(len, shares.values()))
    # Not through pyplot, which has one state with the notebook that calls this.
    figure = Figure(figsize=(10, height), layout="constrained")
    axes = figure.subplots(len(shares), columns, squeeze=False, sharey=True)
    for row, (split, of_split) in zip(axes, shares.items(), strict=True):
        for axis, (what, values) in zip(row, of_split.items(), strict=True):
            # By position, as names may be equal.
            axis.barh(range(len(names)), values, color=colours, edgecolor=_EDGE)
            axis.set_title(f"{split}: % of {what}", loc="left", fontsize=10)
            axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_yticks(range(len(names)), names)
    axes[0, 0].invert_yaxis()  # Shared: the first is at the top everywhere.
    _save(figure, path)


def draw_histograms(
    values: Mapping[str, Mapping[str, np.ndarray]],
    path: pathlib.Path,
) -> None:
    """Histograms of whole numbers, stacked by split.

    Args:
        values: (`width of images, pixels`) what is counted -> split -> int [N].
        path: picture to write.

    Raises:
        DataError: if the file cannot be written.
    """
    rows = -(-len(values) // 2)
    figure = Figure(figsize=(10, 3.4 * rows), layout="constrained")
    axes = figure.subplots(rows, 2, squeeze=False).ravel()
    for axis, (what, by_split) in zip(axes, values.items(), strict=False):
        title, _, unit = what.partition(", ")
        everything = np.concatenate(list(by_split.values()))
        low, high = everything.min(), everything.max()
        width = max(1, -(-(high - low + 1) // _BINS))  # Whole numbers.
        edges = np.arange(low, high + width + 1, width) - 0.5
        axis.hist(
            list(by_split.values()), bins=edges, label=list(by_split), stacked=True
        )
        axis.set_title(title, loc="left", fontsize=10)
        axis.set_xlabel(unit)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=8)
    for axis in axes[len(values) :]:
        axis.set_axis_off()
    _save(figure, path)


def contact_sheet(
    records: Records, shown: int, picture: Callable[[Sample], np.ndarray]
) -> np.ndarray:
    """Pictures of samples, evenly from the whole split.

    Args:
        records: of a data set.
        shown: how many at most.
        picture: sample -> uint8 [h, w, 3], RGB, no side longer than `CELL`.

    Returns:
        uint8 [h, w, 3], RGB.
    """
    number = min(shown, len(records))
    chosen = np.linspace(0, len(records) - 1, number).astype(int)
    columns = min(_COLUMNS, number)
    rows = -(-number // columns)
    step_x, step_y = CELL + _GAP, CELL + _TEXT_HEIGHT + _GAP
    size = columns * step_x + _GAP, rows * step_y + _GAP
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for place, index in enumerate(chosen):
        sample = records[int(index)]
        x = _GAP + place % columns * step_x
        y = _GAP + place // columns * step_y
        sheet.paste(Image.fromarray(picture(sample)), (x, y))
        text = end_that_fits(sample["image_id"])
        draw.text((x, y + CELL + 2), text, "#24272e", font=font(_TEXT_SIZE))
    return np.asarray(sheet)


def end_that_fits(text: str) -> str:
    """The end of a name, which tells images apart, as wide as a picture."""
    if font(_TEXT_SIZE).getlength(text) <= CELL:
        return text
    while font(_TEXT_SIZE).getlength("…" + text) > CELL:
        text = text[1:]
    return "…" + text


def _save(figure: Figure, path: pathlib.Path) -> None:
    try:
        save_figure(figure, path, dpi=_DPI)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path}: cannot be written ({reason})") from None
