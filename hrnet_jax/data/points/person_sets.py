"""The three sets of joints of persons: names, mirror pairs, limbs, what errors are divided by.

Indices are 0-based. Left and right are those of the person.
"""

from hrnet_jax.data.points.custom import pairs_by_side
from hrnet_jax.data.points.point_sets import PointSet

_COCO_NAMES = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow"),
    *("left_wrist", "right_wrist", "left_hip", "right_hip"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle"),
)

COCO17 = PointSet(
    names=_COCO_NAMES,
    flip_pairs=pairs_by_side(_COCO_NAMES),
    lines=(
        (3, 1, 0, 2, 4),
        (9, 7, 5, 6, 8, 10),
        (5, 11, 12, 6),
        (11, 13, 15),
        (12, 14, 16),
    ),
    normalizers={"torso": ((5,), (12,))},
    # cocoapi, `cocoeval.py`: nose, eyes, ears, shoulders, elbows, wrists, hips, knees,
    # ankles.
    sigmas=(
        *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072),
        *(0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
    ),
)

_MPII_NAMES = (
    *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee"),
    *("left_ankle", "pelvis", "thorax", "upper_neck", "head_top"),
    *("right_wrist", "right_elbow", "right_shoulder"),
    *("left_shoulder", "left_elbow", "left_wrist"),
)

MPII16 = PointSet(
    names=_MPII_NAMES,
    flip_pairs=pairs_by_side(_MPII_NAMES),
    lines=((0, 1, 2, 6, 3, 4, 5), (6, 7, 8, 9), (10, 11, 12, 7, 13, 14, 15)),
    normalizers={"torso": ((13,), (2,))},
    # deep-high-resolution-net.pytorch, `lib/dataset/mpii.py`: pelvis and thorax.
    uncounted=(6, 7),
)

_LSP_NAMES = (
    *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee"),
    *("left_ankle", "right_wrist", "right_elbow", "right_shoulder"),
    *("left_shoulder", "left_elbow", "left_wrist", "neck", "head_top"),
)

LSP14 = PointSet(
    names=_LSP_NAMES,
    flip_pairs=pairs_by_side(_LSP_NAMES),
    lines=((0, 1, 2, 3, 4, 5), (6, 7, 8, 12, 9, 10, 11), (2, 12, 3), (12, 13)),
    normalizers={"torso": ((9,), (2,))},
)
