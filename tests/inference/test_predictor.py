"""Single images of any size."""

import numpy as np
import pytest

from hrnet_jax import runtime
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import DataError
from hrnet_jax.inference import Predictor
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.registry import create_model
from hrnet_jax.segmentation.task import SegmentationTask
from tests import tiny

INFO = DatasetInfo("any", 4, ("a", "b", "c", "d"), ((0, 0, 0),) * 4)


@pytest.fixture(autouse=True)
def tiny_variant(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)


@pytest.fixture
def task(tiny_variant):
    return SegmentationTask(create_model("segmentation/tiny", num_classes=4), INFO)


def make_image(height, width):
    rng = np.random.default_rng([height, width])
    return rng.integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (1, 1), (7, 90)])
def test_maps_have_the_size_of_the_image(size, task):
    variables = initial_variables(task.model, 0, "he")
    image = make_image(*size)
    prediction = Predictor(task, variables).predict(image)
    logits = np.asarray(runtime.jit(task.logits)(variables, image[None]))[0]
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    assert prediction["label"].shape == prediction["confidence"].shape == size
    np.testing.assert_allclose(prediction["confidence"], shares.max(-1), atol=1e-5)
    agreement = prediction["label"] == logits.argmax(-1)
    assert agreement.mean() > 0.999


def test_sizes_of_one_multiple_share_a_program(task):
    variables = initial_variables(task.model, 0, "he")
    predictor = Predictor(task, variables, pad_multiple=32)
    for size in ((33, 50), (40, 64), (64, 33)):
        prediction = predictor.predict(make_image(*size))
        assert prediction["label"].shape == size
    assert predictor._predict._cache_size() == 1
    # Padding is black, at the bottom and right.
    image = make_image(33, 50)
    padded = np.zeros((64, 64, 3), np.uint8)
    padded[:33, :50] = image
    expected = Predictor(task, variables).predict(padded)["label"][:33, :50]
    np.testing.assert_array_equal(predictor.predict(image)["label"], expected)


@pytest.mark.parametrize(
    ("image", "got"),
    [
        (np.zeros((4, 5), np.uint8), r"uint8 \[4, 5\]"),
        (np.zeros((4, 5, 4), np.uint8), r"uint8 \[4, 5, 4\]"),
        (np.zeros((4, 5, 3), np.float32), r"float32 \[4, 5, 3\]"),
    ],
)
def test_refuses_other_arrays(image, got, task):
    predictor = Predictor(task, initial_variables(task.model, 0, "he"))
    with pytest.raises(DataError, match=f"must be uint8.*RGB order, got {got}"):
        predictor.predict(image)


def test_an_empty_image_is_refused_by_its_size(task):
    predictor = Predictor(task, initial_variables(task.model, 0, "he"))
    with pytest.raises(DataError, match=r"got uint8 \[0, 5, 3\]"):
        predictor.predict(np.zeros((0, 5, 3), np.uint8))


def test_refuses_a_multiple_below_one(task):
    with pytest.raises(ValueError, match="pad_multiple must be at least 1, got 0"):
        Predictor(task, {}, pad_multiple=0)


def test_tasks_that_look_at_whole_images_refuse_boxes(task):
    predictor = Predictor(task, initial_variables(task.model, 0, "he"))
    assert not task.takes_boxes
    with pytest.raises(DataError, match="this task looks at whole images"):
        predictor.predict(make_image(8, 8), np.array([[0, 0, 4, 4]]))
