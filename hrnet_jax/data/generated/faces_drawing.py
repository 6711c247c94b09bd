"""Draws the faces of the `faces` data set.

Coordinates here are pixel edges: pixel (x, y) covers [x, x + 1) x [y, y + 1).
Colours are RGB, 0..255.
"""

import math

import cv2
import numpy as np

from hrnet_jax.data.generated.faces_look import Look, Occluder, mix
from hrnet_jax.data.generated.faces_shape import (
    EAR_LEVEL,
    Curves,
    Face,
    SideCurves,
    superellipse,
)

_OVERSAMPLING = 4
_WHITE = np.array([248, 246, 242])
_DARK = np.array([38, 22, 24])
_TEETH = np.array([244, 240, 228])
_TONGUE = np.array([200, 96, 100])

_TURN = np.linspace(0, 2 * math.pi, 40, endpoint=False)
_UNIT_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)

# Exponent of the superellipse of the skull.
_SKULL = 2.3


def paint_face(
    image: np.ndarray,
    face: Face,
    shape: Curves,
    look: Look,
    occluder: Occluder | None = None,
) -> np.ndarray:
    """Puts a face on an image.

    Args:
        image: float32 [S, S, 3], 0..1, the background.
        face: the parameters that `shape` was made from.
        shape: the curves of the face.
        look: its colours.
        occluder: what hides a part of it, if anything.

    Returns:
        float32 [S, S, 3].
    """
    painter = _Painter(image)
    _paint_behind(painter, face, shape, look)
    _paint_head(painter, face, shape, look)
    _paint_nose(painter, face, shape, look)
    _paint_mouth(painter, face, shape, look)
    for side in (shape.left, shape.right):
        _paint_eye(painter, face, side, look)
        painter.fill(_band(side.brow_upper, side.brow_lower), 0.9 * look.hair)
    if look.hair_style != "none":
        _paint_front_hair(painter, face, look)
    if look.glasses is not None:
        _paint_glasses(painter, face, look.glasses)
    image = _light(painter.image(), _head(face, shape), face, look)
    return image if occluder is None else _paint_occluder(image, occluder)


class _Painter:
    """An oversampled canvas that takes coordinates of the image."""

    def __init__(self, image: np.ndarray) -> None:
        size = len(image) * _OVERSAMPLING
        pixels = np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)
        # Nearest neighbours come back unchanged when areas are averaged.
        self._canvas = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_NEAREST)

    def fill(self, polygon: np.ndarray, colour: np.ndarray) -> None:
        """Fills a polygon [N, 2]."""
        cv2.fillPoly(self._canvas, [_fixed(polygon)], _plain(colour), shift=4)

    def line(
        self, points: np.ndarray, colour: np.ndarray, width: float, closed: bool = False
    ) -> None:
        """Draws a line through points [N, 2], its width in pixels."""
        thickness = max(1, round(width * _OVERSAMPLING))
        cv2.polylines(
            self._canvas, [_fixed(points)], closed, _plain(colour), thickness, shift=4
        )

    def disc(self, centre: np.ndarray, radius: float, colour: np.ndarray) -> None:
        """Fills a disc."""
        self.fill(centre + radius * _UNIT_CIRCLE, colour)

    def image(self) -> np.ndarray:
        """float32 [S, S, 3], 0..1."""
        size = len(self._canvas) // _OVERSAMPLING
        small = cv2.resize(self._canvas, (size, size), interpolation=cv2.INTER_AREA)
        return small.astype(np.float32) / 255


def _fixed(points: np.ndarray, oversampling: int = _OVERSAMPLING) -> np.ndarray:
    # OpenCV counts pixel centres as integers and takes 1/16 pixels with shift=4.
    return np.rint((points * oversampling - 0.5) * 16).astype(np.int32)


def _plain(colour: np.ndarray) -> tuple[int, ...]:
    return tuple(min(max(int(value), 0), 255) for value in colour)


