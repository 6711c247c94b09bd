"""Pictures of segmentations: colour maps, overlays and panels with a legend."""

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw

from hrnet_jax.data.info import IGNORE_LABEL, DatasetInfo
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.palette import IGNORED, Colour, default_palette
from hrnet_jax.imaging.pictures import font

WRONG: Colour = (225, 25, 45)

_PAPER: Colour = (255, 255, 255)
_INK: Colour = (32, 33, 36)
_FAINT_INK: Colour = (110, 113, 119)
_FRAME: Colour = (205, 207, 212)
_LINE: Colour = (255, 255, 255)

# Sizes in pixels of the finished picture.
_MIN_SIDE, _MAX_SIDE = 320, 760
_MARGIN, _GAP = 20, 16
_TITLE_HEIGHT, _FONT_SIZE = 30, 17
_SWATCH, _ROW_HEIGHT, _COLUMN_GAP = 18, 28, 30
# Rows that are blended together.
_STRIP = 256


@dataclasses.dataclass(frozen=True)
class _Entry:
    """One line of the legend."""

    colour: Colour
    name: str
    remark: str


def color_map(label: np.ndarray, palette: Sequence[Colour]) -> np.ndarray:
    """Paints every label in the colour of its class, ignored pixels white.

    Args:
        label: uint8 [H, W], values below `len(palette)` or 255 (ignored).
        palette: an RGB colour (0..255) for each class.

    Returns:
        uint8 [H, W, 3].

    Raises:
        DataError: if a label has no colour.
    """
    _check_labels(label, len(palette))
    table = np.full((256, 3), IGNORED, np.uint8)
    table[: len(palette)] = np.asarray(palette, np.uint8).reshape(-1, 3)
    return table[label]


def overlay(
    image: np.ndarray, label: np.ndarray, palette: Sequence[Colour], alpha: float = 0.5
) -> np.ndarray:
    """Blends class colours into an image and draws thin class boundaries.

    Ignored pixels show the image alone.

    Args:
        image: uint8 [H, W, 3] RGB.
        label: uint8 [H, W].
        palette: an RGB colour for each class.
        alpha: opacity of the colours, 0 to 1.

    Returns:
        uint8 [H, W, 3].

    Raises:
        DataError: if shapes disagree or a label has no colour.
    """
    _check_shapes(image, label, "label")
    colours = color_map(label, palette)
    edges = _boundaries(label)
    picture = np.empty_like(image)
    line = np.asarray(_LINE, np.float32)
    # In strips: in real numbers a photograph needs many times its memory.
    for start in range(0, len(image), _STRIP):
        rows = slice(start, start + _STRIP)
        opacity = np.where(label[rows] == IGNORE_LABEL, 0.0, alpha)[..., None]
        below = image[rows].astype(np.float32)
        blended = below + opacity.astype(np.float32) * (colours[rows] - below)
        edge = edges[rows][..., None]
        blended = np.where(edge, 0.25 * blended + 0.75 * line, blended)
        picture[rows] = np.rint(blended)
    return picture


def draw_panels(
    image: np.ndarray,
    label: np.ndarray,
    info: DatasetInfo,
    target: np.ndarray | None = None,
) -> np.ndarray:
    """Image, labels and overlay side by side above a legend.

    With a target a second row shows errors and the truth. Small images are
    enlarged, large ones reduced. The legend lists the classes that occur, the
    most frequent first, with their share of the labelled pixels and, with a
    target, their intersection over union in this image.

    Args:
        image: uint8 [H, W, 3] RGB.
        label: uint8 [H, W], predicted labels; 255 is ignored.
        info: names and colours of the classes; `default_palette` is used where
            it has no colours.
        target: uint8 [H, W], true labels; 255 is ignored.

    Returns:
        uint8 [h, w, 3] RGB.

    Raises:
        DataError: if shapes disagree or a label has no class.
    """
    _check_shapes(image, label, "label")
    if target is not None:
        _check_shapes(image, target, "target")
    palette = info.palette or default_palette(info.num_classes)
    # Checked before scaling, which may skip bad pixels.
    for labels in (label, target):
        if labels is not None:
            _check_labels(labels, len(palette))
    size = _panel_size(*label.shape)
    picture, small = _scale_image(image, size), _scale_label(label, size)
    rows = [
        [
            ("Image", picture),
            ("Prediction", color_map(small, palette)),
            ("Prediction over image", overlay(picture, small, palette)),
        ]
    ]
    if target is not None:
        truth = _scale_label(target, size)
        rows.append(
            [
                (_error_title(label, target), _errors(picture, small, truth)),
                ("Truth", color_map(truth, palette)),
                ("Truth over image", overlay(picture, truth, palette)),
            ]
        )
    return _compose(rows, _legend(label, target, info.class_names, palette))


