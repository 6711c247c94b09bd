"""What an image shows."""

import cv2
import numpy as np
import pytest
from PIL import Image

from hrnet_jax import runtime
from hrnet_jax.classification.task import ClassificationTask, InferenceOptions
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError
from hrnet_jax.inference import Predictor
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.normalization import Normalization, normalize_images
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.registry import create_model
from tests import tiny

NAMES = tuple(f"thing {index}" for index in range(7))
INFO = DatasetInfo("things", 0, (), (), image_class_names=NAMES)


@pytest.fixture(autouse=True)
def tiny_variant(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)


def make_task(**options):
    model = create_model("classification/tiny", num_classes=7)
    return ClassificationTask(model, INFO, **options)


def make_image(height, width):
    rng = np.random.default_rng([height, width])
    small = rng.integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("size", [(300, 500), (500, 301), (90, 64), (256, 256)])
def test_images_are_resized_and_cropped_as_for_the_published_figures(size):
    image = make_image(*size)
    prepared = make_task().prepare(image)
    assert prepared.shape == (224, 224, 3) and prepared.dtype == np.uint8
    # torchvision's Resize(256), CenterCrop(224) written out.
    height, width = size
    if height <= width:
        new = (256 * width // height, 256)
    else:
        new = (256, 256 * height // width)
    resized = np.asarray(Image.fromarray(image).resize(new, Image.BILINEAR))
    top, left = round((new[1] - 224) / 2), round((new[0] - 224) / 2)
    np.testing.assert_array_equal(prepared, resized[top : top + 224, left : left + 224])


def test_resizing_and_cropping_can_be_left_out():
    image = make_image(90, 64)
    task = make_task(inference=InferenceOptions(short_side=0, crop=0))
    np.testing.assert_array_equal(task.prepare(image), image)
    task = make_task(inference=InferenceOptions(short_side=0, crop=70))
    np.testing.assert_array_equal(task.prepare(image), image[10:80])


@pytest.mark.parametrize("options", [(100, 224), (-1, 0), (0, -2)])
def test_a_crop_larger_than_the_image_is_an_error(options):
    with pytest.raises(ConfigError, match=r"eval\.inference\.short_side"):
        InferenceOptions(*options)


def test_probabilities_are_the_softmax_of_the_logits(tmp_path):
    norm = Normalization((0.1, 0.2, 0.3), (0.5, 0.6, 0.7), "bgr")
    task = make_task(
        inference=InferenceOptions(short_side=0, crop=0), normalization=norm
    )
    variables = initial_variables(task.model, 3)
    image = make_image(64, 96)
    prediction = Predictor(task, variables).predict(image)
    inputs = (image[..., ::-1] / 255 - [0.1, 0.2, 0.3]) / [0.5, 0.6, 0.7]
    np.testing.assert_allclose(
        normalize_images(image, norm), inputs, atol=1e-5, rtol=1e-5
    )
    apply = runtime.jit(task.model.apply)
    logits = apply(variables, inputs[None].astype(np.float32))[0]
    shares = np.exp(logits - np.max(logits))
    shares /= shares.sum()
    np.testing.assert_allclose(prediction["probabilities"], shares, atol=1e-4)
    assert prediction["class"] == shares.argmax()
    summary = task.save(tmp_path, "it", image, prediction)
    best = summary["classes"]
    assert [entry["id"] for entry in best] == list(np.argsort(-shares)[:5])
    assert best[0]["name"] == NAMES[best[0]["id"]]
    picture = cv2.imread(str(tmp_path / "it_classes.png"))
    np.testing.assert_array_equal(picture[:64, :96, ::-1], image)
    assert picture.shape[0] > 64


def test_the_truth_is_drawn_below():
    prediction = {"probabilities": np.full(7, 1 / 7), "class": 0}
    image = make_image(40, 400)
    plain = make_task().draw(image, prediction)
    told = make_task().draw(image, prediction, {"class": np.int32(4)})
    assert told.shape[0] > plain.shape[0] and told.shape[1] == plain.shape[1] == 400
