"""Writing pictures, and text beside them."""

import functools
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hrnet_jax.errors import DataError
from hrnet_jax.storage import paths
from hrnet_jax.whole_files import whole_file, write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TEXT_SIZE = 15
_LINE = 22
_MARGIN = 10
_INK = (36, 39, 46)


def write_picture(path: pathlib.Path, pixels: np.ndarray) -> None:
    """Writes uint8 RGB [H, W, 3] or grey [H, W] in the format of the file's name.

    Raises:
        DataError: if the file cannot be written.
    """
    # Not `imwrite`, which says nothing of a disk that fills up.
    stored = pixels if pixels.ndim == 2 else pixels[..., ::-1]
    _, encoded = cv2.imencode(path.suffix, stored)
    try:
        write_whole(path, encoded.tobytes())
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path}: cannot be written ({reason})") from error


def save_pictures(folder: pathlib.Path, pictures: dict[str, np.ndarray]) -> None:
    """Writes uint8 RGB pictures as `<name>.png`.

    Raises:
        DataError: if a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        write_picture(folder / f"{name}.png", picture)


def save_figure(figure: "Figure", path: str | os.PathLike, dpi: int) -> None:
    """Writes a figure in the format of the file's name, `.png` if it has no ending.

    Raises:
        OSError: naming the file, if it cannot be written.
        ValueError: for an unknown format.
    """
    path = paths.as_path(path)
    if not path.suffix:
        path = path.with_name(f"{path.name}.png")
    with whole_file(path) as file:
        figure.savefig(file, dpi=dpi, format=path.suffix[1:])


@functools.cache
def font(size: int = _TEXT_SIZE, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The typeface that comes with matplotlib."""
    # Late: it takes half a second, and most predictions are not drawn.
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    path = pathlib.Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name
    return ImageFont.truetype(str(path), size)


def with_caption(image: np.ndarray, lines: Sequence[str]) -> np.ndarray:
    """The picture with lines of text below it, as wide as the wider of both."""
    height, width = image.shape[:2]
    text_width = max((int(font().getlength(line)) + 1 for line in lines), default=0)
    canvas = Image.new(
        "RGB",
        (
            max(width, text_width + 2 * _MARGIN),
            height + len(lines) * _LINE + 2 * _MARGIN,
        ),
        "white",
    )
    canvas.paste(Image.fromarray(image), (0, 0))
    draw = ImageDraw.Draw(canvas)
    for index, line in enumerate(lines):
        place = (_MARGIN, height + _MARGIN + index * _LINE)
        draw.text(place, line, fill=_INK, font=font())
    return np.asarray(canvas)


def side_by_side(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Two pictures in a row; the lower one is filled up with black."""
    height = max(len(left), len(right))
    parts = [
        np.pad(part, ((0, height - len(part)), (0, 0), (0, 0)))
        for part in (left, right)
    ]
    return np.concatenate(parts, axis=1)
