"""Shares of correct points: by hand, and a published method's own predictions."""

import numpy as np
import pytest

from hrnet_jax.data.files.matlab5 import read_arrays
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.data.points.person_sets import LSP14, MPII16
from hrnet_jax.keypoints.pck import correct_points, part_percent, parts
from tests.goldens import official, synthetic_weights

MPII = DatasetInfo(
    "mpii",
    0,
    (),
    (),
    point_names=MPII16.names,
    point_flip_pairs=MPII16.flip_pairs,
    uncounted_points=MPII16.uncounted,
)


def test_counts_what_is_within_the_threshold():
    errors = np.array([[0.5, 0.2, np.nan], [0.51, np.nan, np.nan], [0.1, 0.9, np.nan]])
    found = correct_points(errors, 0.5)
    assert found.correct.tolist() == [2, 1, 0] and found.count.tolist() == [3, 2, 0]
    np.testing.assert_allclose(found.percent(), [200 / 3, 50, np.nan])
    # Weighted by counts, and without those that are left out.
    assert found.mean() == pytest.approx(60) and found.mean([0]) == 50
    assert np.isnan(found.mean([0, 1]))
    assert part_percent(found, [0, 1]) == pytest.approx((200 / 3 + 50) / 2)
    assert part_percent(found, [2]) is None


def test_parts_are_pairs_without_their_side():
    names = ("ankle", "knee", "hip", "upper_neck", "head_top", "wrist", "elbow")
    found = parts(MPII)
    assert tuple(found) == (*names, "shoulder")
    assert found["shoulder"] == (12, 13) and found["head_top"] == (9,)
    every = [index for group in found.values() for index in group]
    assert sorted(every) == [k for k in range(16) if k not in (6, 7)]
    info = DatasetInfo(
        "lsp",
        0,
        (),
        (),
        point_names=LSP14.names,
        point_flip_pairs=LSP14.flip_pairs,
    )
    assert [*parts(info)][:3] == ["ankle", "knee", "hip"]


def test_of_heatmaps_it_is_what_the_published_training_prints():
    """`accuracy` of `lib/core/evaluate.py`: half of a tenth of each side."""
    heatmaps = synthetic_weights.make_heatmaps_nchw((3, 17, 64, 48), 91)
    noise = synthetic_weights.noise("pose/hm", (3, 17, 64, 48), 0.02, 0)
    heatmaps = (heatmaps + noise).astype(np.float32)
    heatmaps[0, 5] = -0.5
    target = (heatmaps + np.roll(heatmaps, 2, axis=3) * 1.2).astype(np.float32)

    def peaks(maps):
        rows, columns = np.divmod(maps.reshape(3, 17, -1).argmax(2), 48)
        return np.stack([columns, rows], 2) * (maps.max((2, 3)) > 0)[..., None]

    found, true = peaks(heatmaps), peaks(target)
    errors = np.linalg.norm((found - true) / [4.8, 6.4], axis=2)
    counted = correct_points(np.where((true > 1).all(2), errors, np.nan), 0.5 - 1e-9)
    expected = official.arrays("numeric/pose")["accuracy/pck"]
    known = counted.count > 0
    np.testing.assert_allclose(counted.percent()[known] / 100, expected[1:][known])
    mean = counted.percent()[known].mean() / 100
    assert mean == pytest.approx(expected[0], abs=1e-9)


def test_a_published_method_has_its_published_figures(real_data):
    """Tompson et al., 2015, whose predictions are in MPII's file of annotations."""
    path = real_data / "samples" / "mpii" / "annot" / "gt_valid.mat"
    if not path.is_file():
        pytest.skip(f"no {path}")
    arrays = {key: np.asarray(value) for key, value in read_arrays(path).items()}
    distance = arrays["pos_pred_src"].astype(float) - arrays["pos_gt_src"]
    boxes = arrays["headboxes_src"].astype(float)
    size = 0.6 * np.linalg.norm(boxes[1] - boxes[0], axis=0)
    errors = np.linalg.norm(distance, axis=1) / size
    errors[arrays["jnt_missing"] > 0] = np.nan
    found = correct_points(errors.T, 0.5)
    of_parts = parts(MPII)
    figures = {
        "head_top": 95.60,
        "shoulder": 92.71,
        "elbow": 83.36,
        "wrist": 76.74,
        "hip": 81.93,
        "knee": 73.36,
        "ankle": 65.45,
    }
    for part, expected in figures.items():
        assert round(part_percent(found, of_parts[part]), 2) == expected
    assert round(found.mean(MPII.uncounted_points), 2) == 82.34
