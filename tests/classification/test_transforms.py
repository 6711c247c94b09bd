"""Training crops as torchvision cuts them, and what may be done to them."""

import io
import math

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from hrnet_jax.classification import rand_augment as augment
from hrnet_jax.classification.augmentation import (
    AugmentationOptions,
    ErasingOptions,
    JitterOptions,
    RandAugmentOptions,
)
from hrnet_jax.classification.options import InferenceOptions
from hrnet_jax.classification.transforms import (
    draw_window,
    make_train_transform,
    prepare_evaluation,
)
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.imaging.cutting import Resizing, WindowedImage
from tests.data.class_files import encoded

AREA, ASPECT = (0.08, 1.0), (3 / 4, 4 / 3)


class Scripted:
    """A generator of random numbers whose draws are shares of their range."""

    def __init__(self, *shares):
        self._shares = list(shares)

    def uniform(self, low, high):
        return low + self._shares.pop(0) * (high - low)

    def integers(self, high):
        return int(self._shares.pop(0) * high)

    @property
    def left(self):
        return len(self._shares)


def photograph(height=90, width=120):
    """Smooth, as photographs are."""
    rng = np.random.default_rng([height, width])
    small = rng.integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def test_a_window_by_hand():
    # Area 0.08 + 0.5 * 0.92 = 0.54, aspect 1; then the middle of what is left.
    rng = Scripted(0.5, 0.5, 0.5, 0.5)
    side = round(math.sqrt(0.54 * 90 * 120))
    top, left = (90 - side + 1) // 2, (120 - side + 1) // 2
    assert draw_window(90, 120, AREA, ASPECT, rng) == (top, left, side, side)
    # The largest aspect makes the window wide; the last place is inside.
    rng = Scripted(0.0, 1.0, 0.999, 0.999)
    area = 0.08 * 90 * 120
    height, width = round(math.sqrt(area * 3 / 4)), round(math.sqrt(area * 4 / 3))
    expected = (90 - height, 120 - width, height, width)
    assert draw_window(90, 120, AREA, ASPECT, rng) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((10, 100), (0, 43, 10, 13)),
        ((100, 10), (43, 0, 13, 10)),
        ((80, 90), (0, 0, 80, 90)),
        ((1, 9), (0, 4, 1, 1)),
    ],
)
def test_windows_that_never_fit_are_the_middle(size, expected):
    # Ten times the whole area, at an aspect that no such image has.
    rng = Scripted(*[1.0, 0.0 if size[1] > size[0] else 1.0] * 10)
    assert draw_window(*size, AREA, ASPECT, rng) == expected
    assert rng.left == 0


def test_windows_have_the_areas_and_aspects_of_the_options():
    rng = np.random.default_rng(0)
    windows = np.array([draw_window(300, 400, AREA, ASPECT, rng) for _ in range(2000)])
    top, left, height, width = windows.T
    assert (top >= 0).all() and (top + height <= 300).all()
    assert (left >= 0).all() and (left + width <= 400).all()
    area, aspect = height * width / (300 * 400), width / height
    assert 0.078 < area.min() < 0.1 and area.max() <= 1
    assert 0.74 < aspect.min() < 0.78 and 1.29 < aspect.max() < 1.35
    # On a logarithmic scale, wide and high ones that fit are as frequent.
    assert abs(np.log(aspect[area < 0.5]).mean()) < 0.02


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("library", ["pillow", "opencv"])
@pytest.mark.parametrize("form", ["pixels", "JPEG", "PNG"])
def test_a_training_crop_is_the_resized_window(library, interpolation, form):
    image = photograph()
    data = image if form == "pixels" else encoded(Image.fromarray(image), form)
    if form == "JPEG" and library == "pillow":
        image = np.asarray(Image.open(io.BytesIO(data)))
    elif form == "JPEG":
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    options = AugmentationOptions(
        crop_size=(32, 48), interpolation=interpolation, library=library
    )
    sample = {"image": data, "class": np.int64(3), "image_id": "a"}
    transform = make_train_transform(options)
    mirrored = set()
    for seed in range(4):
        got = transform(sample, np.random.default_rng(seed))
        rng = np.random.default_rng(seed)
        top, left, height, width = draw_window(90, 120, AREA, ASPECT, rng)
        part = image[top : top + height, left : left + width]
        if library == "pillow":
            how = Image.Resampling[interpolation.upper()]
            expected = np.asarray(Image.fromarray(part).resize((48, 32), how))
        else:
            how = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}
            expected = cv2.resize(part, (48, 32), interpolation=how[interpolation])
        flip = rng.random() < 0.5
        mirrored.add(flip)
        np.testing.assert_array_equal(
            got["image"], expected[:, ::-1] if flip else expected
        )
    assert mirrored == {True, False}
    assert got["class"] == 3 and got["class"].dtype == np.int32
    assert got["image_id"] == "a" and got["image"].flags.c_contiguous


