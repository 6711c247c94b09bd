"""Draws the scenes of the `shapes` data set.

Coordinates here are pixel edges: pixel (x, y) covers [x, x + 1) x [y, y + 1).
"""

import colorsys
import dataclasses
import math

import cv2
import numpy as np

OBJECTS = ("disc", "square", "triangle", "star", "ring", "cross")
STAR = OBJECTS.index("star")

# Tips of a star that stands upright, clockwise from the top one.
POINT_NAMES = ("top", "right", "bottom_right", "bottom_left", "left")
POINT_FLIP_PAIRS = ((1, 4), (2, 3))

_HUES = (0.99, 0.63, 0.32, 0.14, 0.82, 0.48)
_STAR_INNER = 0.5
_RING_INNER = 0.5
_CROSS_ARM = 0.4
_OVERSAMPLING = 4


@dataclasses.dataclass(frozen=True)
class DrawnObject:
    """One object to draw.

    Attributes:
        kind: index into `OBJECTS`.
        centre: (x, y) in pixels.
        radius: of the circle around it, in pixels.
        angle: rotation in radians, clockwise as seen in the image.
    """

    kind: int
    centre: tuple[float, float]
    radius: float
    angle: float


def outlines(item: DrawnObject) -> list[np.ndarray]:
    """Polygons float64 [N, 2] of an object; the second one is a hole."""
    rings = _unit_outlines(OBJECTS[item.kind])
    cos, sin = math.cos(item.angle), math.sin(item.angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    return [ring @ turn * item.radius + np.array(item.centre) for ring in rings]


def star_tips(item: DrawnObject) -> np.ndarray:
    """The five tips of a star, float64 [5, 2], in the order of `POINT_NAMES`."""
    return outlines(item)[0][::2]


def _unit_outlines(kind: str) -> list[np.ndarray]:
    if kind == "disc":
        return [_polygon(48)]
    if kind == "ring":
        return [_polygon(48), _polygon(48) * _RING_INNER]
    if kind == "square":
        return [_polygon(4, math.pi / 4)]
    if kind == "triangle":
        return [_polygon(3)]
    if kind == "star":
        star = _polygon(10)
        star[1::2] *= _STAR_INNER
        return [star]
    arm = _CROSS_ARM
    quarter = np.array([[arm, -1.0], [arm, -arm], [1.0, -arm]])
    turns = [np.eye(2), [[0, 1], [-1, 0]], -np.eye(2), [[0, -1], [1, 0]]]
    return [np.concatenate([quarter @ np.array(turn) for turn in turns])]


def _polygon(corners: int, start: float = 0.0) -> np.ndarray:
    """Corners on the unit circle, clockwise in the image, the first at the top."""
    angles = start + 2 * math.pi * np.arange(corners) / corners
    return np.stack([np.sin(angles), -np.cos(angles)], axis=1)


def coverage(item: DrawnObject, size: int) -> np.ndarray:
    """Share of every pixel that the object covers, float32 [size, size]."""
    fine = np.zeros((size * _OVERSAMPLING, size * _OVERSAMPLING), np.uint8)
    # OpenCV counts pixel centres as integers and takes 1/16 pixels with shift=4.
    polygons = [
        np.rint((outline * _OVERSAMPLING - 0.5) * 16).astype(np.int32)
        for outline in outlines(item)
    ]
    cv2.fillPoly(fine, polygons, 255, shift=4)
    small = cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / 255


def background(rng: np.random.Generator, size: int) -> np.ndarray:
    """A muted scene without objects: gradient, clouds, stripes, float32 0..1."""
    first, second = (
        np.array(
            colorsys.hsv_to_rgb(
                rng.random(), rng.uniform(0.02, 0.2), rng.uniform(0.3, 0.85)
            )
        )
        for _ in range(2)
    )
    mix = _ramp(rng, size)[..., None]
    image = first * (1 - mix) + second * mix
    image = image + 0.12 * _clouds(rng, size, size / 6)[..., None]
    if rng.random() < 0.6:
        image = image + rng.uniform(0.03, 0.08) * _stripes(rng, size)[..., None]
    return image.astype(np.float32)


def surface(rng: np.random.Generator, kind: int, size: int) -> np.ndarray:
    """Colour and texture of one object over the whole image, float32 0..1.

    The hue hints at the class without deciding it: it scatters around that of
    the class, and one object in fifteen has any hue.
    """
    hue = _HUES[kind] + rng.normal(0, 0.02)
    if rng.random() < 0.07:
        hue = rng.random()
    saturation, value = rng.uniform(0.6, 0.95), rng.uniform(0.6, 0.95)
    light = np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value))
    dark = np.array(
        colorsys.hsv_to_rgb(hue % 1, min(1, saturation + 0.1), value * 0.65)
    )
    patterns = (_stripes, _checks, lambda rng, size: _clouds(rng, size, size / 24))
    pattern = patterns[rng.integers(len(patterns))](rng, size)
    mix = 0.6 + rng.uniform(0.15, 0.4) * pattern[..., None]
    shade = 1 + 0.12 * (_ramp(rng, size)[..., None] - 0.5)
    return ((light * mix + dark * (1 - mix)) * shade).astype(np.float32)


def paint(
    image: np.ndarray, rng: np.random.Generator, item: DrawnObject, cover: np.ndarray
) -> np.ndarray:
    """Puts an object with a soft shadow on the image; returns a new image."""
    size = len(image)
    shift = max(1.0, size / 48)
    move = np.array([[1, 0, shift], [0, 1, shift]], np.float32)
    shadow = cv2.warpAffine(cover, move, (size, size))
    shadow = cv2.GaussianBlur(shadow, (0, 0), shift)[..., None]
    image = image * (1 - 0.35 * shadow)
    alpha = cover[..., None]
    return image * (1 - alpha) + surface(rng, item.kind, size) * alpha


def finish(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposure and sensor noise, then uint8."""
    image = image * rng.uniform(0.9, 1.1) + rng.normal(0, 0.015, image.shape)
    return np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)


def _ramp(rng: np.random.Generator, size: int) -> np.ndarray:
    """A linear ramp 0..1 in a random direction, [size, size]."""
    angle = rng.uniform(0, 2 * math.pi)
    y, x = np.mgrid[:size, :size] / size - 0.5
    return np.clip(0.5 + (x * math.cos(angle) + y * math.sin(angle)) / 1.2, 0, 1)


def _clouds(rng: np.random.Generator, size: int, scale: float) -> np.ndarray:
    """Smooth noise with unit deviation, clipped to -1..1 halves."""
    noise = rng.standard_normal((size, size)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), max(scale / 2, 0.8))
    return np.clip(smooth / (smooth.std() + 1e-6) / 2, -1, 1)


def _stripes(rng: np.random.Generator, size: int) -> np.ndarray:
    """Soft stripes -1..1 in a random direction, 8 to 20 across the image."""
    angle = rng.uniform(0, math.pi)
    y, x = np.mgrid[:size, :size] / size
    phase = x * math.cos(angle) + y * math.sin(angle)
    return np.sin(2 * math.pi * (phase * rng.uniform(8, 20) + rng.random()))


def _checks(rng: np.random.Generator, size: int) -> np.ndarray:
    """A checkerboard of -1 and 1 in a random direction."""
    angle, count = rng.uniform(0, math.pi), rng.uniform(10, 18)
    y, x = np.mgrid[:size, :size] / size
    u = x * math.cos(angle) + y * math.sin(angle)
    v = y * math.cos(angle) - x * math.sin(angle)
    return np.where((np.floor(u * count) + np.floor(v * count)) % 2, 1.0, -1.0)
