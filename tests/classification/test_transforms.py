"""Training crops as torchvision cuts them, and what may be done to them."""

import io
import math

import cv2
import numpy as np
import pytest
from PIL import Image

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
from tests.data.class_files import encoded, photograph

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
    # One as large as the image fits.
    rng = Scripted(1.0, 1.0, 0.5, 0.5)
    assert draw_window(90, 120, AREA, ASPECT, rng) == (0, 0, 90, 120)
    assert rng.left == 0


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
    again = WindowedImage(data, Resizing(library, scaled_decoding=2.0), "a")
    for seen in (window, (0, 0, 480, 640)):
        twice = again.resized(seen, size).astype(int)
        whole_one = WindowedImage(data, Resizing(library), "a").resized(seen, size)
        assert np.abs(twice - whole_one).mean() < 1.5
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