def test_targets_of_several_classes():
    sample = {"image": photograph(), "image_id": "a"}
    sample |= {"classes": np.array([1, 0, 1]), "real": np.array([0, 1, 1])}
    transform = make_train_transform(AugmentationOptions((8, 8)))
    got = transform(sample, np.random.default_rng(0))
    assert got["classes"].tolist() == [1, 0, 1] and got["classes"].dtype == np.uint8
    assert got["real"].tolist() == [0, 1, 1] and "class" not in got


@pytest.mark.parametrize("library", ["pillow", "opencv"])
def test_scaled_decoding_changes_little_and_only_where_enough_is_left(library):
    whole = photograph(480, 640)
    data = encoded(Image.fromarray(whole), quality=95)
    window, size = (31, 47, 402, 505), (64, 80)
    exact = WindowedImage(data, Resizing("pillow"), "a").resized(window, size)
    crops = {}
    for gap in (2.0, 4.0):
        how = Resizing(library, scaled_decoding=gap)
        crops[gap] = WindowedImage(data, how, "a").resized(window, size)
        assert crops[gap].shape == (64, 80, 3)
        assert np.abs(crops[gap].astype(int) - exact).mean() < 1.5
    # 402 / 64 = 6.28 pixels for one: halves leave more than 2 of them, not 4.
    full = WindowedImage(data, Resizing(library), "a").resized(window, size)
    np.testing.assert_array_equal(crops[4.0], full)
    assert (crops[2.0] != full).any()


def test_scaled_decoding_decodes_fewer_pixels(monkeypatch):
    data = encoded(Image.fromarray(photograph(480, 640)))
    sizes = []
    own = Image.Image.resize

    def resize(self, *arguments, **options):
        sizes.append(self.size)
        return own(self, *arguments, **options)

    monkeypatch.setattr(Image.Image, "resize", resize)
    for gap in (1.0, 0.0):
        how = Resizing(scaled_decoding=gap)
        WindowedImage(data, how, "a").resized((0, 0, 480, 640), (60, 60))
    assert sizes == [(80, 60), (640, 480)]


@pytest.mark.parametrize("library", ["pillow", "opencv"])
@pytest.mark.parametrize("gap", [0.0, 1.0])
def test_files_are_turned_as_their_exif_data_say(library, gap):
    image = photograph()
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.fromarray(image), quality=100, exif=exif)
    opened = WindowedImage(data, Resizing(library, scaled_decoding=gap), "a")
    assert opened.size == (120, 90)
    got = opened.resized((0, 0, 120, 90), (120, 90))
    assert np.abs(got.astype(int) - np.rot90(image, -1)).mean() < 3


