"""From persons to crops: joints stay on what they name."""

import dataclasses
import functools
import statistics

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.keypoints import geometry
from hrnet_jax.keypoints.decoding import mirror_heatmaps
from hrnet_jax.keypoints.official import person_targets, targets
from hrnet_jax.keypoints.persons import (
    PoseCropOptions,
    cut_person,
    draw_half,
    draw_person,
    lower_half,
    make_eval_transform,
    make_train_transform,
)
from hrnet_jax.keypoints.transforms import Draw

NAMES = (
    *("nose", "left shoulder", "right shoulder", "left elbow", "right elbow"),
    *("left wrist", "right wrist", "left hip", "right hip", "left knee"),
    *("right knee", "left ankle", "right ankle"),
)
PAIRS = tuple((k, k + 1) for k in range(1, 13, 2))
INFO = DatasetInfo(
    "bodies", 0, (), (), point_names=NAMES, point_flip_pairs=PAIRS, point_origin=1.0
)
OPTIONS = PoseCropOptions(crop_size=(128, 96))
HEIGHT, WIDTH = 240, 300


def make_sample(seed=0, **changes):
    """A picture with a green spot on the nose, annotated from 1 on."""
    rng = np.random.default_rng(seed)
    points = np.stack([rng.uniform(90, 190, 13), np.linspace(60, 190, 13)], 1)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    image = np.zeros((HEIGHT, WIDTH, 3))
    image[..., 0] = rng.uniform(0, 60)
    px, py = points[0]
    image[..., 1] = 250 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 3.0**2))
    return {
        "image": np.rint(image).astype(np.uint8),
        "image_id": "a#1",
        "points": points + 1,
        "visible": np.ones(13, np.uint8),
        "annotated": np.ones(13, np.uint8),
        "box": np.array([86.0, 51.0, 196.0, 201.0]),
        "area": np.float64(9000),
        "head_size": np.float64(0),
        "box_score": np.float64(0.75),
        "image_number": np.int64(3),
        "person_number": np.int64(9),
    } | changes


def centroid(channel):
    y, x = np.mgrid[: channel.shape[0], : channel.shape[1]]
    weights = channel.astype(float)
    return np.array([(weights * x).sum(), (weights * y).sum()]) / weights.sum()


@pytest.mark.parametrize("seed", range(12))
def test_joints_stay_where_the_picture_shows_them(seed):
    """Half body, scale, rotation, flip: the nose stays on its spot."""
    options = dataclasses.replace(OPTIONS, half_body=0.5, shift=0.05)
    sample = make_sample(seed)
    crop = make_train_transform(options, INFO)(sample, np.random.default_rng(seed))
    assert crop["image"].shape == (128, 96, 3) and crop["image"].dtype == np.uint8
    assert crop["points"].shape == (13, 2) and crop["points"].dtype == np.float32
    assert crop.keys() == {"image", "points", "visible", "annotated", "image_id"}
    nose = crop["points"][0]
    if (nose > 12).all() and (nose < (83, 115)).all():
        np.testing.assert_allclose(centroid(crop["image"][..., 1]), nose, atol=0.25)


def test_evaluation_tells_where_the_crop_lies_and_maps_back():
    sample = make_sample()
    crop = make_eval_transform(OPTIONS, INFO)(sample)
    back = geometry.to_image(
        crop["points"][None], crop["center"][None], crop["scale"][None], (128, 96)
    )
    np.testing.assert_allclose(back[0] + 1, sample["points"], atol=1e-4)
    np.testing.assert_array_equal(crop["center"], [140, 125])
    # As high as the box, times the margin; 96 / 128 as wide.
    assert crop["scale"] == pytest.approx(1.25 * 150 * 0.75 / 200)
    assert crop["box_score"] == np.float32(0.75) and crop["area"] == 9000
    assert (crop["image_number"], crop["person_number"]) == (3, 9)
    np.testing.assert_allclose(crop["image_points"], sample["points"], rtol=1e-6)


def test_mirrored_samples_are_mirrored_crops():
    """In the default geometry; the published one is half a pixel beside that."""
    sample = make_sample(annotated=np.arange(13, dtype=np.uint8) % 2)
    order = geometry.mirrored_order(13, PAIRS)
    for compat in ("", "official"):
        options = dataclasses.replace(OPTIONS, compat=compat)
        plain = cut_person(sample, options, INFO, Draw())
        mirrored = cut_person(sample, options, INFO, Draw(mirror=True))
        np.testing.assert_array_equal(mirrored["annotated"], plain["annotated"][order])
        same = (mirrored["image"][:, ::-1] == plain["image"]).all()
        assert same == (not compat)
        if not compat:
            expected = plain["points"][order] * [-1, 1] + [95, 0]
            np.testing.assert_allclose(mirrored["points"], expected, atol=1e-4)


def test_the_published_shift_of_mirrored_maps_is_a_matter_of_geometry():
    """A joint at x is in cell x / 4, its mirror image three quarters of a cell off."""
    x = np.arange(40.0, 140, 3.0)
    points = np.stack([x, np.full_like(x, 64.0)], 1)
    cells = np.trunc(np.stack([points, [191, 0] + points * [-1, 1]]) / 4 + 0.5)

    @functools.partial(jax.jit, static_argnums=1)
    def found_in_the_mirror(cells, shift):
        maps = targets.gaussian_heatmaps(cells, (64, 48), 2.0)
        return person_targets.decode_cells(mirror_heatmaps(maps, (), shift=shift))

    for shift, expected in ((False, -0.75), (True, 0.25)):
        found, _ = found_in_the_mirror(jnp.asarray(cells[1:], jnp.float32), shift)
        beside = np.asarray(found)[0, :, 0] - x / 4
        assert np.mean(beside) == pytest.approx(expected, abs=0.13)


