"""Shape of the faces of the `faces` data set: curves, landmarks and pose.

Faces are built in a frame of their own: x to the right and y downwards as seen in
the image, the eyes near y = 0, and 1 is half the width of the head at the ears.
The proportions follow the median shape of the 300W training set. Left and right
are those of the image, as in the layouts.

Coordinates in the image are pixel edges: pixel (x, y) covers
[x, x + 1) x [y, y + 1).
"""

import dataclasses
import math

import numpy as np

EAR_LEVEL = 0.04
# Where the middle of the landmarks is in an average face.
_MIDDLE = 0.66
# The front of the head is a part of an ellipsoid: depth of its nearest point,
# level of that point, half the height.
_HEAD_DEPTH, _HEAD_LEVEL, _HEAD_HEIGHT = 0.7, 0.35, 1.8
_CHIN_DEPTH = 0.35

# Samples of the curves: enough to look smooth, with every layout's points among
# them. Pieces of the jaw, a brow's edge, a lid, half a lip's edge times two.
JAW, BROW, LID, LIP = 64, 8, 24, 24


@dataclasses.dataclass(frozen=True)
class Face:
    """Parameters of one face; the defaults are an average face, seen frontally.

    Pairs hold one value for each side, image left first. Lengths are in units of
    the face frame unless another unit is named.

    Attributes:
        squareness: exponent of the superellipse of the jaw, 2 = ellipse.
        taper: share by which the jaw is narrower at the chin.
        chin: y of the chin while the mouth is shut.
        forehead: y of the top of the skull, negative.
        brow_level: y of the brows' ends.
        brow_arch: rise of the brows above their ends.
        brow_thickness: of the brows where they are thickest.
        eye_distance: from the middle of the face to the middle of an eye.
        eye_width: from corner to corner.
        eye_slant: how much the outer corner is higher than the inner one.
        nose_length: from the root, at y = 0, to the tip.
        nose_width: of half the nose, over its wings.
        mouth_level: y of the mouth.
        mouth_width: from the middle to a corner.
        lip_thickness: of the lower lip; the upper one is thinner.
        brow_raise: how much higher than at rest the brows are.
        eye_opening: distance of the lids.
        gaze: (x, y) of the pupils off the middle of the eyes.
        mouth_opening: distance of the lips; takes the chin down.
        smile: how much the corners of the mouth are lifted.
        yaw: turn of the head, in radians, positive to the right of the image.
        pitch: nod of the head, in radians, positive downwards.
        roll: turn in the image, in radians, clockwise.
        centre: (x, y) of the middle of the face in the image, in pixels.
        radius: pixels for 1 in the face frame.
    """

    squareness: float = 2.15
    taper: float = 0.04
    chin: float = 1.66
    forehead: float = -1.2
    brow_level: float = -0.22
    brow_arch: float = 0.1
    brow_thickness: float = 0.1
    eye_distance: float = 0.45
    eye_width: float = 0.37
    eye_slant: float = 0.0
    nose_length: float = 0.53
    nose_width: float = 0.27
    mouth_level: float = 0.98
    mouth_width: float = 0.4
    lip_thickness: float = 0.12
    brow_raise: tuple[float, float] = (0.0, 0.0)
    eye_opening: tuple[float, float] = (0.16, 0.16)
    gaze: tuple[float, float] = (0.0, 0.0)
    mouth_opening: float = 0.05
    smile: tuple[float, float] = (0.0, 0.0)
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    centre: tuple[float, float] = (64.0, 64.0)
    radius: float = 32.0

    def project(self, points: np.ndarray, bulge: np.ndarray | float = 0) -> np.ndarray:
        """Places points on the front of the head in the image.

        Args:
            points: float64 [N, 2] in the face frame.
            bulge: height above the ellipsoid of the head, scalar or [N].

        Returns:
            float64 [N, 2] in pixels.
        """
        x, y = points[:, 0], points[:, 1]
        slope = x**2 + ((y - _HEAD_LEVEL) / _HEAD_HEIGHT) ** 2
        depth = _HEAD_DEPTH * np.sqrt(np.maximum(1 - slope, 0)) + bulge
        return self._place(x * math.cos(self.yaw), y, depth)

    def project_outline(self, points: np.ndarray) -> np.ndarray:
        """Places points of the outline of the head, [N, 2], in the image.

        The outline of an ellipsoid moves over its surface while it turns, and
        becomes narrower only as far as the head is flat.
        """
        x, y = points[:, 0], points[:, 1]
        width = math.hypot(math.cos(self.yaw), _HEAD_DEPTH * math.sin(self.yaw))
        down = np.clip((y - EAR_LEVEL) / (self.chin - EAR_LEVEL), 0, 1)
        return self._place(x * width, y, _CHIN_DEPTH * down**2)

    def _place(self, x: np.ndarray, y: np.ndarray, depth: np.ndarray) -> np.ndarray:
        x = x + depth * math.sin(self.yaw)
        y = (y - _MIDDLE) * math.cos(self.pitch) + depth * math.sin(self.pitch)
        cos, sin = math.cos(self.roll), math.sin(self.roll)
        turned = np.stack([x * cos - y * sin, x * sin + y * cos], axis=1)
        return turned * self.radius + np.array(self.centre)


