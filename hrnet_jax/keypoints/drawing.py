"""Pictures of key points: dots and lines over a face or person, heatmaps over a crop."""

import itertools
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw

from hrnet_jax.errors import DataError
from hrnet_jax.imaging.pictures import font

Colour = tuple[int, int, int]

PREDICTED: Colour = (70, 225, 255)
TRUE: Colour = (255, 95, 200)
BOX: Colour = (255, 255, 255)
# Of limbs and joints in the middle, on the left and on the right of a body: what is
# drawn with `sides`. Told apart by people who see no red or green, too.
SIDES: tuple[Colour, Colour, Colour] = ((130, 230, 120), (255, 165, 45), (85, 150, 255))

# Peaks of heatmaps are 1 where the network is sure of a point that it sees.
LOW_SCORE = 0.2

_OUTLINE: Colour = (12, 16, 22)
# Coordinates reach OpenCV in sixteenths of a pixel.
_SHIFT = 4
# Radius of a dot: that many of them are the size of a face.
_RADII_PER_FACE, _MIN_RADIUS = 130, 1.3
# A face is drawn at least so large, in pixels, or enlarged so often.
_DRAWN_SIZE, _MAX_ZOOM = 600, 4
# Nothing that far outside would be seen, and it would overflow there.
_FARTHEST = 1e6
_MIN_HEIGHT = 256
# Height of captions: that many of them are the size of a person; in pixels.
_TEXTS_PER_PERSON, _LEAST_TEXT, _MOST_TEXT = 18, 10, 40


def draw_points(
    image: np.ndarray,
    points: np.ndarray,
    *,
    lines: Sequence[Sequence[int]] = (),
    scores: np.ndarray | None = None,
    boxes: np.ndarray | None = None,
    truth: np.ndarray | None = None,
    truth_mask: np.ndarray | None = None,
    sides: np.ndarray | None = None,
    captions: Sequence[str] = (),
) -> np.ndarray:
    """Draws the points of faces or persons, joined by lines, onto a copy of an image.

    All sizes follow that of the face. A dark outline keeps colours readable on bright
    and on dark skin.

    Args:
        image: uint8 [H, W, 3] RGB.
        points: float [N, K, 2], x and y in pixels; what is not finite is left out.
        lines: polylines through point indices; closed ones repeat their first.
        scores: float [N, K]; a point below `LOW_SCORE` is drawn hollow.
        boxes: float [N, 4], x1, y1, x2, y2.
        truth: float [N, K, 2], drawn in another colour below the points.
        truth_mask: bool or 0/1 [N, K]; true points to draw. None draws all.
        sides: int [K], index into `SIDES`, the colours of points of a body, where no
            line leads to a hollow one; None for one colour.
        captions: a short text for each, at its box or above its points.

    Returns:
        uint8 [H, W, 3] RGB.

    Raises:
        DataError: for shapes that do not fit.
    """
    _check_image(image)
    points = _checked_points(points, lines)
    faces, count = points.shape[:2]
    _check_shape("scores", scores, (faces, count))
    _check_shape("boxes", boxes, (faces, 4))
    _check_shape("truth", truth, points.shape)
    _check_shape("truth_mask", truth_mask, (faces, count))
    _check_shape("sides", sides, (count,))
    _check_shape("captions", np.array(captions) if captions else None, (faces,))
    colours = [PREDICTED] * count if sides is None else [SIDES[k] for k in sides]
    picture = np.array(image, order="C")
    for face in range(faces):
        predicted = _visible(points[face])
        true = None if truth is None else _true_points(truth, truth_mask, face)
        size = _face_size(predicted if true is None else np.vstack([predicted, true]))
        if boxes is not None:
            _draw_box(picture, boxes[face], max(1, round(size / 250)))
        if true is not None:
            _draw_face(picture, true, lines, None, size, [TRUE] * count)
        low = None if scores is None else ~(np.asarray(scores[face]) >= LOW_SCORE)
        _draw_face(picture, predicted, _drawn(lines, low, sides), low, size, colours)
    places = points if boxes is None else np.reshape(boxes, (faces, 2, 2))
    return _with_captions(picture, places, captions)


def _true_points(
    truth: np.ndarray, truth_mask: np.ndarray | None, face: int
) -> np.ndarray:
    """The true points of one face; see `_visible`."""
    shown = None if truth_mask is None else np.asarray(truth_mask[face], bool)
    return _visible(truth[face], shown)