def test_published_peaks_in_the_two_first_columns_stay():
    """Where 1 < x < w - 1; `get_final_preds` in `lib/core/inference.py`."""
    maps = np.zeros((1, 8, 8, 3), np.float32)
    for joint, x in enumerate((1, 2, 6)):
        maps[0, 4, x : x + 2, joint] = 1, 0.5
    found, _ = jax.jit(person_targets.decode_cells)(maps)
    np.testing.assert_array_equal(found[0], [[1, 4], [2.25, 4], [6.25, 4]])


COCO_LOWER, MPII_LOWER, LSP_LOWER = range(11, 17), range(7), range(6)


def test_halves_are_those_that_the_published_code_lists():
    coco = (
        *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder"),
        *("right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
        *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle"),
        "right_ankle",
    )
    mpii = (
        *("right ankle", "right knee", "right hip", "left hip", "left knee"),
        *("left ankle", "pelvis", "thorax", "upper neck", "head top", "right wrist"),
        *("right elbow", "right shoulder", "left shoulder", "left elbow"),
        "left wrist",
    )
    for names, lower in ((coco, COCO_LOWER), (mpii, MPII_LOWER)):
        np.testing.assert_array_equal(np.flatnonzero(lower_half(names)), lower)


@pytest.mark.parametrize(
    ("compat", "expected"),
    [("", 0.5), ("official", statistics.NormalDist().cdf(0.5))],
)
def test_either_half_is_as_likely_but_not_in_the_published_code(compat, expected):
    options = dataclasses.replace(OPTIONS, compat=compat)
    rng = np.random.default_rng(0)
    lower, all_joints = lower_half(NAMES), np.ones(13, bool)
    drawn = [draw_half(options, all_joints, lower, rng) for _ in range(6000)]
    halves = [half for half in drawn if half is not None]
    assert len(halves) / len(drawn) == pytest.approx(0.3, abs=0.02)
    assert all((half == lower).all() or (half == ~lower).all() for half in halves)
    upper = np.mean([half[0] for half in halves])
    assert upper == pytest.approx(expected, abs=0.035)


def test_half_a_body_needs_enough_joints():
    always = dataclasses.replace(OPTIONS, half_body=1.0)
    rng, lower = np.random.default_rng(0), lower_half(NAMES)
    few = np.arange(13) < 8
    assert draw_half(always, few, lower, rng) is None
    # Nothing was drawn for it.
    assert rng.random() == np.random.default_rng(0).random()
    # Nine joints, of which two are in the lower half: always the upper one.
    most = np.arange(13) < 9
    for _ in range(20):
        np.testing.assert_array_equal(
            draw_half(always, most, lower, rng), most & ~lower
        )
    assert draw_half(always, np.ones(13, bool), np.zeros(13, bool), rng) is None


def test_half_a_body_is_cut_around_the_mean_of_its_joints():
    sample, half = make_sample(), ~lower_half(NAMES)
    crop = cut_person(sample, OPTIONS, INFO, Draw(), half)
    points = sample["points"][half] - 1
    np.testing.assert_allclose(crop["center"], points.mean(0), rtol=1e-6)
    width, height = np.ptp(points, axis=0)
    expected = 1.5 * max(width, height * 0.75) / 200
    assert crop["scale"] == pytest.approx(expected, rel=1e-6)


def test_scale_and_rotation_are_normal_and_clipped():
    rng = np.random.default_rng(1)
    draws = [draw_person(OPTIONS, rng) for _ in range(4000)]
    scales = np.array([draw.scale for draw in draws])
    assert scales.min() == pytest.approx(0.65) and scales.max() == pytest.approx(1.35)
    # Beyond one deviation on either side.
    assert np.mean(scales == scales.max()) == pytest.approx(0.159, abs=0.02)
    turned = np.array([draw.rotation for draw in draws])
    assert np.abs(turned).max() == 90
    assert np.mean(turned != 0) == pytest.approx(0.6, abs=0.03)
    assert np.std(turned[turned != 0]) == pytest.approx(45, rel=0.06)
    assert np.mean([draw.mirror for draw in draws]) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"half_body": 1.5}, "half_body' must be between 0 and 1, got 1.5"),
        ({"half_body_joints": -1}, "half_body_joints' must not be negative, got -1"),
        ({"crop_size": (256, 190)}, "crop_size' must be two positive multiples of 4"),
    ],
)
def test_wrong_options_are_errors(changes, message):
    with pytest.raises(ConfigError, match=message):
        PoseCropOptions(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"box": np.array([20.0, 30, 20, 90])},
            r"person 'a#1': box 0 is \[19.0, 29.0, 19.0, 89.0\]; expected finite x1 < x2",
        ),
        (
            {"points": np.zeros((4, 2))},
            r"'a#1' has joints of shape \[4, 2\], expected 13",
        ),
    ],
)
def test_wrong_samples_are_errors(changes, message):
    for transform in (
        make_eval_transform(OPTIONS, INFO),
        lambda sample: make_train_transform(OPTIONS, INFO)(
            sample, np.random.default_rng(0)
        ),
    ):
        with pytest.raises(DataError, match=message):
            transform(make_sample(**changes))


def test_other_data_sets_are_refused():
    sample = make_sample()
    del sample["box"]
    with pytest.raises(DataError, match="'bodies' has no boxes of persons"):
        make_eval_transform(OPTIONS, INFO)(sample)