def _band(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The polygon between two curves that run the same way."""
    return np.concatenate([first, second[::-1]])


def _arc(
    centre: tuple[float, float],
    radii: tuple[float, float],
    start: float,
    end: float,
    exponent: float = 2.0,
) -> np.ndarray:
    """A part of a superellipse, [33, 2] in the face frame, angles in turns."""
    angles = 2 * math.pi * np.linspace(start, end, 33)
    return np.stack(superellipse(angles, exponent), axis=1) * radii + centre


def _head(face: Face, shape: Curves) -> np.ndarray:
    """Outline of the head: the jaw and the top of the skull."""
    skull = _arc((0, EAR_LEVEL), (1, EAR_LEVEL - face.forehead), 1, 0.5, _SKULL)
    return np.concatenate([shape.jaw, face.project_outline(skull)[1:-1]])


def _hair_outline(face: Face, look: Look, width: float) -> np.ndarray:
    """Outline of the hair from the left ear over the top to the right ear."""
    height = EAR_LEVEL - face.forehead + look.volume
    angles = math.pi * np.linspace(-1, 0, 97)
    x, y = superellipse(angles, _SKULL)
    # Counted from the top, so that a mirrored face has mirrored curls.
    curls = 1 + look.curls * np.abs(np.cos(9 * (angles + math.pi / 2)))
    outline = np.stack([x * width * curls, y * height * curls + EAR_LEVEL], axis=1)
    return face.project_outline(outline)


def _paint_behind(painter: _Painter, face: Face, shape: Curves, look: Look) -> None:
    """Hair at the back, neck, clothes and ears."""
    place = face.project_outline
    if look.hair_style == "long":
        hair = _hair_outline(face, look, 1.16)
        ends = _arc((0, 1.1), (1.24, 0.85), 0, 0.5, 4)
        painter.fill(np.concatenate([hair, place(ends)]), 0.72 * look.hair)
    neck = place(np.array([[-0.56, 0.8], [0.56, 0.8], [0.62, 3], [-0.62, 3]]))
    painter.fill(neck, 0.88 * look.skin)
    # The shadow of the head on the neck sets the chin off.
    drop = place(np.array([[0, 0.12]])) - place(np.zeros((1, 2)))
    shadow = shape.jaw[21:-21] + drop
    painter.fill(np.concatenate([neck[:2], shadow[::-1]]), 0.7 * look.skin)
    painter.fill(place(_arc((0, 3.2), (2.2, 1.1), 0.5, 1, 2.5)), look.cloth)
    collar = place(_arc((0, 2.0), (0.6, 0.34), 0, 0.5))
    painter.fill(collar, 0.88 * look.skin)
    for sign in (-1, 1):
        ear = place(_arc((sign * 1.02, 0.24), (0.14, 0.26), 0, 1))
        painter.fill(ear, 0.9 * look.skin)
        inner = place(_arc((sign * 1.05, 0.24), (0.06, 0.14), 0, 1))
        painter.fill(inner, 0.76 * look.skin)


def _paint_head(painter: _Painter, face: Face, shape: Curves, look: Look) -> None:
    """Skin, beard and a thin line along the jaw."""
    painter.fill(_head(face, shape), look.skin)
    if look.beard:
        upper = np.array(
            [[0.86, 0.6], [0.52, 0.86], [0, 0.8], [-0.52, 0.86], [-0.86, 0.6]]
        )
        beard = np.concatenate([shape.jaw[10:-10], face.project(upper)])
        painter.fill(beard, mix(look.skin, look.hair, look.beard))
    painter.line(shape.jaw, 0.6 * look.skin, 0.03 * face.radius)


def _paint_nose(painter: _Painter, face: Face, shape: Curves, look: Look) -> None:
    """A lit bridge, wings and nostrils."""
    light = mix(look.skin, _WHITE, 0.25)
    outline = np.concatenate([shape.left.wing, shape.nose_base, shape.right.wing])
    sides = np.concatenate([outline, shape.bridge[1:2]])
    painter.fill(sides, 0.92 * look.skin)
    painter.line(shape.bridge, light, 0.09 * face.radius)
    painter.disc(shape.bridge[-1], 0.1 * face.radius, light)
    painter.line(outline, 0.7 * look.skin, 0.04 * face.radius)
    for nostril in (1, 3):
        centre = mix(shape.nose_base[nostril], shape.bridge[-1], 0.12)
        painter.disc(centre, 0.045 * face.radius, 0.45 * look.skin)


def _paint_mouth(painter: _Painter, face: Face, shape: Curves, look: Look) -> None:
    """Lips, and teeth and tongue where the mouth is open."""
    top, bottom = shape.mouth_top, shape.mouth_bottom
    painter.fill(_band(shape.lip_top, top), 0.86 * look.lips)
    painter.fill(_band(bottom, shape.lip_bottom), look.lips)
    painter.fill(_band(top, bottom), _DARK)
    if face.mouth_opening > 0.08:
        painter.fill(_band(mix(bottom, top, 0.4)[5:-5], bottom[5:-5]), _TONGUE)
        painter.fill(_band(top, mix(top, bottom, 0.32)), _TEETH)
    painter.line(top, 0.45 * look.lips, 0.03 * face.radius)


def _paint_eye(painter: _Painter, face: Face, side: SideCurves, look: Look) -> None:
    """White, iris and pupil, then lids over what they cover."""
    upper, lower, pupil = side.lid_upper, side.lid_lower, side.pupil[0]
    radius = face.radius
    painter.fill(_band(upper, lower), _WHITE)
    painter.disc(pupil, 0.1 * radius, 0.6 * look.iris)
    painter.disc(pupil, 0.085 * radius, look.iris)
    painter.disc(pupil, 0.045 * radius, np.zeros(3))
    up = np.array([math.sin(face.roll), -math.cos(face.roll)]) * radius
    painter.disc(pupil + 0.035 * up, 0.022 * radius, _WHITE)
    bulge = np.sin(np.linspace(0, math.pi, len(upper)))[:, None]
    painter.fill(_band(upper, upper + 0.12 * up * bulge), 0.86 * look.skin)
    painter.fill(_band(lower, lower - 0.12 * up * bulge), 0.96 * look.skin)
    painter.line(lower, 0.62 * look.skin, 0.02 * radius)
    painter.line(upper, _DARK, 0.045 * radius)


def _paint_front_hair(painter: _Painter, face: Face, look: Look) -> None:
    """Hair between the top of the head and the hairline."""
    x = np.linspace(0.99, -0.99, 81)
    away = np.abs(x - 0.6 * look.parting * (1 - x**2))
    rise = (1 - np.minimum(away / 0.995, 1) ** 3.2) ** (1 / 3.2)
    # Tufts start at the parting and get no deeper towards the temples, where
    # they would reach the brows.
    tufts = look.tufts * np.abs(np.sin(7 * away)) * (1 - x**4)
    hairline = np.stack([x, 0.1 + (look.hairline - 0.1) * rise + tufts], axis=1)
    edge, outline = face.project(hairline), _hair_outline(face, look, 1.08)
    painter.fill(np.concatenate([outline, edge]), look.hair)
    painter.line(edge, 0.75 * look.hair, 0.035 * face.radius)
    crown = outline[12:-12:8]
    crossing = np.stack([np.linspace(-0.85, 0.85, len(crown)), np.zeros(len(crown))], 1)
    crossing[:, 1] = np.interp(crossing[:, 0], x[::-1], hairline[::-1, 1])
    ends = face.project(crossing)
    root = face.project_outline(np.array([[look.parting, face.forehead]]))[0]
    for first, last in zip(crown, ends, strict=True):
        strand = np.array([mix(first, root, 0.3), mix(first, last, 0.5), last])
        painter.line(strand, 0.82 * look.hair, 0.03 * face.radius)


def _paint_glasses(painter: _Painter, face: Face, colour: np.ndarray) -> None:
    """A thin frame that hides no landmark."""
    width = 0.05 * face.radius
    for sign in (-1, 1):
        rim = _arc((sign * face.eye_distance, 0.02), (0.33, 0.27), 0, 1, 2.6)
        painter.line(face.project(rim, 0.1), colour, width, closed=True)
        temple = np.array([[sign * (face.eye_distance + 0.33), -0.02], [sign, 0.05]])
        painter.line(face.project(temple, np.array([0.1, 0])), colour, width)
    bridge = _arc((0, 0.02), (face.eye_distance - 0.33, 0.05), 0.5, 1)
    painter.line(face.project(bridge, 0.1), colour, width)


def _light(image: np.ndarray, head: np.ndarray, face: Face, look: Look) -> np.ndarray:
    """Darkens the side of the head that is away from the light."""
    size = len(image)
    cover = np.zeros((size, size), np.uint8)
    cv2.fillPoly(cover, [_fixed(head, 1)], 255, cv2.LINE_AA, shift=4)
    towards = np.array([math.cos(look.light), math.sin(look.light)])
    towards *= 0.35 * face.radius
    # Soft enough for a quarter of the resolution. A lit head, moved to the light,
    # leaves the other side in the dark.
    small = size // 4
    factor = small / size
    move = np.eye(2, 3) * factor
    move[:, 2] = factor * (towards + 0.5) - 0.5
    lit = cv2.warpAffine(cover, move, (small, small))
    lit = cv2.GaussianBlur(lit, (0, 0), 0.25 * face.radius * factor)
    lit = cv2.resize(lit, (size, size), interpolation=cv2.INTER_LINEAR)
    shadow = cover.astype(np.float32) * (255 - lit.astype(np.float32))
    return image * (1 - shadow * np.float32(look.shade / 255**2))[..., None]


def _paint_occluder(image: np.ndarray, occluder: Occluder) -> np.ndarray:
    painter = _Painter(image)
    centre, width = np.array(occluder.centre), occluder.half_width
    surface, stripe = occluder.colours
    if occluder.angle is None:
        painter.disc(centre, width, surface)
        painter.disc(centre, 0.6 * width, stripe)
    else:
        along = np.array([math.cos(occluder.angle), math.sin(occluder.angle)])
        across = np.array([-along[1], along[0]])
        far = 2 * len(image) * along
        for half, colour in ((width, surface), (0.35 * width, stripe)):
            ends = [far + half * across, far - half * across]
            painter.fill(centre + np.array([*ends, *(-end for end in ends)]), colour)
    return painter.image()
