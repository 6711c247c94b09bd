"""What LIP, PASCAL-Context and mmsegmentation do otherwise, in plain OpenCV."""

import cv2
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.config.options import read_options
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError
from hrnet_jax.models.normalization import normalize_images
from hrnet_jax.segmentation import transforms
from hrnet_jax.segmentation.augmentation import AugmentationOptions
from hrnet_jax.segmentation.task import InferenceOptions, SegmentationTask
from tests.goldens import official, synthetic_weights

# Scale 1 and no flip, with `rng` that draws the scale, the crop and the coin.
FIXED = {"scale_min": 1.0, "scale_max": 1.0}


class Scripted:
    """A generator whose integers are given."""

    def __init__(self, *values: int):
        self.values = list(values)

    def integers(self, low: int, high: int | None = None) -> int:
        value = self.values.pop(0)
        assert (0 if high is None else low) <= value < (high or low)
        return value

    def uniform(self, low: float, high: float) -> float:
        return high


def sample(height: int, width: int, classes: int = 20) -> dict:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    label = rng.integers(0, classes, (height, width)).astype(np.uint8)
    return {"image": image, "label": label, "image_id": "one"}


def resized(array: np.ndarray, height: int, width: int) -> np.ndarray:
    method = cv2.INTER_LINEAR if array.ndim == 3 else cv2.INTER_NEAREST
    return cv2.resize(array, (width, height), interpolation=method)


def test_lip_flips_with_swap_then_squares_then_scales_and_crops():
    """`__getitem__` of `lip.py`, branch HRNet-OCR."""
    pairs = ((14, 15), (16, 17), (18, 19))
    options = AugmentationOptions(
        crop_size=(47, 47),
        resize_to=(47, 47),
        base_size=47,
        scale_max=1.6,
        flip_first=True,
    )
    given = sample(60, 40)
    rng = Scripted(1, 11, 3, 20)  # heads, scale 0.5 + 11 / 10, x, y
    got = transforms.make_train_transform(options, 255, pairs)(given, rng)
    assert rng.values == []
    image, label = given["image"][:, ::-1], given["label"][:, ::-1].copy()
    right, left = [14, 16, 18], [15, 17, 19]
    swapped = label.copy()
    for i in range(3):
        swapped[label == left[i]] = right[i]
        swapped[label == right[i]] = left[i]
    side = int(47 * 1.6 + 0.5)
    image, label = resized(image, 47, 47), resized(swapped, 47, 47)
    image, label = resized(image, side, side), resized(label, side, side)
    np.testing.assert_array_equal(got["label"], label[20:67, 3:50])
    difference = got["image"].astype(int) - image[20:67, 3:50]
    assert np.abs(difference).max() <= 1
    with pytest.raises(AssertionError):  # twelve scales, 0.5 to 1.6
        transforms.make_train_transform(options)(given, Scripted(0, 12))


@pytest.mark.parametrize(
    ("shape", "short"), [((30, 47), (52, 81)), ((47, 30), (81, 52))]
)
def test_the_short_side_is_resized_before_the_long_one(shape, short):
    """`resize_short_length`, then `multi_scale_aug`, of `base_dataset.py`."""
    options = AugmentationOptions(
        crop_size=(52, 52), short_side=52, base_size=52, flip=False, **FIXED
    )
    given = sample(*shape)
    got = transforms.make_train_transform(options)(given, Scripted(0, 0, 0))
    long = [int(side * 52 / max(short) + 0.5) for side in short]
    expected = {}
    for key in ("image", "label"):
        expected[key] = resized(resized(given[key], *short), *long)
    height, width = long
    np.testing.assert_array_equal(got["label"][:height, :width], expected["label"])
    assert (got["label"][height:] == 255).all() and (
        got["label"][:, width:] == 255
    ).all()
    difference = got["image"][:height, :width].astype(int) - expected["image"]
    assert np.abs(difference).max() <= 1
    assert not got["image"][height:].any()


@pytest.mark.parametrize("shape", [(512, 683), (400, 2600), (683, 512), (333, 500)])
@pytest.mark.parametrize("ratio", [0.5, 0.777, 2.0])
@pytest.mark.parametrize("scale", [(2048, 512), (520, 520), (2048, 1024)])
def test_both_bounds_are_those_of_mmcv(shape, ratio, scale):
    """`RandomResize`, with `rescale_size` of mmcv 2."""
    (height, width), options = shape, AugmentationOptions()
    bounds = [int(bound * ratio) for bound in scale]
    factor = min(max(bounds) / max(shape), min(bounds) / min(shape))
    expected = int(height * factor + 0.5), int(width * factor + 0.5)
    options = AugmentationOptions(
        base_size=scale[0],
        base_short_side=scale[1],
        scale_min=ratio,
        scale_max=ratio,
        scale_step=0.0,
    )
    assert transforms._draw_size(shape, options, Scripted()) == expected


