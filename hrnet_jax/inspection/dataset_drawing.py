"""Pictures of a prepared segmentation set."""

import pathlib
from collections.abc import Mapping

import cv2
import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.data.records import Records
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.palette import default_palette
from hrnet_jax.imaging.pictures import font, save_figure
from hrnet_jax.segmentation.drawing import overlay

# Pixels of a contact sheet.
_CELL, _GAP, _TEXT_HEIGHT, _TEXT_SIZE = 240, 8, 20, 12
_COLUMNS = 6

_DPI, _BINS = 110, 30
_EDGE = "#5f636a"


def draw_classes(
    info: DatasetInfo,
    counts: Mapping[str, tuple[np.ndarray, np.ndarray]],
    path: pathlib.Path,
) -> None:
    """Bars of the share of pixels and of images of each class, a row a split.

    Args:
        info: names and colours of the K classes.
        counts: split -> pixels and images of each class, int [K] each.
        path: picture to write.

    Raises:
        DataError: if the file cannot be written.
    """
    colours = np.array(info.palette or default_palette(info.num_classes)) / 255
    height = len(counts) * (1.2 + 0.22 * info.num_classes)
    # Not through pyplot, which has one state with the notebook that calls this.
    figure = Figure(figsize=(10, height), layout="constrained")
    axes = figure.subplots(len(counts), 2, squeeze=False, sharey=True)
    for row, (split, (pixels, images)) in zip(axes, counts.items(), strict=True):
        for axis, values, what in zip(
            row, (pixels, images), ("labelled pixels", "images"), strict=True
        ):
            total = pixels.sum() if values is pixels else max(1, info.counts[split])
            share = 100 * values / max(1, total)
            axis.barh(info.class_names, share, color=colours, edgecolor=_EDGE)
            axis.set_title(f"{split}: % of {what}", loc="left", fontsize=10)
            axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].invert_yaxis()  # Shared: label 0 is at the top everywhere.
    _save(figure, path)


def draw_sizes(sizes: Mapping[str, np.ndarray], path: pathlib.Path) -> None:
    """Histograms of the widths and heights of the images, in pixels.

    Args:
        sizes: split -> int [N, 2], (height, width).
        path: picture to write.

    Raises:
        DataError: if the file cannot be written.
    """
    everything = np.concatenate(list(sizes.values()))
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    for axis, side, name in zip(
        figure.subplots(1, 2), (1, 0), ("width", "height"), strict=True
    ):
        values = [each[:, side] for each in sizes.values()]
        low, high = everything[:, side].min(), everything[:, side].max()
        width = max(1, -(-(high - low + 1) // _BINS))  # Whole pixels.
        edges = np.arange(low, high + width + 1, width) - 0.5
        axis.hist(values, bins=edges, label=list(sizes), stacked=True)
        axis.set_title(f"{name}, images", loc="left", fontsize=10)
        axis.set_xlabel("pixels")
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=8)
    _save(figure, path)


def contact_sheet(records: Records, shown: int) -> np.ndarray:
    """Images with their labels over them, evenly from the whole split.

    Args:
        records: of a segmentation set.
        shown: how many at most.

    Returns:
        uint8 [h, w, 3], RGB.
    """
    info = records.info
    palette = info.palette or default_palette(info.num_classes)
    number = min(shown, len(records))
    chosen = np.linspace(0, len(records) - 1, number).astype(int)
    columns = min(_COLUMNS, number)
    rows = -(-number // columns)
    step_x, step_y = _CELL + _GAP, _CELL + _TEXT_HEIGHT + _GAP
    size = columns * step_x + _GAP, rows * step_y + _GAP
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for place, index in enumerate(chosen):
        sample = records[int(index)]
        x = _GAP + place % columns * step_x
        y = _GAP + place // columns * step_y
        picture = _small_overlay(sample["image"], sample["label"], palette)
        sheet.paste(Image.fromarray(picture), (x, y))
        text = _end_that_fits(sample["image_id"])
        draw.text((x, y + _CELL + 2), text, "#24272e", font=font(_TEXT_SIZE))
    return np.asarray(sheet)


def _small_overlay(
    image: np.ndarray, label: np.ndarray, palette: tuple[tuple[int, int, int], ...]
) -> np.ndarray:
    scale = _CELL / max(label.shape)
    size = tuple(max(1, round(side * scale)) for side in label.shape[::-1])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(label, size, interpolation=cv2.INTER_NEAREST_EXACT)
    return overlay(cv2.resize(image, size, interpolation=method), small, palette)


def _end_that_fits(text: str) -> str:
    """The end of a name, which tells images apart, as wide as a picture."""
    if font(_TEXT_SIZE).getlength(text) <= _CELL:
        return text
    while font(_TEXT_SIZE).getlength("…" + text) > _CELL:
        text = text[1:]
    return "…" + text


def _save(figure: Figure, path: pathlib.Path) -> None:
    try:
        save_figure(figure, path, dpi=_DPI)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path}: cannot be written ({reason})") from None
