"""Operations on training crops, by what they make of pixels."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from hrnet_jax.classification import rand_augment as augment
from hrnet_jax.classification.augmentation import (
    ErasingOptions,
    JitterOptions,
    RandAugmentOptions,
)
from tests.data.class_files import photograph

VALUES = np.arange(256)
# What an operation of magnitude 5 of 10 makes of each value.
TABLES = {
    "invert": 255 - VALUES,
    "posterize": VALUES & 0b11000000,
    "solarize": np.where(VALUES < 128, VALUES, 255 - VALUES),
    "solarize_add": np.where(VALUES < 128, np.minimum(VALUES + 55, 255), VALUES),
}


@pytest.mark.parametrize("name", TABLES)
def test_operations_on_values(name):
    image = photograph()
    rng = np.random.default_rng(0)
    got = augment.OPERATIONS[name](Image.fromarray(image), 5.0, rng)
    np.testing.assert_array_equal(np.asarray(got), TABLES[name][image])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("color", ImageEnhance.Color),
        ("contrast", ImageEnhance.Contrast),
        ("brightness", ImageEnhance.Brightness),
        ("sharpness", ImageEnhance.Sharpness),
    ],
)
def test_operations_by_a_factor(name, kind):
    image = Image.fromarray(photograph())
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(8):
        got = np.asarray(augment.OPERATIONS[name](image, 5.0, rng))
        (factor,) = (
            f for f in (0.55, 1.45) if (got == np.asarray(kind(image).enhance(f))).all()
        )
        seen.add(factor)
    assert seen == {0.55, 1.45}
    # Never below a tenth.
    least = np.asarray(kind(image).enhance(0.1))
    made = [np.asarray(augment.OPERATIONS[name](image, 10.0, rng)) for _ in range(8)]
    assert any((one == least).all() for one in made)


# Where the pixel in the middle of the image comes from: a shift in x and y.
MOVES = {"translate_x": (0.225 * 120, 0), "translate_y": (0, 0.225 * 90)}
MOVES |= {"shear_x": (0.15 * 45.5, 0), "shear_y": (0, 0.15 * 60.5)}


@pytest.mark.parametrize("name", MOVES)
def test_operations_that_move(name):
    """A ramp shows where each pixel comes from."""
    ramp = np.zeros((90, 120, 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = np.arange(120), np.arange(90)[:, None]
    rng = np.random.default_rng(0)
    signs = set()
    for _ in range(8):
        got = augment.OPERATIONS[name](Image.fromarray(ramp), 5.0, rng)
        x, y = np.asarray(got)[45, 60, :2].astype(float) - (60, 45)
        sign = np.sign(x + y)
        np.testing.assert_allclose([x, y], sign * np.array(MOVES[name]), atol=1)
        signs.add(sign)
    assert signs == {-1.0, 1.0}
    corners = np.asarray(got)[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == (124, 116, 104)).all(1).any()


def test_rotation_is_by_up_to_thirty_degrees():
    image = Image.fromarray(photograph())
    got = augment.OPERATIONS["rotate"](image, 5.0, np.random.default_rng(0))
    fill = {"resample": Image.Resampling.BILINEAR, "fillcolor": (124, 116, 104)}
    turned = [np.asarray(image.rotate(angle, **fill)) for angle in (-15, 15)]
    assert any((np.asarray(got) == one).all() for one in turned)


def test_rand_augment_draws_operations_with_repeats(monkeypatch):
    calls = []
    for name in augment.OPERATIONS:
        monkeypatch.setitem(
            augment.OPERATIONS,
            name,
            lambda image, m, rng, name=name: calls.append((name, m)) or image,
        )
    image = Image.fromarray(photograph())
    rng = np.random.default_rng(0)
    options = RandAugmentOptions(2, 9.0, 0.5, 0.5)
    for _ in range(300):
        augment.rand_augment(image, options, rng)
    names, magnitudes = zip(*calls, strict=True)
    assert set(names) == set(augment.OPERATIONS) and len(augment.OPERATIONS) == 15
    assert 250 < len(calls) < 350
    assert max(magnitudes) == 10 and 8.8 < np.mean(magnitudes) < 9.1
    assert 0.4 < np.std(magnitudes) < 0.53  # of the part below 10
    calls.clear()
    augment.rand_augment(image, RandAugmentOptions(3, 7.0, 0.0, 1.0), rng)
    assert [m for _, m in calls] == [7.0] * 3


def test_jitter_applies_each_factor_once():
    image = Image.fromarray(photograph())
    rng = np.random.default_rng(3)
    got = augment.jitter(image, JitterOptions(brightness=0.4), rng)
    mean = np.asarray(image).mean()
    factors = []
    for _ in range(50):
        got = augment.jitter(image, JitterOptions(brightness=0.4), rng)
        factors.append(np.asarray(got).mean() / mean)
    assert 0.58 < min(factors) < 0.7 and max(factors) > 1.15
    grey = augment.jitter(image, JitterOptions(saturation=0.4), rng)
    difference = np.asarray(grey.convert("L")).astype(int) - np.asarray(
        image.convert("L")
    )
    assert np.abs(difference).max() <= 2
    for key in ("contrast", "hue"):
        changed = augment.jitter(image, JitterOptions(**{key: 0.4}), rng)
        assert (np.asarray(changed) != np.asarray(image)).any()


def test_the_hue_turns_round_the_circle():
    red = Image.new("RGB", (4, 3), (255, 0, 0))
    green = np.asarray(augment._hue(red, 1 / 3))
    assert (np.abs(green.astype(int) - (0, 255, 0)) <= 6).all()
    blue = np.asarray(augment._hue(red, -1 / 3))
    assert (np.abs(blue.astype(int) - (0, 0, 255)) <= 6).all()


def test_erasing_puts_noise_into_one_rectangle():
    image = np.full((60, 80, 3), 7, np.uint8)
    rng = np.random.default_rng(0)
    options = ErasingOptions(1.0)
    noise = []
    for _ in range(200):
        erased = augment.erase(image, options, rng)
        changed = (erased != 7).any(2)
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        box = erased[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert 0.015 < box[..., 0].size / 4800 <= 0.35
        noise.append(box.mean())
    assert 120 < np.mean(noise) < 135 and (image == 7).all()
    assert augment.erase(image, ErasingOptions(0.0), rng) is image
    kept = sum(
        augment.erase(image, ErasingOptions(0.25), rng) is image for _ in range(400)
    )
    assert 270 < kept < 330