def mirrored(face: Face, size: int) -> Face:
    """The face that appears when an image of `size` pixels width is mirrored."""
    return dataclasses.replace(
        face,
        brow_raise=face.brow_raise[::-1],
        eye_opening=face.eye_opening[::-1],
        gaze=(-face.gaze[0], face.gaze[1]),
        smile=face.smile[::-1],
        yaw=-face.yaw,
        roll=-face.roll,
        centre=(size - face.centre[0], face.centre[1]),
    )


@dataclasses.dataclass(frozen=True)
class SideCurves:
    """The parts of a face on each side; float64 [N, 2] in pixels of the image.

    Curves run from the outer to the inner end.

    Attributes:
        brow_upper: upper edge, [BROW + 1, 2]; the outer end is a tip.
        brow_lower: lower edge, [BROW + 1, 2].
        lid_upper: edge of the upper lid, [LID + 1, 2], corners included.
        lid_lower: edge of the lower lid, [LID + 1, 2].
        pupil: centre of the pupil, [1, 2].
        wing: outermost point of the nose, [1, 2].
    """

    brow_upper: np.ndarray
    brow_lower: np.ndarray
    lid_upper: np.ndarray
    lid_lower: np.ndarray
    pupil: np.ndarray
    wing: np.ndarray


@dataclasses.dataclass(frozen=True)
class Curves:
    """All curves of a face; float64 [N, 2] in pixels of the image.

    Curves run from the left to the right of the image, the bridge downwards.

    Attributes:
        left: the half on the left of the image.
        right: the half on the right of the image.
        jaw: from ear to ear under the chin, [JAW + 1, 2], evenly spaced.
        bridge: root to tip of the nose, [4, 2].
        nose_base: lower edge of the nose, [5, 2].
        lip_top: upper edge of the upper lip, [LIP + 1, 2].
        lip_bottom: lower edge of the lower lip, [LIP + 1, 2].
        mouth_top: lower edge of the upper lip, [LIP + 1, 2].
        mouth_bottom: upper edge of the lower lip, [LIP + 1, 2].
    """

    left: SideCurves
    right: SideCurves
    jaw: np.ndarray
    bridge: np.ndarray
    nose_base: np.ndarray
    lip_top: np.ndarray
    lip_bottom: np.ndarray
    mouth_top: np.ndarray
    mouth_bottom: np.ndarray


def curves(face: Face) -> Curves:
    """All curves that carry landmarks, placed in the image."""
    root, tip, width = 0.0, face.nose_length, face.nose_width
    bridge = np.stack([np.zeros(4), np.linspace(root, tip, 4)], axis=1)
    across = np.array([-0.75, -0.38, 0.0, 0.38, 0.75])
    sag = np.array([0.10, 0.15, 0.18, 0.15, 0.10])
    base = np.stack([across * width, tip + sag], axis=1)
    return Curves(
        left=_side(face, 0),
        right=_side(face, 1),
        jaw=face.project_outline(jaw_line(face)),
        bridge=face.project(bridge, np.linspace(0.05, 0.35, 4)),
        nose_base=face.project(base, np.array([0.12, 0.16, 0.2, 0.16, 0.12])),
        **_mouth(face),
    )


