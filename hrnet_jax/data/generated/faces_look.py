"""Colours, hair and accessories of the faces, and what hides parts of them.

Colours are RGB, 0..255.
"""

import colorsys
import dataclasses
import math

import numpy as np

_SKINS = np.array(
    [(255, 222, 196), (238, 196, 158), (206, 150, 108), (150, 98, 66), (98, 62, 44)]
)
_HAIRS = np.array(
    [
        *((34, 29, 30), (62, 41, 30), (108, 68, 40), (206, 166, 96)),
        *((152, 72, 36), (176, 174, 172)),
    ]
)
_IRISES = np.array([(92, 58, 34), (70, 112, 160), (84, 124, 84), (128, 104, 60)])
_LIP_RED = np.array([186, 62, 74])

HAIR_STYLES = ("none", "short", "long")


@dataclasses.dataclass(frozen=True)
class Look:
    """Colours and accessories of a face.

    Attributes:
        skin: colour of the face.
        hair: colour of hair, brows and beard.
        iris: colour of the iris.
        lips: colour of the lips.
        cloth: colour of the clothes.
        hair_style: one of `HAIR_STYLES`.
        hairline: y of the middle of the hairline in the face frame.
        parting: x where the hairline is highest, in the face frame.
        tufts: depth of the tufts of the hairline, in the face frame.
        volume: height of the hair over the skull, in the face frame.
        curls: height of the curls of the outline, in the face frame.
        beard: strength of a beard, 0 = none, 1 = full.
        glasses: colour of the frame of the glasses, None = without.
        light: where the light comes from, radians, 0 = right, -pi / 2 = above.
        shade: how much darker the side away from the light is, 0..1.
    """

    skin: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    lips: np.ndarray
    cloth: np.ndarray
    hair_style: str = "short"
    hairline: float = -0.72
    parting: float = 0.0
    tufts: float = 0.03
    volume: float = 0.16
    curls: float = 0.0
    beard: float = 0.0
    glasses: np.ndarray | None = None
    light: float = -math.pi / 2
    shade: float = 0.3


def random_look(rng: np.random.Generator) -> Look:
    """Colours and accessories at random."""
    tone, tones = rng.uniform(0, len(_SKINS) - 1), np.arange(len(_SKINS))
    skin = np.array([np.interp(tone, tones, channel) for channel in _SKINS.T])
    skin = skin * rng.uniform(0.96, 1.02, 3)
    return Look(
        skin=skin,
        hair=_HAIRS[rng.integers(len(_HAIRS))] * rng.uniform(0.8, 1.2),
        iris=_IRISES[rng.integers(len(_IRISES))],
        lips=mix(skin, _LIP_RED, rng.uniform(0.3, 0.8)),
        cloth=_any_hue(rng, 0.5, 0.6),
        hair_style=str(rng.choice(HAIR_STYLES, p=[0.12, 0.5, 0.38])),
        hairline=rng.uniform(-0.86, -0.7),
        parting=rng.uniform(-0.5, 0.5),
        tufts=rng.uniform(0, 0.07),
        volume=rng.uniform(0.12, 0.32),
        curls=rng.uniform(0.02, 0.05) if rng.random() < 0.4 else 0.0,
        beard=rng.uniform(0.3, 0.9) if rng.random() < 0.2 else 0.0,
        glasses=_any_hue(rng, 0.5, 0.3) if rng.random() < 0.2 else None,
        light=rng.uniform(-math.pi, 0),
        shade=rng.uniform(0.15, 0.45),
    )


@dataclasses.dataclass(frozen=True)
class Occluder:
    """A disc, or a bar without ends, in front of the face.

    Attributes:
        centre: (x, y) in pixels.
        half_width: radius of the disc or half the width of the bar, in pixels.
        angle: direction of the bar in radians; None = a disc.
        colours: two colours, of the surface and of its stripe.
    """

    centre: tuple[float, float]
    half_width: float
    angle: float | None
    colours: np.ndarray

    def covers(self, points: np.ndarray) -> np.ndarray:
        """Which of points [N, 2] it hides, bool [N]."""
        offset = points - np.array(self.centre)
        if self.angle is None:
            return np.hypot(*offset.T) <= self.half_width
        across = np.array([-math.sin(self.angle), math.cos(self.angle)])
        return np.abs(offset @ across) <= self.half_width


def random_occluder(
    rng: np.random.Generator, points: np.ndarray, radius: float
) -> Occluder:
    """A disc or a bar near one of the points of a face.

    Args:
        rng: source of randomness.
        points: [N, 2] in pixels.
        radius: half the width of the face in pixels.
    """
    centre = points[rng.integers(len(points))] + rng.normal(0, 0.15 * radius, 2)
    if rng.random() < 0.5:
        width, angle = rng.uniform(0.15, 0.3), float(rng.uniform(0, math.pi))
    else:
        width, angle = rng.uniform(0.25, 0.5), None
    colours = np.stack([_any_hue(rng, 0.7, 0.75), _any_hue(rng, 0.5, 0.6)])
    return Occluder(tuple(centre.tolist()), float(width * radius), angle, colours)


def mix(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """`first` with a share of `second`; for colours as for curves."""
    return (1 - share) * first + share * second


def _any_hue(rng: np.random.Generator, saturation: float, value: float) -> np.ndarray:
    """A colour of any hue, its saturation and value within a third of these."""
    around = rng.uniform(0.7, 1.3, 2)
    colour = colorsys.hsv_to_rgb(rng.random(), *np.array([saturation, value]) * around)
    return 255 * np.array(colour)