def _with_captions(
    picture: np.ndarray, places: np.ndarray, captions: Sequence[str]
) -> np.ndarray:
    for place, text in zip(places, captions, strict=False):
        picture = _with_caption(picture, place, text)
    return picture


def _with_caption(picture: np.ndarray, corners: np.ndarray, text: str) -> np.ndarray:
    """The picture with a text above the left of what has these corners, [N, 2]."""
    corners = corners[~np.isnan(_visible(corners)[:, 0])]
    if not len(corners):
        return picture
    (left, top), size = corners.min(0), float(np.ptp(corners, axis=0).max())
    height = int(np.clip(size / _TEXTS_PER_PERSON, _LEAST_TEXT, _MOST_TEXT))
    sheet = Image.fromarray(picture)
    face, rim = font(height, bold=True), max(1, height // 8)
    x = float(np.clip(left, 0, max(0.0, picture.shape[1] - face.getlength(text))))
    y = float(np.clip(top - 1.4 * height, 0, max(0, len(picture) - 1.4 * height)))
    ImageDraw.Draw(sheet).text(
        (x, y), text, fill=BOX, font=face, stroke_width=rim, stroke_fill=_OUTLINE
    )
    return np.asarray(sheet).copy()


def draw_heatmaps(image: np.ndarray, heatmaps: np.ndarray) -> np.ndarray:
    """Lays the highest of all heatmaps over the crop that they belong to.

    The scale is absolute: 0 shows the darkened crop, 1 and above the brightest
    colour. Small pictures are enlarged to a height of 256 pixels.

    Args:
        image: uint8 [H, W, 3] RGB, the crop.
        heatmaps: float [h, w, K], covering the same area as the crop.

    Returns:
        uint8 [H', W', 3] RGB.

    Raises:
        DataError: for shapes that do not fit.
    """
    _check_image(image)
    heatmaps = np.asarray(heatmaps, np.float32)
    if heatmaps.ndim != 3 or not heatmaps.size:
        raise DataError(f"heatmaps of shape {heatmaps.shape}, expected (h, w, K)")
    height, width = image.shape[:2]
    scale = max(1.0, _MIN_HEIGHT / height)
    size = round(width * scale), round(height * scale)
    picture = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    heat = np.nan_to_num(heatmaps, nan=0.0, posinf=1.0).max(2)
    # Cells are areas here, as in the network: their centres are half a cell inside.
    heat = cv2.resize(heat, size, interpolation=cv2.INTER_LINEAR).clip(0, 1)
    colours = cv2.applyColorMap(
        np.rint(255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO
    )[..., ::-1]
    # The square root shows weak peaks too.
    opacity = 0.9 * np.sqrt(heat)[..., None]
    blended = 0.6 * picture * (1 - opacity) + opacity * colours
    return np.rint(blended).astype(np.uint8)


def _checked_points(points: np.ndarray, lines: Sequence[Sequence[int]]) -> np.ndarray:
    """Points float64 [N, K, 2] that the lines lead through."""
    points = np.asarray(points, np.float64)
    if points.ndim != 3 or points.shape[2] != 2:
        raise DataError(f"points of shape {points.shape}, expected (N, K, 2)")
    count = points.shape[1]
    wrong = [index for line in lines for index in line if not 0 <= index < count]
    if wrong:
        raise DataError(f"a line leads to point {wrong[0]}, expected 0..{count - 1}")
    return points


def _check_image(image: np.ndarray) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise DataError(
            f"image is {image.dtype} {image.shape}, expected uint8 (H, W, 3)"
        )


def _check_shape(name: str, values: np.ndarray | None, shape: tuple) -> None:
    if values is not None and np.shape(values) != shape:
        raise DataError(f"{name} of shape {np.shape(values)}, expected {shape}")


def _visible(points: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Float64 [K, 2] with NaN for what is not to be drawn."""
    points = np.asarray(points, np.float64)
    shown = np.isfinite(points).all(1) & (np.abs(points) < _FARTHEST).all(1)
    if mask is not None:
        shown &= mask
    return np.where(shown[:, None], points, np.nan)


def _face_size(points: np.ndarray) -> float:
    """Larger side of the box around the points, in pixels; 0 for none."""
    shown = points[~np.isnan(points[:, 0])]
    return float(np.ptp(shown, axis=0).max()) if len(shown) else 0.0


def _draw_face(
    picture: np.ndarray,
    points: np.ndarray,
    lines: Sequence[Sequence[int]],
    low: np.ndarray | None,
    size: float,
    colours: Sequence[Colour],
) -> None:
    """Draws one face in place, each point in its colour.

    Small faces are drawn enlarged and then reduced, which gives lines of any
    width; pixels beside them come back unchanged.
    """
    shown = ~np.isnan(points[:, 0])
    radius = max(_MIN_RADIUS, size / _RADII_PER_FACE)
    if not shown.any():
        return
    margin = 2 * radius + 2
    left, top = np.floor(points[shown].min(0) - margin).clip(0).astype(int)
    right, bottom = np.ceil(points[shown].max(0) + margin).astype(int) + 1
    # A view, so what is written here is in the picture.
    region = picture[top : max(bottom, 0), left : max(right, 0)]
    if not region.size:
        return
    zoom = int(np.clip(np.ceil(_DRAWN_SIZE / max(1.0, size)), 1, _MAX_ZOOM))
    large = region.repeat(zoom, 0).repeat(zoom, 1)
    moved = (points - (left, top) + 0.5) * zoom - 0.5
    _draw_lines_and_dots(large, moved, lines, low, radius * zoom, colours)
    region[:] = cv2.resize(large, region.shape[1::-1], interpolation=cv2.INTER_AREA)


def _draw_lines_and_dots(
    picture: np.ndarray,
    points: np.ndarray,
    lines: Sequence[Sequence[int]],
    low: np.ndarray | None,
    radius: float,
    colours: Sequence[Colour],
) -> None:
    """All outlines, then all lines, then the dots, so that none cuts another."""
    shown = ~np.isnan(points[:, 0])
    fixed = np.rint(np.where(shown[:, None], points, 0) * 2**_SHIFT).astype(np.int32)
    runs = _between(lines, shown)
    width, rim = max(1, round(0.6 * radius)), max(1, round(0.3 * radius))
    strokes = [(_OUTLINE, runs, width + 2 * rim)]
    strokes += [(paint, part, width) for paint, part in _by_colour(runs, colours)]
    for paint, part, thickness in strokes:
        places = [fixed[run].reshape(-1, 1, 2) for run in part]
        cv2.polylines(
            picture, places, False, paint, thickness, cv2.LINE_AA, shift=_SHIFT
        )
    for index in np.flatnonzero(shown):
        x, y = (int(value) for value in fixed[index])
        place = x, y
        _disc(picture, place, radius + rim, _OUTLINE)
        _disc(picture, place, radius, colours[int(index)])
        if low is not None and low[index]:
            _disc(picture, place, 0.6 * radius, _OUTLINE)


def _by_colour(
    runs: list[list[int]], colours: Sequence[Colour]
) -> list[tuple[Colour, list[list[int]]]]:
    """The parts of polylines that have one colour; see `draw_points`."""
    if len(set(colours)) == 1:
        return [(colours[0], runs)]
    parts: dict[Colour, list[list[int]]] = {}
    for run in runs:
        for ends in itertools.pairwise(run):
            aside = {colours[end] for end in ends} - {SIDES[0]}
            colour = aside.pop() if len(aside) == 1 else SIDES[0]
            parts.setdefault(colour, []).append(list(ends))
    return list(parts.items())


def _drawn(
    lines: Sequence[Sequence[int]], low: np.ndarray | None, sides: np.ndarray | None
) -> Sequence[Sequence[int]]:
    """Lines of a face, limbs of a body: those that end anywhere would hide the others."""
    return lines if low is None or sides is None else _between(lines, ~low)


def _between(lines: Sequence[Sequence[int]], shown: np.ndarray) -> list[list[int]]:
    """The parts of polylines between points that are shown."""
    runs: list[list[int]] = []
    for line in lines:
        runs.append([])
        for index in line:
            if shown[index]:
                runs[-1].append(index)
            else:
                runs.append([])
    return [run for run in runs if len(run) > 1]


def _disc(
    picture: np.ndarray, place: tuple[int, int], radius: float, colour: Colour
) -> None:
    fixed = round(radius * 2**_SHIFT)
    cv2.circle(picture, place, fixed, colour, -1, cv2.LINE_AA, shift=_SHIFT)


def _draw_box(picture: np.ndarray, box: np.ndarray, width: int) -> None:
    box = np.asarray(box, np.float64)
    if not (np.isfinite(box).all() and (np.abs(box) < _FARTHEST).all()):
        return
    x1, y1, x2, y2 = (round(float(value) * 2**_SHIFT) for value in box)
    for colour, thickness in ((_OUTLINE, width + 2), (BOX, width)):
        cv2.rectangle(
            picture, (x1, y1), (x2, y2), colour, thickness, cv2.LINE_AA, _SHIFT
        )