def jaw_line(face: Face) -> np.ndarray:
    """The jaw in the face frame, [JAW + 1, 2], evenly spaced from ear to ear."""
    chin = face.chin + 0.5 * face.mouth_opening
    across, down = superellipse(np.linspace(math.pi, 0, 8 * JAW + 1), face.squareness)
    line = np.stack(
        [across * (1 - face.taper * down), EAR_LEVEL + down * (chin - EAR_LEVEL)],
        axis=1,
    )
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    length = np.concatenate([[0], np.cumsum(steps)])
    wanted = np.linspace(0, length[-1], JAW + 1)
    return np.stack([np.interp(wanted, length, line[:, k]) for k in (0, 1)], axis=1)


def superellipse(angle: np.ndarray, exponent: float) -> tuple[np.ndarray, np.ndarray]:
    """(x, y) with |x|^exponent + |y|^exponent = 1; a circle for exponent 2."""
    cos, sin = np.cos(angle), np.sin(angle)
    power = 2 / exponent
    return np.sign(cos) * np.abs(cos) ** power, np.sign(sin) * np.abs(sin) ** power


def _side(face: Face, side: int) -> SideCurves:
    """Brow, eye and wing of one side, 0 = image left."""
    sign = -1.0 if side == 0 else 1.0

    def place(outwards: np.ndarray, y: np.ndarray, bulge: float = 0) -> np.ndarray:
        return face.project(np.stack([sign * outwards, y], axis=1), bulge)

    along = np.linspace(0, 1, BROW + 1)
    brow_x = face.eye_distance + 0.4 - 0.68 * along
    rise = np.sin(math.pi * along**0.8) * face.brow_arch
    middle = face.brow_level - face.brow_raise[side] - rise
    thickness = face.brow_thickness * (1 - (1 - along) ** 3) * (1 - 0.3 * along)

    along = np.linspace(0, 1, LID + 1)
    eye_x = face.eye_distance + face.eye_width * (0.5 - along)
    belly = 4 * along * (1 - along)
    lower = face.eye_slant * (along - 0.5) + 0.3 * face.eye_width * 0.5 * belly
    opening = face.eye_opening[side]
    upper = lower - opening * belly

    # The pupil is somewhere between the lids, also where the eye is nearly shut.
    pupil_x = face.eye_distance + sign * face.gaze[0]
    at = 0.5 - (pupil_x - face.eye_distance) / face.eye_width
    half = 0.5 * opening * 4 * at * (1 - at)
    between = np.interp(at, along, lower) - half
    pupil_y = between + np.clip(face.gaze[1], -0.4 * half, 0.4 * half)
    return SideCurves(
        brow_upper=place(brow_x, middle - thickness / 2),
        brow_lower=place(brow_x, middle + thickness / 2),
        lid_upper=place(eye_x, upper),
        lid_lower=place(eye_x, lower),
        pupil=place(np.array([pupil_x]), np.array([pupil_y])),
        wing=place(
            np.array([face.nose_width]), np.array([face.nose_length + 0.05]), 0.08
        ),
    )


def _mouth(face: Face) -> dict[str, np.ndarray]:
    """The four edges of the lips, by the names of `Curves`."""
    along = np.linspace(-1, 1, LIP + 1)
    lift = np.where(along < 0, face.smile[0], face.smile[1]) * along**2
    arch = np.cos(along * math.pi / 2)
    arch[[0, -1]] = 0
    bow = 0.3 * np.exp(-((along / 0.16) ** 2))
    width = face.mouth_width * (1 - 0.5 * face.mouth_opening)
    level = face.mouth_level - lift
    level = level + 0.35 * (face.smile[0] + face.smile[1]) / 2
    opening, thickness = face.mouth_opening, face.lip_thickness

    def place(width: float, y: np.ndarray) -> np.ndarray:
        return face.project(np.stack([along * width, y], axis=1), 0.05)

    return {
        "lip_top": place(width, level - 0.75 * thickness * (arch**0.7 - bow)),
        "lip_bottom": place(width, level + (thickness + opening) * arch**0.8),
        "mouth_top": place(0.86 * width, level - 0.04 * thickness * arch),
        "mouth_bottom": place(0.86 * width, level + opening * arch),
    }


