"""Draws the figures of the `figures` data set: bodies of limbs, seen from the front.

Coordinates here are pixel edges: pixel (x, y) covers [x, x + 1) x [y, y + 1).
"""

import colorsys
import math
from collections.abc import Mapping

import cv2
import numpy as np

Joints = Mapping[str, np.ndarray]
Colour = tuple[float, float, float]

# Lengths in trunks, the way from the hips to the neck. Along the trunk from the hips,
# and across it to the left of the person, which is the right of the picture.
_TRUNK = {
    "pelvis": (0.0, 0.0),
    "left_hip": (0.0, 0.2),
    "right_hip": (0.0, -0.2),
    "thorax": (0.9, 0.0),
    "left_shoulder": (0.9, 0.34),
    "right_shoulder": (0.9, -0.34),
    "upper_neck": (1.05, 0.0),
    "neck": (1.05, 0.0),
}
# The same along the head from the neck.
_HEAD = {
    "nose": (0.25, 0.0),
    "left_eye": (0.33, 0.09),
    "right_eye": (0.33, -0.09),
    "left_ear": (0.28, 0.19),
    "right_ear": (0.28, -0.19),
    "head_top": (0.55, 0.0),
}
_ARM, _LEG = (0.5, 0.45), (0.62, 0.6)
_WIDTH = 0.17  # of limbs
# OpenCV takes sixteenths of a pixel.
_SHIFT = 4


def random_body(rng: np.random.Generator) -> Joints:
    """A posture at random: joint -> float64 (x, y) in trunks, the pelvis at (0, 0)."""
    lean = rng.normal(0, 0.15)
    joints = _placed(_TRUNK, np.zeros(2), lean)
    joints |= _placed(_HEAD, joints["neck"], lean + rng.normal(0, 0.15))
    for side, outwards in (("left", 1), ("right", -1)):
        shoulder, hip = joints[f"{side}_shoulder"], joints[f"{side}_hip"]
        raised, bent = rng.uniform(-0.2, 2.6), rng.uniform(-0.3, 1.9)
        arm = _limb(shoulder, _ARM, outwards * raised, outwards * bent)
        joints[f"{side}_elbow"], joints[f"{side}_wrist"] = arm
        raised, bent = rng.uniform(-0.05, 0.7), rng.uniform(-0.8, 0.1)
        leg = _limb(hip, _LEG, outwards * raised, outwards * bent)
        joints[f"{side}_knee"], joints[f"{side}_ankle"] = leg
    return joints


def _placed(parts: Mapping, start: np.ndarray, lean: float) -> dict[str, np.ndarray]:
    along = np.array([math.sin(lean), -math.cos(lean)])
    across = np.array([math.cos(lean), math.sin(lean)])
    return {name: start + a * along + b * across for name, (a, b) in parts.items()}


def _limb(
    start: np.ndarray, lengths: tuple[float, float], raised: float, bent: float
) -> list[np.ndarray]:
    """The two ends of a limb that hangs down, raised by an angle, and bent further."""
    places = []
    for length, angle in zip(lengths, (raised, raised + bent), strict=True):
        start = start + length * np.array([math.sin(angle), math.cos(angle)])
        places.append(start)
    return places


def paint_body(
    image: np.ndarray, joints: Joints, size: float, rng: np.random.Generator
) -> None:
    """Draws a body in place.

    Args:
        image: uint8 [S, S, 3] RGB.
        joints: (x, y) of each in pixels.
        size: of a trunk, in pixels.
        rng: of the colours.
    """
    skin = _colour(rng, rng.uniform(0.04, 0.1), (0.25, 0.6), (0.45, 0.95))
    shirt, trousers = (
        _colour(rng, rng.random(), (0.4, 0.9), (0.4, 0.9)) for _ in range(2)
    )
    width = max(1, round(_WIDTH * size))
    for side in ("left", "right"):
        leg = [joints[f"{side}_{name}"] for name in ("hip", "knee", "ankle")]
        _stroke(image, leg, width, trousers)
    corners = ("left_shoulder", "right_shoulder", "right_hip", "left_hip")
    trunk = _fixed([joints[name] for name in corners])
    cv2.fillPoly(image, [trunk], shirt, cv2.LINE_AA, _SHIFT)
    _stroke(image, [joints[name] for name in (*corners, corners[0])], width, shirt)
    _stroke(image, [joints["thorax"], joints["neck"]], width, skin)
    for side in ("left", "right"):
        arm = [joints[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist")]
        _stroke(image, arm[1:], width, skin)
        _stroke(image, arm[:2], width, shirt)
    middle = (joints["neck"] + joints["head_top"]) / 2
    _disc(image, middle, 0.27 * size, skin)
    for name in ("left_ear", "right_ear"):
        _disc(image, joints[name], 0.06 * size, skin)
    for name in ("left_eye", "right_eye", "nose"):
        _disc(image, joints[name], 0.035 * size, (25, 25, 30))


def _colour(
    rng: np.random.Generator, hue: float, strength: tuple, light: tuple
) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(
        hue, rng.uniform(*strength), rng.uniform(*light)
    )
    return 255 * red, 255 * green, 255 * blue


def _fixed(places: list[np.ndarray]) -> np.ndarray:
    """Pixel edges as OpenCV counts them, from the centres of pixels; [N, 1, 2]."""
    fixed = np.rint((np.array(places) - 0.5) * 2**_SHIFT)
    return fixed.astype(np.int32)[:, None]


def _stroke(
    image: np.ndarray, places: list[np.ndarray], width: int, colour: Colour
) -> None:
    cv2.polylines(
        image, [_fixed(places)], False, colour, width, cv2.LINE_AA, shift=_SHIFT
    )


def _disc(image: np.ndarray, place: np.ndarray, radius: float, colour: Colour) -> None:
    x, y = (int(value) for value in _fixed([place])[0, 0])
    fixed = max(1, round(radius * 2**_SHIFT))
    cv2.circle(image, (x, y), fixed, colour, -1, cv2.LINE_AA, _SHIFT)