def _check_shapes(image: np.ndarray, label: np.ndarray, name: str) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise DataError(
            f"image is {image.dtype} {image.shape}, expected uint8 (H, W, 3)"
        )
    if label.shape != image.shape[:2] or label.dtype != np.uint8:
        raise DataError(
            f"{name} is {label.dtype} {label.shape}, expected uint8 "
            f"{image.shape[:2]}, the size of the image"
        )


def _check_labels(label: np.ndarray, num_colours: int) -> None:
    unknown = (label >= num_colours) & (label != IGNORE_LABEL)
    if unknown.any():
        raise DataError(
            f"label {int(label[unknown][0])} cannot be drawn; expected 0.."
            f"{num_colours - 1} or {IGNORE_LABEL} (ignored)"
        )


def _boundaries(label: np.ndarray) -> np.ndarray:
    """Bool [H, W]: the pixel differs from its right or lower neighbour."""
    edge = np.zeros(label.shape, bool)
    edge[:, :-1] |= label[:, 1:] != label[:, :-1]
    edge[:-1] |= label[1:] != label[:-1]
    return edge


def _panel_size(height: int, width: int) -> tuple[int, int]:
    """Size (height, width) that is neither too small nor too large to look at."""
    scale = max(1.0, _MIN_SIDE / min(height, width))
    scale = min(scale, _MAX_SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _scale_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    shrinks = size[0] < image.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(image, size[::-1], interpolation=method)


def _scale_label(label: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(label, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def _errors(image: np.ndarray, label: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Wrong pixels red, right ones dimmed grey, ignored ones white."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    picture = np.repeat(30 + 0.45 * grey, 3, axis=2)
    labelled = target != IGNORE_LABEL
    wrong = labelled & (label != target)
    picture[wrong] = 0.15 * picture[wrong] + 0.85 * np.asarray(WRONG, np.float32)
    picture[~labelled] = IGNORED
    return np.rint(picture).astype(np.uint8)


def _error_title(label: np.ndarray, target: np.ndarray) -> str:
    labelled = target != IGNORE_LABEL
    if not labelled.any():
        return "Errors: nothing labelled"
    share = np.mean(label[labelled] != target[labelled])
    return f"Errors: {100 * share:.1f} % of labelled pixels"


def _legend(
    label: np.ndarray,
    target: np.ndarray | None,
    names: Sequence[str],
    palette: Sequence[Colour],
) -> list[_Entry]:
    """Entries of the classes that occur, the most frequent first."""
    count = _count(label)
    present = count[:IGNORE_LABEL] > 0
    if target is not None:
        labelled = target != IGNORE_LABEL
        correct = _count(label[labelled & (label == target)])
        union = _count(label[labelled]) + _count(target[labelled]) - correct
        present |= union[:IGNORE_LABEL] > 0
    total = max(1, count[:IGNORE_LABEL].sum())
    entries = []
    for value in np.argsort(-count[:IGNORE_LABEL], kind="stable"):
        if not present[value]:
            continue
        remark = f"{100 * count[value] / total:.1f} %"
        if target is not None and union[value]:
            remark += f" · IoU {100 * correct[value] / union[value]:.0f}"
        entries.append(_Entry(tuple(palette[value]), names[value], remark))
    if target is not None:
        entries.append(_Entry(WRONG, "wrong", ""))
    shown = label if target is None else np.stack([label, target])
    if (shown == IGNORE_LABEL).any():
        entries.append(_Entry(IGNORED, "not labelled", ""))
    return entries


def _count(label: np.ndarray) -> np.ndarray:
    """Int [256]: pixels of each label."""
    return np.bincount(label.ravel(), minlength=256)


def _compose(
    rows: list[list[tuple[str, np.ndarray]]], entries: list[_Entry]
) -> np.ndarray:
    """Places titled pictures of one size in a grid and the legend below."""
    height, width = rows[0][0][1].shape[:2]
    titles = [title for row in rows for title, _ in row]
    # Narrow pictures stand in wider cells, so that titles never overlap.
    cell = max(
        width,
        *(int(font(_FONT_SIZE, bold=True).getlength(title)) + 1 for title in titles),
    )
    columns = len(rows[0])
    inner = columns * cell + (columns - 1) * _GAP
    step = _TITLE_HEIGHT + height + _GAP
    legend_top = _MARGIN + len(rows) * step
    texts, pitch, per_row = _arrange_legend(entries, inner)
    legend_rows = -(-len(entries) // per_row)
    canvas = Image.new(
        "RGB",
        (inner + 2 * _MARGIN, legend_top + legend_rows * _ROW_HEIGHT + _MARGIN),
        _PAPER,
    )
    draw = ImageDraw.Draw(canvas)
    for r, row in enumerate(rows):
        for c, (title, picture) in enumerate(row):
            x, y = _MARGIN + c * (cell + _GAP), _MARGIN + r * step
            middle = y + _TITLE_HEIGHT // 2 - 2
            draw.text(
                (x, middle), title, _INK, font(_FONT_SIZE, bold=True), anchor="lm"
            )
            y += _TITLE_HEIGHT
            canvas.paste(Image.fromarray(picture), (x, y))
            draw.rectangle((x - 1, y - 1, x + width, y + height), outline=_FRAME)
    for index, (entry, name) in enumerate(zip(entries, texts, strict=True)):
        # Read down the columns: the most frequent classes stand together.
        column, line = divmod(index, legend_rows)
        x = _MARGIN + column * pitch
        _draw_entry(draw, x, legend_top + line * _ROW_HEIGHT, entry, name)
    return np.asarray(canvas)


def _arrange_legend(entries: list[_Entry], width: int) -> tuple[list[str], int, int]:
    """Fits names into equal columns.

    Returns:
        The names, shortened where one alone would not fit; the distance of
        columns in pixels; the number of columns.
    """
    names = []
    longest = 0
    for entry in entries:
        rest = _SWATCH + 10 + _remark_width(entry.remark)
        names.append(_shorten(entry.name, max(80, width - rest)))
        longest = max(longest, rest + int(font(_FONT_SIZE).getlength(names[-1])) + 1)
    pitch = longest + _COLUMN_GAP
    return names, pitch, max(1, (width + _COLUMN_GAP) // pitch)


def _remark_width(remark: str) -> int:
    return int(font(_FONT_SIZE).getlength(remark)) + 9 if remark else 0


def _shorten(text: str, width: int) -> str:
    if font(_FONT_SIZE).getlength(text) <= width:
        return text
    while text and font(_FONT_SIZE).getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def _draw_entry(
    draw: ImageDraw.ImageDraw, x: int, y: int, entry: _Entry, name: str
) -> None:
    middle = y + _ROW_HEIGHT // 2
    top = middle - _SWATCH // 2
    draw.rounded_rectangle(
        (x, top, x + _SWATCH, top + _SWATCH), 4, fill=entry.colour, outline=_FRAME
    )
    x += _SWATCH + 10
    draw.text((x, middle), name, _INK, font(_FONT_SIZE), anchor="lm")
    end = x + font(_FONT_SIZE).getlength(name) + 8
    draw.text((end, middle), entry.remark, _FAINT_INK, font(_FONT_SIZE), anchor="lm")
