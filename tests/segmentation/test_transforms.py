"""Scale, crop, flip and pad, against OpenCV, the official code and formulas."""

import itertools

import cv2
import numpy as np
import pytest

from hrnet_jax.config.options import read_options
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.imaging import photometric
from hrnet_jax.segmentation import transforms
from tests.goldens import official, synthetic_weights

MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])
GOLDEN = official.arrays("numeric/segmentation")


class Scripted:
    """A generator whose integers are given; anything else it refuses."""

    def __init__(self, *values: int):
        self._values = list(values)

    def integers(self, low: int, high: int | None = None) -> int:
        value = self._values.pop(0)
        assert (0 if high is None else low) <= value < (high or low)
        return value

    def assert_used_up(self) -> None:
        assert self._values == []


def golden_sample() -> dict:
    """The image (here RGB) and label of the official preprocessing outputs."""
    seed = int(GOLDEN["preprocess/image_seed"])
    image = synthetic_weights.make_uint8_image_hwc((48, 96, 3), seed)[..., ::-1]
    label = synthetic_weights.make_labels((1, 48, 96), 19, seed)[0].astype(np.uint8)
    return {"image": np.ascontiguousarray(image), "label": label, "image_id": "golden"}


def random_sample(height: int, width: int, seed: int = 0, classes: int = 19) -> dict:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    label = rng.integers(0, classes, (height, width)).astype(np.uint8)
    return {"image": image, "label": label, "image_id": f"random-{seed}"}


def options(**values) -> transforms.AugmentationOptions:
    return transforms.AugmentationOptions(**values)


def whole(size: tuple[int, int]) -> tuple[int, int, int, int]:
    return (0, 0, *size)


