"""From records to crops: points stay on what they name."""

import dataclasses

import numpy as np
import pytest

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.keypoints import geometry
from hrnet_jax.keypoints.transforms import (
    AugmentationOptions,
    Draw,
    cut,
    draw_augmentation,
    make_eval_transform,
    make_train_transform,
)

INFO = DatasetInfo(
    "five",
    0,
    (),
    (),
    point_names=("left eye", "nose", "right eye", "left ear", "right ear"),
    point_flip_pairs=((0, 2), (3, 4)),
    point_origin=1.0,
)
OPTIONS = AugmentationOptions(crop_size=(128, 128))
HEIGHT, WIDTH = 300, 340


def make_sample(seed=0, **changes):
    """A picture with a coloured spot on every point, annotated from 1 on."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(110, 190, (5, 2))
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    image = np.zeros((HEIGHT, WIDTH, 3))
    for index, (px, py) in enumerate(points):
        spot = np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 2.0**2))
        image[..., index % 3] += 250 * spot * (1 if index < 3 else 0.5)
    return {
        "image": np.clip(np.rint(image), 0, 255).astype(np.uint8),
        "points": points + 1,
        "visible": np.uint8([1, 1, 0, 1, 1]),
        "annotated": np.uint8([1, 0, 1, 1, 1]),
        "center": np.array([152.0, 149.0]),
        "scale": np.float64(0.6),
        "box_size": np.float64(120),
        "image_id": "a",
    } | changes


def centroid(channel):
    y, x = np.mgrid[: channel.shape[0], : channel.shape[1]]
    weights = channel.astype(float)
    return np.array([(weights * x).sum(), (weights * y).sum()]) / weights.sum()


@pytest.mark.parametrize("seed", range(20))
def test_points_stay_where_the_picture_shows_them(seed):
    sample = make_sample(seed)
    crop = make_train_transform(OPTIONS, INFO)(sample, np.random.default_rng(seed))
    assert crop["image"].shape == (128, 128, 3) and crop["image"].dtype == np.uint8
    assert crop["points"].shape == (5, 2) and crop["points"].dtype == np.float32
    # Only the nose, point 1, is green alone.
    nose = crop["points"][1]
    if (nose > 8).all() and (nose < 119).all():
        far = np.abs(np.delete(crop["points"], 1, 0) - nose).max(1).min()
        if far > 20:
            green = crop["image"][..., 1].copy()
            y, x = np.mgrid[:128, :128]
            green[np.hypot(x - nose[0], y - nose[1]) > 10] = 0
            np.testing.assert_allclose(centroid(green), nose, atol=0.4)


def test_evaluation_maps_back_to_the_annotation():
    sample = make_sample()
    crop = make_eval_transform(OPTIONS, INFO)(sample)
    back = geometry.to_image(
        crop["points"][None], crop["center"][None], crop["scale"][None], (128, 128)
    )[0]
    np.testing.assert_allclose(back + 1, sample["points"], atol=1e-4)
    np.testing.assert_allclose(crop["image_points"], sample["points"], rtol=1e-6)
    assert crop["scale"] == np.float32(0.6 * 1.25) and crop["box_size"] == 120
    np.testing.assert_array_equal(crop["center"], [151, 148])
    assert crop["image_id"] == "a"


def test_a_mirrored_face_has_left_on_the_right():
    sample = make_sample()
    straight = cut(sample, OPTIONS, INFO, Draw())
    mirrored = cut(sample, OPTIONS, INFO, Draw(mirror=True))
    order = [2, 1, 0, 4, 3]
    expected = straight["points"].copy()
    expected[:, 0] = 127 - expected[:, 0]
    np.testing.assert_allclose(mirrored["points"], expected[order], atol=1e-4)
    np.testing.assert_array_equal(mirrored["visible"], [0, 1, 1, 1, 1])
    np.testing.assert_array_equal(mirrored["annotated"], [1, 0, 1, 1, 1])
    # Bilinear weights differ by rounding only.
    difference = mirrored["image"].astype(int) - straight["image"][:, ::-1]
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("angle", [-30, 12.5, 90])
def test_turning_turns_points_about_the_middle(angle):
    sample = make_sample()
    straight = cut(sample, OPTIONS, INFO, Draw())["points"] - 63.5
    turned = cut(sample, OPTIONS, INFO, Draw(rotation=angle))["points"] - 63.5
    # y points down: counter-clockwise as seen is clockwise for the formula.
    expected = (straight @ [1, 1j]) * np.exp(-1j * np.radians(angle))
    np.testing.assert_allclose(turned @ [1, 1j], expected, atol=1e-3)


def test_scale_and_shift_act_on_the_box():
    sample = make_sample()
    straight = cut(sample, OPTIONS, INFO, Draw())["points"] - 63.5
    larger = cut(sample, OPTIONS, INFO, Draw(scale=1.25))["points"] - 63.5
    np.testing.assert_allclose(larger, straight / 1.25, atol=1e-4)
    moved = cut(sample, OPTIONS, INFO, Draw(shift=(0.25, 0)))["points"] - 63.5
    np.testing.assert_allclose(moved, straight - [32, 0], atol=1e-4)


def test_draws_are_those_of_the_published_recipe():
    rng = np.random.default_rng(0)
    draws = [draw_augmentation(AugmentationOptions(), rng) for _ in range(4000)]
    scales = np.array([draw.scale for draw in draws])
    angles = np.array([draw.rotation for draw in draws])
    assert 0.75 <= scales.min() < 0.76 and 1.24 < scales.max() <= 1.25
    assert abs((angles != 0).mean() - 0.6) < 0.03
    assert -30 <= angles.min() < -29 and 29 < angles.max() <= 30
    assert abs(np.mean([draw.mirror for draw in draws]) - 0.5) < 0.03
    assert {draw.shift for draw in draws} == {(0.0, 0.0)}


def test_options_that_are_off_draw_nothing():
    off = AugmentationOptions(scale=0, rotation=0, flip=False)
    rng = np.random.default_rng(0)
    assert draw_augmentation(off, rng) == Draw()
    assert rng.random() == np.random.default_rng(0).random()
    shifted = draw_augmentation(dataclasses.replace(off, shift=0.1), rng).shift
    assert 0 < max(map(abs, shifted)) <= 0.1


def test_a_crop_depends_on_the_generator_alone():
    options = dataclasses.replace(OPTIONS, photometric=True, shift=0.1)
    transform = make_train_transform(options, INFO)
    sample = make_sample()
    image = sample["image"].copy()
    first, again, other = (
        transform(sample, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    for key, value in first.items():
        np.testing.assert_array_equal(value, again[key])
    assert not np.array_equal(first["image"], other["image"])
    np.testing.assert_array_equal(sample["image"], image)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"crop_size": (0, 64)}, r"crop_size' must be two positive .* \(0, 64\)"),
        ({"crop_size": (90, 64)}, r"multiples of 4 .*, got \(90, 64\)"),
        ({"compat": "mmpose"}, "compat' must be empty or 'official', got 'mmpose'"),
        ({"compat": "official", "crop_size": (256, 192)}, "crops are square"),
        ({"shift": 2.0}, "shift' must be between 0 and 1, got 2.0"),
        ({"margin": 0.0}, "margin' must be positive"),
        ({"scale": 1.0}, "scale' must be between 0 and 0.999, got 1.0"),
        ({"rotation_probability": 1.5}, "rotation_probability' must be between"),
        ({"rotation": -1.0}, "rotation' must be between 0 and 180, got -1.0"),
    ],
)
def test_values_out_of_range_are_errors(changes, message):
    with pytest.raises(ConfigError, match=message):
        AugmentationOptions(**changes)


def test_records_without_boxes_or_with_other_points_are_errors():
    sample = make_sample()
    del sample["center"]
    with pytest.raises(DataError, match=r"'five' has no face boxes"):
        make_eval_transform(OPTIONS, INFO)(sample)
    short = make_sample(points=np.zeros((4, 2)))
    with pytest.raises(DataError, match=r"'a' has points .* \[4, 2\], expected 5"):
        make_eval_transform(OPTIONS, INFO)(short)


@pytest.mark.parametrize("size", [(128, 128), (192, 256), (256, 192)])
def test_training_sees_what_prediction_cuts(size):
    """The whole box with its margin, also in crops that are not square."""
    options = AugmentationOptions(crop_size=size)
    sample = make_sample()
    crop = make_eval_transform(options, INFO)(sample)
    half = 100 * sample["scale"]
    box = np.concatenate([sample["center"] - 1 - half, sample["center"] - 1 + half])
    centers, scales = geometry.box_center_scale(box[None], size, options.margin)
    np.testing.assert_allclose(crop["center"], centers[0])
    np.testing.assert_allclose(crop["scale"], scales[0], rtol=1e-6)


def test_published_samples_can_be_shifted():
    options = dataclasses.replace(OPTIONS, compat="official")
    straight = cut(make_sample(), options, INFO, Draw())["points"]
    moved = cut(make_sample(), options, INFO, Draw(shift=(0.25, 0)))["points"]
    assert np.abs(moved - (straight - [32, 0])).max() <= 4
