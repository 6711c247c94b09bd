"""Pictures of detections: masks, boxes, and names with scores that stay legible."""

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw

from hrnet_jax.detection.image_masks import ImageMasks
from hrnet_jax.imaging.palette import Colour, default_palette
from hrnet_jax.imaging.pictures import font

# Side of a picture, in pixels, for which lines are one pixel wide.
_SIDE = 400
# Of the height of a line of text to the shorter side of a picture.
_TEXT, _LEAST_TEXT, _MOST_TEXT = 0.028, 11, 64
_OPACITY = 0.45
_DARK: Colour = (20, 20, 20)
_LIGHT: Colour = (255, 255, 255)

# Of a caption: (x1, y1, x2, y2) in pixels.
Place = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True)
class Drawn:
    """Objects to draw.

    Attributes:
        boxes: [N, 4], (x1, y1, x2, y2) in pixels, edges.
        classes: int [N].
        captions: of each; empty for none.
        masks: of each; None for none.
    """

    boxes: np.ndarray
    classes: np.ndarray
    captions: Sequence[str] = ()
    masks: ImageMasks | None = None


def draw_objects(image: np.ndarray, drawn: Drawn, colours: int) -> np.ndarray:
    """A picture of an image with objects in it.

    The first is drawn last, above all others; captions stand inside the picture,
    and move down or up where they would lie upon a better one. Where there is no room
    they are left out, as in pictures hardly higher than a line of text.

    Args:
        image: uint8 [H, W, 3] RGB.
        drawn: the objects, best first.
        colours: number of classes, each of which has its own colour.

    Returns:
        uint8 [H, W, 3].
    """
    picture = np.ascontiguousarray(image).copy()
    palette = default_palette(min(max(colours, 1), 256))
    shades = [palette[int(number) % len(palette)] for number in drawn.classes]
    order = range(len(drawn.boxes) - 1, -1, -1)
    if drawn.masks is not None:
        for index in order:
            _tint(picture, drawn.masks, index, shades[index])
    width = max(1, round(max(image.shape[:2]) / _SIDE))
    for index in order:
        _draw_box(picture, drawn.boxes[index], shades[index], width)
    if not drawn.captions:
        return picture
    return _with_captions(picture, drawn, shades, width)


def _tint(picture: np.ndarray, masks: ImageMasks, index: int, colour: Colour) -> None:
    """Blends a mask into the picture, with its outline."""
    part, (top, left) = masks.part(index)
    rows, columns = part.shape
    place = picture[top : top + rows, left : left + columns]
    blended = (1 - _OPACITY) * place[part] + _OPACITY * np.array(colour)
    place[part] = np.rint(blended)
    outlines, _ = cv2.findContours(
        part.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    offset = (left, top)
    cv2.drawContours(picture, outlines, -1, colour, 1, cv2.LINE_AA, offset=offset)


def _draw_box(picture: np.ndarray, box: np.ndarray, colour: Colour, width: int) -> None:
    # Edges lie between pixels; what is drawn are the outermost pixels inside.
    x1, y1, x2, y2 = np.rint(np.nan_to_num(box)).astype(int)
    corners = (int(x1), int(y1)), (int(max(x1, x2 - 1)), int(max(y1, y2 - 1)))
    for shade, thickness in ((_DARK, width + 2), (colour, width)):
        cv2.rectangle(picture, *corners, shade, thickness)


def _with_captions(
    picture: np.ndarray, drawn: Drawn, shades: Sequence[Colour], width: int
) -> np.ndarray:
    height, length = picture.shape[:2]
    size = int(np.clip(_TEXT * min(height, length), _LEAST_TEXT, _MOST_TEXT))
    sheet = Image.fromarray(picture)
    canvas = ImageDraw.Draw(sheet)
    face = font(size, bold=True)
    taken: list[Place] = []
    for index, text in enumerate(drawn.captions):
        x1, y1 = drawn.boxes[index][:2]
        wide, high = int(face.getlength(text)) + size // 2, size + size // 3
        x = float(np.clip(x1 - width, 0, max(0, length - wide)))
        y = float(np.clip(y1 - high, 0, max(0, height - high)))
        place = _free_place((x, y, x + wide, y + high), taken, height)
        if place is None:
            continue
        taken.append(place)
        canvas.rectangle(place, fill=shades[index])
        middle = (place[0] + size // 4, (place[1] + place[3]) / 2)
        ink = _DARK if sum(shades[index]) > 384 else _LIGHT
        canvas.text(middle, text, fill=ink, font=face, anchor="lm")
    return np.asarray(sheet)


def _free_place(place: Place, taken: Sequence[Place], height: float) -> Place | None:
    """The same place, or the next one below, or above, that no other caption has.

    None where a column of the picture, `height` pixels high, is full of captions.
    """
    x1, first, x2, end = place
    high = end - first
    beside = [other for other in taken if x1 < other[2] and other[0] < x2]
    y1 = first
    for _, top, _, bottom in sorted(beside, key=lambda box: box[1]):
        if y1 < bottom and top < y1 + high:
            y1 = bottom
    if y1 + high <= height:
        return x1, y1, x2, y1 + high
    y1 = first
    for _, top, _, bottom in sorted(beside, key=lambda box: -box[3]):
        if y1 < bottom and top < y1 + high:
            y1 = top - high
    return (x1, y1, x2, y1 + high) if y1 >= 0 else None
