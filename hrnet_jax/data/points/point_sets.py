"""The four sets of facial landmarks: names, mirror pairs, lines, normalisers.

Indices are 0-based throughout. Left and right in names are those of the person,
as in COCO: the left eye is on the right of a frontal picture.
"""

import dataclasses
from collections.abc import Mapping

Group = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class PointSet:
    """Facts about a set of landmarks or joints, independent of images.

    Attributes:
        names: name of each of the K points.
        flip_pairs: points that swap when a face is mirrored.
        lines: polylines through the points, to draw; a closed one repeats its
            first index.
        normalizers: name -> two groups of points whose centroids' distance
            divides the errors; see `DatasetInfo.normalizers`.
        default_normalizer: that of the published figures; `box` is the size of
            the face box.
        sigmas: of object key point similarity, of each point; see
            `DatasetInfo.point_sigmas`.
        uncounted: points that the benchmark leaves out of its mean.
    """

    names: tuple[str, ...]
    flip_pairs: tuple[tuple[int, int], ...]
    lines: tuple[Group, ...] = ()
    normalizers: Mapping[str, tuple[Group, Group]] = dataclasses.field(
        default_factory=dict
    )
    default_normalizer: str = "box"
    sigmas: tuple[float, ...] = ()
    uncounted: Group = ()


def _numbered(**sizes: int) -> tuple[str, ...]:
    """`_numbered(jaw=2)` is `("jaw_0", "jaw_1")`; a size of 1 has no number."""
    return tuple(
        name if size == 1 else f"{name}_{number}"
        for name, size in sizes.items()
        for number in range(size)
    )


def _run(first: int, last: int, closed: bool = False) -> Group:
    line = tuple(range(first, last + 1))
    return (*line, first) if closed else line


def _from_one(*pairs: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Pairs of the published tables that count from 1."""
    return tuple((left - 1, right - 1) for left, right in pairs)


# Mirror tables: HRNet-Facial-Landmark-Detection, lib/utils/transforms.py
# (`fliplr_joints`). Normalisers: lib/core/evaluation.py there; the eye centres
# (inter-pupil) are those of the 300-W literature.

W300 = PointSet(
    names=_numbered(
        jaw=17,
        right_brow=5,
        left_brow=5,
        nose_bridge=4,
        nostrils=5,
        right_eye=6,
        left_eye=6,
        outer_lips=12,
        inner_lips=8,
    ),
    flip_pairs=_from_one(
        *((1, 17), (2, 16), (3, 15), (4, 14), (5, 13), (6, 12), (7, 11), (8, 10)),
        *((18, 27), (19, 26), (20, 25), (21, 24), (22, 23)),
        *((32, 36), (33, 35)),
        *((37, 46), (38, 45), (39, 44), (40, 43), (41, 48), (42, 47)),
        *((49, 55), (50, 54), (51, 53), (60, 56), (59, 57)),
        *((62, 64), (61, 65), (68, 66)),
    ),
    lines=(
        _run(0, 16),
        _run(17, 21),
        _run(22, 26),
        _run(27, 30),
        _run(31, 35),
        _run(36, 41, closed=True),
        _run(42, 47, closed=True),
        _run(48, 59, closed=True),
        _run(60, 67, closed=True),
    ),
    normalizers={
        "inter_ocular": ((36,), (45,)),
        "inter_pupil": (_run(36, 41), _run(42, 47)),
    },
    default_normalizer="inter_ocular",
)

WFLW = PointSet(
    names=_numbered(
        jaw=33,
        right_brow=9,
        left_brow=9,
        nose_bridge=4,
        nostrils=5,
        right_eye=8,
        left_eye=8,
        outer_lips=12,
        inner_lips=8,
        right_pupil=1,
        left_pupil=1,
    ),
    flip_pairs=(
        *((0, 32), (1, 31), (2, 30), (3, 29), (4, 28), (5, 27), (6, 26), (7, 25)),
        *((8, 24), (9, 23), (10, 22), (11, 21), (12, 20), (13, 19), (14, 18)),
        (15, 17),
        *((33, 46), (34, 45), (35, 44), (36, 43), (37, 42)),
        *((38, 50), (39, 49), (40, 48), (41, 47)),
        *((55, 59), (56, 58)),
        *((60, 72), (61, 71), (62, 70), (63, 69), (64, 68)),
        *((65, 75), (66, 74), (67, 73)),
        *((76, 82), (77, 81), (78, 80), (87, 83), (86, 84)),
        *((88, 92), (89, 91), (95, 93)),
        (96, 97),
    ),
    lines=(
        _run(0, 32),
        _run(33, 41, closed=True),
        _run(42, 50, closed=True),
        _run(51, 54),
        _run(55, 59),
        _run(60, 67, closed=True),
        _run(68, 75, closed=True),
        _run(76, 87, closed=True),
        _run(88, 95, closed=True),
    ),
    normalizers={"inter_ocular": ((60,), (72,)), "inter_pupil": ((96,), (97,))},
    default_normalizer="inter_ocular",
)

COFW = PointSet(
    names=(
        *("right_brow_outer", "left_brow_outer", "right_brow_inner"),
        *("left_brow_inner", "right_brow_top", "right_brow_bottom"),
        *("left_brow_top", "left_brow_bottom"),
        *("right_eye_outer", "left_eye_outer", "right_eye_inner", "left_eye_inner"),
        *("right_eye_top", "right_eye_bottom", "left_eye_top", "left_eye_bottom"),
        *("right_pupil", "left_pupil"),
        *("nose_right", "nose_left", "nose_tip", "nose_bottom"),
        *("mouth_right", "mouth_left", "upper_lip_top", "upper_lip_bottom"),
        *("lower_lip_top", "lower_lip_bottom", "chin"),
    ),
    flip_pairs=_from_one(
        *((1, 2), (3, 4), (5, 7), (6, 8)),
        *((9, 10), (11, 12), (13, 15), (14, 16), (17, 18)),
        *((19, 20), (23, 24)),
    ),
    lines=(
        (0, 4, 2, 5, 0),
        (1, 6, 3, 7, 1),
        (8, 12, 10, 13, 8),
        (9, 14, 11, 15, 9),
        (18, 20, 19, 21, 18),
        (22, 24, 23, 27, 22),
        (22, 25, 23, 26, 22),
    ),
    normalizers={"inter_ocular": ((8,), (9,)), "inter_pupil": ((16,), (17,))},
    default_normalizer="inter_ocular",
)

# Only the box: the set has many profiles, whose eyes nearly coincide.
AFLW = PointSet(
    names=(
        *("right_brow_outer", "right_brow_middle", "right_brow_inner"),
        *("left_brow_inner", "left_brow_middle", "left_brow_outer"),
        *("right_eye_outer", "right_eye_middle", "right_eye_inner"),
        *("left_eye_inner", "left_eye_middle", "left_eye_outer"),
        *("nose_right", "nose_tip", "nose_left"),
        *("mouth_right", "mouth_middle", "mouth_left", "chin"),
    ),
    flip_pairs=_from_one(
        *((1, 6), (2, 5), (3, 4), (7, 12), (8, 11), (9, 10), (13, 15), (16, 18))
    ),
    lines=(
        _run(0, 2),
        _run(3, 5),
        _run(6, 8),
        _run(9, 11),
        _run(12, 14),
        _run(15, 17),
    ),
)

# By the number of points, which tells the four apart.
POINT_SETS = {len(chosen.names): chosen for chosen in (W300, WFLW, COFW, AFLW)}