@pytest.mark.parametrize("library", ["pillow", "opencv"])
def test_other_modes_become_rgb(library):
    grey = photograph()[..., 0]
    for data in (
        encoded(Image.fromarray(grey), "PNG"),
        encoded(Image.fromarray(grey), quality=100),
        encoded(Image.fromarray(grey).convert("RGBA"), "PNG"),
    ):
        got = WindowedImage(data, Resizing(library), "a")
        pixels = got.resized((0, 0, 90, 120), (90, 120))
        assert np.abs(pixels.astype(int) - grey[..., None]).max() <= 4


@pytest.mark.parametrize("library", ["pillow", "opencv"])
@pytest.mark.parametrize("gap", [0.0, 2.0])
def test_damaged_records_are_named(library, gap):
    transform = make_train_transform(
        AugmentationOptions((8, 8), library=library, scaled_decoding=gap)
    )
    whole = encoded(Image.fromarray(photograph()))
    for data in (b"words", whole[:100]):
        sample = {"image": data, "class": 0, "image_id": "cat/7"}
        with pytest.raises(DataError, match="'cat/7' of the records does not decode"):
            transform(sample, np.random.default_rng(0))


@pytest.mark.parametrize("library", ["pillow", "opencv"])
def test_evaluated_crops_of_files_are_those_of_their_pixels(library):
    image = photograph(140, 100)
    data = encoded(Image.fromarray(image), "PNG")
    options = InferenceOptions(64, 56, "bicubic", library)
    got = prepare_evaluation(data, options)
    np.testing.assert_array_equal(got, prepare_evaluation(image, options))
    if library == "pillow":
        resized = Image.fromarray(image).resize((64, 89), Image.Resampling.BICUBIC)
    else:
        resized = cv2.resize(image, (64, 89), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_array_equal(got, np.asarray(resized)[16:72, 4:60])


def half(image):
    """An image with its right half in another colour."""
    pixels = np.array(image)
    pixels[:, pixels.shape[1] // 2 :] = (200, 90, 30)
    return Image.fromarray(pixels)


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


def test_everything_together_is_one_crop():
    options = AugmentationOptions(
        (24, 32),
        rand_augment=RandAugmentOptions(2),
        jitter=JitterOptions(0.4, 0.4, 0.4, 0.1),
        erasing=ErasingOptions(0.5),
    )
    transform = make_train_transform(options)
    sample = {"image": photograph(), "class": 0, "image_id": "a"}
    for seed in range(20):
        first, again = (
            transform(sample, np.random.default_rng(seed))["image"] for _ in range(2)
        )
        assert first.shape == (24, 32, 3) and first.dtype == np.uint8
        np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: AugmentationOptions((0, 3)),
            "augmentation.crop_size' must be two pos",
        ),
        (
            lambda: AugmentationOptions(area=(0, 1)),
            "augmentation.area' must be 0 < least",
        ),
        (lambda: AugmentationOptions(area=(0.5, 1.5)), "area' must be .* <= 1, got"),
        (
            lambda: AugmentationOptions(aspect=(2, 1)),
            "aspect' must be 0 < least <= larg",
        ),
        (
            lambda: AugmentationOptions(library="skia"),
            "library' must be pillow or opencv",
        ),
        (lambda: AugmentationOptions(interpolation="x"), "must be bilinear or bicubic"),
        (
            lambda: AugmentationOptions(scaled_decoding=-1),
            "scaled_decoding' must be betw",
        ),
        (
            lambda: RandAugmentOptions(magnitude=11),
            "rand_augment.magnitude' must be betw",
        ),
        (
            lambda: RandAugmentOptions(number=-1),
            "rand_augment.number' must be between 0",
        ),
        (
            lambda: JitterOptions(hue=0.6),
            "jitter.hue' must be between 0 and 0.5, got 0.6",
        ),
        (lambda: ErasingOptions(probability=2), "erasing.probability' must be between"),
        (lambda: ErasingOptions(area=(0.3, 0.2)), "erasing.area' must be 0 < least"),
    ],
)
def test_options_out_of_range(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