def test_pixels_beyond_the_image_keep_their_colour():
    options = AugmentationOptions(
        crop_size=(9, 9),
        pad_color=(124, 116, 104),
        photometric=True,
        flip=False,
        **FIXED,
    )
    given = sample(6, 9)
    # Scale, x, y; heads for a brighter picture, which is all that is changed.
    rng = Scripted(0, 0, 0, 1, 0, 0, 0, 0)
    got = transforms.make_train_transform(options)(given, rng)["image"]
    np.testing.assert_array_equal(got[6:], np.full((3, 9, 3), (124, 116, 104)))
    brighter = np.minimum(given["image"].astype(int) + 32, 255)
    np.testing.assert_array_equal(got[:6], brighter)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"resize_to": (473,)}, r"resize_to must be empty or two.*got \(473,\)"),
        ({"resize_to": (473, 0)}, r"resize_to must be .* got \(473, 0\)"),
        ({"short_side": -1}, "short_side must be a number of pixels, .* got -1"),
        ({"base_short_side": -5}, "base_short_side must be .* got -5"),
        (
            {"resize_to": (473, 473), "short_side": 520},
            r"resize_to and short_side both .* \(473, 473\) and 520; expected one",
        ),
        ({"flip": False, "flip_first": True}, "flip_first .* but flip is false"),
        ({"pad_color": (0, 0, 256)}, r"pad_color must be RGB.*\(0, 0, 256\)"),
    ],
)
def test_options_that_cannot_be_are_named(section, message):
    with pytest.raises(ConfigError, match=message):
        read_options(AugmentationOptions, section, "dataset.augmentation")


def test_normalised_and_padded_images_equal_the_official_ones():
    golden = official.arrays("numeric/segmentation")
    seed = int(golden["preprocess/image_seed"])
    image = synthetic_weights.make_uint8_image_hwc((48, 96, 3), seed)[..., ::-1]
    got = np.asarray(normalize_images(np.ascontiguousarray(image)[None]))[0]
    expected = golden["preprocess/input_transform"]
    np.testing.assert_allclose(got[::2, ::2], expected, atol=1e-5)
    # Every second row and eight columns from before the end of the image; BGR.
    expected = golden["preprocess/pad_bottom_right"][..., ::-1].astype(np.uint8)
    colour = tuple(int(value) for value in expected[-1, -1])
    padded = transforms.pad_bottom_right(np.ascontiguousarray(image), (64, 100), colour)
    assert padded.shape == tuple(golden["preprocess/pad_shape"])
    np.testing.assert_array_equal(padded[44:56:2, 92:], expected)


class TwoAnswers:
    """A model with fixed logits for an image and for its mirror image."""

    upsample = "bilinear"

    def __init__(self, straight, mirrored):
        self._answers = straight, mirrored

    def apply(self, variables, inputs):
        straight, mirrored = self._answers
        return jnp.where(inputs[0, 0, 0, 0] > inputs[0, 0, -1, 0], straight, mirrored)


def test_left_and_right_swap_in_predictions_as_published_for_lip():
    golden = official.arrays("numeric/segmentation")
    seed = official.info("numeric/segmentation")["seed"]
    logits = [
        synthetic_weights.noise(f"lip/{name}", (1, 20, 16, 16), 1, seed)
        .astype(np.float32)
        .transpose(0, 2, 3, 1)
        for name in "ab"
    ]
    pairs = ((14, 15), (16, 17), (18, 19))
    info = DatasetInfo("lip", 20, tuple(map(str, range(20))), (), flip_pairs=pairs)
    options = InferenceOptions(flip=True)
    task = SegmentationTask(TwoAnswers(*logits), info, inference=options)
    image = np.zeros((1, 32, 32, 3), np.uint8)
    image[0, 0, 0] = 255
    got = np.exp(np.asarray(task.logits({}, image))).transpose(0, 3, 1, 2)
    expected = golden["inference/lip_flip"]
    error = np.abs(got - expected).max() / expected.std()
    assert error <= official.TOLERANCE, f"{error:.1e}"