def bilinear(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Half-pixel bilinear interpolation, in float64, edges repeated."""
    result = image.astype(np.float64)
    for axis, length in enumerate(size):
        original = image.shape[axis]
        position = (np.arange(length) + 0.5) * original / length - 0.5
        low = np.floor(position).astype(int)
        weight = (position - low).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        low, high = np.clip([low, low + 1], 0, original - 1)
        result = result.take(low, axis) * (1 - weight) + result.take(high, axis) * (
            weight
        )
    return result


def random_windows(size: tuple[int, int], count: int, seed: int):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        height, width = (int(rng.integers(1, side + 1)) for side in size)
        top = int(rng.integers(size[0] - height + 1))
        left = int(rng.integers(size[1] - width + 1))
        yield top, left, height, width


SHAPES = [(48, 96), (97, 65), (256, 512), (1, 7)]
SCALES = [0.3, 0.5, 0.6, 0.97, 1.0, 1.3, 2.0, 2.1]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", SCALES)
def test_label_window_equals_opencv_nearest_resize_then_crop(shape, scale):
    label = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    size = transforms.resized_shape(shape, max(1, int(max(shape) * scale + 0.5)))
    resized = cv2.resize(label, size[::-1], interpolation=cv2.INTER_NEAREST)
    for window in [whole(size), *random_windows(size, 5, seed=1)]:
        top, left, height, width = window
        np.testing.assert_array_equal(
            transforms.resize_crop_label(label, size, window),
            resized[top : top + height, left : left + width],
        )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", SCALES)
def test_image_window_is_one_grey_level_from_opencv_resize_then_crop(shape, scale):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    size = transforms.resized_shape(shape, max(1, int(max(shape) * scale + 0.5)))
    resized = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
    exact = bilinear(image, size)
    for window in [whole(size), *random_windows(size, 5, seed=2)]:
        top, left, height, width = window
        kept = np.s_[top : top + height, left : left + width]
        got = transforms.resize_crop_image(image, size, window).astype(np.float64)
        assert got.shape == (height, width, 3)
        assert np.abs(got - resized[kept]).max() <= 1
        # OpenCV's own resize is up to 0.82 away from exact arithmetic.
        assert np.abs(got - exact[kept]).max() <= 0.51


def test_window_of_a_large_image_is_as_exact():
    image = np.random.default_rng(3).integers(0, 256, (64, 6000, 3), np.uint8)
    size = transforms.resized_shape((64, 6000), 7801)
    window = (3, 7801 - 200, 60, 200)
    got = transforms.resize_crop_image(image, size, window).astype(np.float64)
    exact = bilinear(image, size)[3:63, -200:]
    assert np.abs(got - exact).max() <= 0.51


@pytest.mark.parametrize("long_side", [128, 71, 96])
def test_resize_matches_the_official_code(long_side):
    sample = golden_sample()
    size = transforms.resized_shape((48, 96), long_side)
    label = transforms.resize_crop_label(sample["label"], size, whole(size))
    np.testing.assert_array_equal(
        label, GOLDEN[f"preprocess/resize_long{long_side}_labels"]
    )
    image = transforms.resize_crop_image(sample["image"], size, whole(size))
    expected = GOLDEN[f"preprocess/resize_long{long_side}_image"][..., ::-1]
    difference = image[::2, ::2].astype(int) - expected
    assert np.abs(difference).max() <= 1
    assert abs(difference.mean()) < 0.15  # OpenCV truncates, we round


def test_long_side_of_a_tall_image_is_its_height():
    image = np.ascontiguousarray(golden_sample()["image"].transpose(1, 0, 2))
    size = transforms.resized_shape((96, 48), 71)
    resized = transforms.resize_crop_image(image, size, whole(size))
    expected = GOLDEN["preprocess/resize_long71_tall_image"][..., ::-1]
    assert np.abs(resized[::2, ::2].astype(int) - expected).max() <= 1


def test_short_side_is_rounded_half_up():
    assert transforms.resized_shape((5, 10), 7) == (4, 7)
    assert transforms.resized_shape((10, 5), 7) == (7, 4)
    assert transforms.resized_shape((1, 100), 3) == (1, 3)


def test_training_sample_matches_the_official_code():
    transform = transforms.make_train_transform(
        options(crop_size=(64, 64), base_size=96)
    )
    rng = Scripted(7, 9, 0, 1)  # scale 0.5 + 7 / 10, x, y, flip
    sample = transform(golden_sample(), rng)
    rng.assert_used_up()
    np.testing.assert_array_equal(
        sample["label"], GOLDEN["preprocess/train_sample_labels"]
    )
    image = (sample["image"] / 255.0 - MEAN) / STD
    expected = GOLDEN["preprocess/train_sample_image"].transpose(1, 2, 0)
    one_level = 1.0 / 255.0 / STD + 1e-5
    assert (np.abs(image[::3, ::3] - expected) <= one_level).all()
    # Padding is black before normalisation, and equal to the last bit.
    np.testing.assert_allclose(image[60::3, ::3], expected[20:], atol=1e-6)


def test_samples_stay_uint8_and_keep_other_keys():
    transform = transforms.make_train_transform(options(crop_size=(40, 30)))
    sample = transform(golden_sample(), np.random.default_rng(0))
    assert sample["image"].dtype == sample["label"].dtype == np.uint8
    assert sample["image"].shape == (40, 30, 3)
    assert sample["label"].shape == (40, 30)
    assert sample["image"].flags.c_contiguous and sample["label"].flags.c_contiguous
    assert sample["image_id"] == "golden"


def test_seventeen_scales_from_half_to_two_point_one():
    drawn = {
        transforms._draw_size((100, 200), options(), Scripted(step))
        for step in range(17)
    }
    expected = {(5 * k, 10 * k) for k in range(10, 43, 2)}
    assert drawn == expected
    with pytest.raises(AssertionError):
        transforms._draw_size((100, 200), options(), Scripted(17))


def test_largest_scale_is_included_despite_rounding():
    upto = options(scale_max=1.7)  # (1.7 - 0.5) / 0.1 is 11.999999999999998
    assert transforms._draw_size((100, 200), upto, Scripted(12)) == (170, 340)


def test_scale_step_zero_draws_every_scale():
    rng = np.random.default_rng(0)
    continuous = options(scale_step=0.0, scale_min=0.5, scale_max=2.0)
    sides = [transforms._draw_size((500, 1000), continuous, rng)[1] for _ in range(500)]
    assert len(set(sides)) > 300
    assert 500 <= min(sides) < 550 and 1950 < max(sides) <= 2000


def test_crop_offsets_reach_both_borders():
    transform = transforms.make_train_transform(
        options(crop_size=(2, 3), scale_min=1.0, scale_max=1.0, flip=False)
    )
    label = np.arange(20, dtype=np.uint8).reshape(4, 5)
    sample = {"image": np.zeros((4, 5, 3), np.uint8), "label": label}
    rng = np.random.default_rng(0)
    corners = {int(transform(sample, rng)["label"][0, 0]) for _ in range(300)}
    assert corners == {5 * y + x for y, x in itertools.product(range(3), range(3))}


def test_small_images_are_padded_only_up_to_the_crop():
    transform = transforms.make_train_transform(
        options(crop_size=(6, 4), scale_min=1.0, scale_max=1.0, flip=False)
    )
    sample = random_sample(5, 8, seed=1)
    result = transform(sample, Scripted(0, 4, 0))
    np.testing.assert_array_equal(result["image"][:5], sample["image"][:, 4:])
    np.testing.assert_array_equal(result["label"][:5], sample["label"][:, 4:])
    assert (result["image"][5] == 0).all()
    assert (result["label"][5] == 255).all()


def test_mirroring_swaps_the_labels_of_pairs():
    fixed = options(crop_size=(4, 6), scale_min=1.0, scale_max=1.0)
    transform = transforms.make_train_transform(fixed, flip_pairs=[(1, 2), (7, 5)])
    sample = random_sample(4, 6, seed=2, classes=8)
    sample["label"][0, 0] = 255
    mirrored = transform(sample, Scripted(0, 0, 0, 1))
    swapped = sample["label"][:, ::-1].copy()
    for label in (1, 2, 5, 7):
        swapped[sample["label"][:, ::-1] == label] = {1: 2, 2: 1, 5: 7, 7: 5}[label]
    np.testing.assert_array_equal(mirrored["label"], swapped)
    np.testing.assert_array_equal(mirrored["image"], sample["image"][:, ::-1])
    straight = transform(sample, Scripted(0, 0, 0, 0))
    np.testing.assert_array_equal(straight["label"], sample["label"])
    np.testing.assert_array_equal(straight["image"], sample["image"])


def test_half_of_the_samples_are_mirrored():
    fixed = options(crop_size=(1, 2), scale_min=1.0, scale_max=1.0)
    transform = transforms.make_train_transform(fixed)
    sample = {"image": np.zeros((1, 2, 3), np.uint8), "label": np.uint8([[0, 1]])}
    rng = np.random.default_rng(0)
    mirrored = sum(int(transform(sample, rng)["label"][0, 0]) for _ in range(400))
    assert 160 < mirrored < 240


def test_crops_full_of_one_class_are_drawn_again():
    label = np.zeros((8, 80), np.uint8)
    label[:, 40:] = np.arange(8)[:, None]  # many classes in the right half
    label[4:] = 255
    sample = {"image": np.zeros((8, 80, 3), np.uint8), "label": label}
    fixed = {"crop_size": (8, 8), "scale_min": 1.0, "scale_max": 1.0, "flip": False}
    transform = transforms.make_train_transform(options(**fixed, cat_max_ratio=0.75))
    rng = Scripted(0, 3, 0, 20, 0, 60, 0)  # the first two crops show one class
    assert len(np.unique(transform(sample, rng)["label"])) == 5
    rng.assert_used_up()
    rng = Scripted(0, *[0] * 22)  # gives up after ten further crops
    transform(sample, rng)
    rng.assert_used_up()


def test_brightness_shifts_all_channels_alike_half_of_the_time():
    transform = transforms.make_train_transform(
        options(
            crop_size=(48, 96), scale_min=1.0, scale_max=1.0, flip=False, brightness=10
        )
    )
    sample = golden_sample()
    shifted = transform(sample, Scripted(0, 0, 0, 1, -7))["image"]
    expected = np.clip(sample["image"].astype(int) - 7, 0, 255)
    np.testing.assert_array_equal(shifted, expected)
    unchanged = transform(sample, Scripted(0, 0, 0, 0))["image"]
    np.testing.assert_array_equal(unchanged, sample["image"])


class Coins:
    """A generator whose coins and other draws are given."""

    def __init__(self, coins: list[int], numbers: list[float]):
        self._coins, self._numbers = coins, numbers

    def integers(self, low: int, high: int | None = None) -> int:
        return self._coins.pop(0) if high is None else int(self._numbers.pop(0))

    def uniform(self, low: float, high: float) -> float:
        number = self._numbers.pop(0)
        assert low <= number <= high
        return number


def test_photometric_distortion_without_heads_changes_nothing():
    image = golden_sample()["image"]
    coins = Coins([0, 0, 0, 0, 0], [])
    result = photometric.random_photometric_distortion(image, coins)
    np.testing.assert_array_equal(result, image)


@pytest.mark.parametrize("first", [0, 1])
def test_brightness_and_contrast_are_rounded_affine_maps(first):
    image = golden_sample()["image"]
    # Coins: brightness, place of contrast, then contrast, saturation, hue.
    coins = [1, 1, 1, 0, 0] if first else [1, 0, 0, 0, 1]
    result = photometric.random_photometric_distortion(
        image, Coins(coins, [-20.25, 1.3])
    )
    shifted = np.clip(np.rint(image - 20.25), 0, 255)
    expected = np.clip(np.rint(shifted * 1.3), 0, 255)
    np.testing.assert_array_equal(result, expected)


def test_hue_turns_and_saturation_scales():
    red = np.full((1, 1, 3), (200, 0, 0), np.uint8)
    turned = photometric.random_photometric_distortion(
        red, Coins([0, 0, 0, 1, 0], [15])
    )
    np.testing.assert_allclose(turned[0, 0], (200, 100, 0), atol=1)  # orange
    faded = photometric.random_photometric_distortion(
        red, Coins([0, 0, 1, 0, 0], [0.5])
    )
    np.testing.assert_allclose(faded[0, 0], (200, 100, 100), atol=1)


def test_photometric_option_changes_the_image_only():
    fixed = {"crop_size": (48, 96), "scale_min": 1.0, "scale_max": 1.0, "flip": False}
    sample = golden_sample()
    plain = transforms.make_train_transform(options(**fixed))
    distorted = transforms.make_train_transform(options(**fixed, photometric=True))
    one = plain(sample, np.random.default_rng(1))
    other = distorted(sample, np.random.default_rng(1))
    assert (one["image"] != other["image"]).any()
    np.testing.assert_array_equal(one["label"], other["label"])


def test_image_and_label_of_different_size_are_named():
    sample = golden_sample()
    sample["label"] = sample["label"][1:]
    transform = transforms.make_train_transform(options(crop_size=(8, 8)))
    with pytest.raises(DataError, match="'golden' differ in size: .48, 96. and .47"):
        transform(sample, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"crop_size": (0, 5)}, "crop_size must be two positive"),
        ({"crop_size": [512]}, "crop_size.*2 values"),
        ({"base_size": -1}, "base_size .* got -1"),
        ({"scale_min": 0.0}, "scale_min .* got 0.0"),
        ({"scale_min": 3.0}, "scale_min <= scale_max, got 3.0 and 2.1"),
        ({"scale_step": -0.1}, "scale_step .* got -0.1"),
        ({"brightness": 300}, "brightness .* got 300"),
        ({"cat_max_ratio": 0.0}, "cat_max_ratio .* got 0.0"),
        ({"crop": 3}, "crop.*crop_size"),
    ],
)
def test_bad_options_are_named(section, message):
    with pytest.raises(ConfigError, match=message):
        read_options(transforms.AugmentationOptions, section, "dataset.augmentation")


def test_crop_size_of_wrong_length_is_named():
    with pytest.raises(ConfigError, match=r"crop_size .* got \(512,\)"):
        options(crop_size=(512,))