def landmarks(shape: Curves, num_points: int) -> np.ndarray:
    """Points of a standard layout, in its order.

    The layouts are 300W (68 points), WFLW (98), COFW (29) and AFLW (19).

    Returns:
        float64 [num_points, 2] (x, y), pixel edges.

    Raises:
        KeyError: for another number of points.
    """
    build = {68: _points_68, 98: _points_98, 29: _points_29, 19: _points_19}
    return np.concatenate(build[num_points](shape))


def _points_68(shape: Curves) -> list[np.ndarray]:
    left, right = shape.left, shape.right
    return [
        shape.jaw[::4],
        left.brow_upper[::2],
        right.brow_upper[::-2],
        shape.bridge,
        shape.nose_base,
        *(left.lid_upper[[0, 8, 16, 24]], left.lid_lower[[16, 8]]),
        *(right.lid_upper[[24, 16, 8, 0]], right.lid_lower[[8, 16]]),
        *_lips(shape),
    ]


def _points_98(shape: Curves) -> list[np.ndarray]:
    left, right = shape.left, shape.right
    return [
        shape.jaw[::2],
        *(left.brow_upper[::2], left.brow_lower[[8, 6, 4, 2]]),
        *(right.brow_upper[::-2], right.brow_lower[[2, 4, 6, 8]]),
        shape.bridge,
        shape.nose_base,
        *(left.lid_upper[::6], left.lid_lower[[18, 12, 6]]),
        *(right.lid_upper[::-6], right.lid_lower[[6, 12, 18]]),
        *_lips(shape),
        *(left.pupil, right.pupil),
    ]


def _lips(shape: Curves) -> list[np.ndarray]:
    """The 20 points that the layouts with 68 and 98 points share."""
    return [
        shape.lip_top[[0, 4, 9, 12, 15, 20, 24]],
        shape.lip_bottom[[20, 15, 12, 9, 4]],
        shape.mouth_top[[0, 8, 12, 16, 24]],
        shape.mouth_bottom[[16, 12, 8]],
    ]


def _points_29(shape: Curves) -> list[np.ndarray]:
    sides = (shape.left, shape.right)
    return [
        *(side.brow_upper[:1] for side in sides),
        *((side.brow_upper[-1:] + side.brow_lower[-1:]) / 2 for side in sides),
        *(edge[4:5] for side in sides for edge in (side.brow_upper, side.brow_lower)),
        *(side.lid_upper[:1] for side in sides),
        *(side.lid_upper[-1:] for side in sides),
        *(lid[12:13] for side in sides for lid in (side.lid_upper, side.lid_lower)),
        *(side.pupil for side in sides),
        *(side.wing for side in sides),
        shape.bridge[-1:],
        shape.nose_base[2:3],
        shape.lip_top[[0, -1]],
        shape.lip_top[12:13],
        shape.mouth_top[12:13],
        shape.mouth_bottom[12:13],
        shape.lip_bottom[12:13],
        shape.jaw[32:33],
    ]


def _points_19(shape: Curves) -> list[np.ndarray]:
    left, right = shape.left, shape.right
    brows = [(side.brow_upper + side.brow_lower) / 2 for side in (left, right)]
    eyes = [(side.lid_upper + side.lid_lower) / 2 for side in (left, right)]
    mouth = (shape.mouth_top + shape.mouth_bottom) / 2
    return [
        *(brows[0][[0, 4, 8]], brows[1][[8, 4, 0]]),
        *(eyes[0][[0, 12, 24]], eyes[1][[24, 12, 0]]),
        *(left.wing, shape.bridge[-1:], right.wing),
        *(shape.lip_top[:1], mouth[12:13], shape.lip_top[-1:]),
        shape.jaw[32:33],
    ]
