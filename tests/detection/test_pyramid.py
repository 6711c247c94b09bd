"""The pyramid of single images."""

import cv2
import numpy as np
import pytest

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.detection.pyramid import PyramidTask
from hrnet_jax.errors import DataError
from hrnet_jax.inference import Predictor
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.normalization import normalize_images
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.registry import create_model
from tests import tiny

INFO = DatasetInfo("none", 0, (), ())


@pytest.fixture
def task(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    return PyramidTask(create_model("pyramid/tiny", levels=4, features=8), INFO)


@pytest.mark.slow
def test_levels_are_those_of_the_model(task, tmp_path):
    assert PyramidTask.model_options(INFO) == {}
    variables = initial_variables(task.model, 1)
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    prediction = Predictor(task, variables).predict(image)
    levels = task.model.apply(variables, normalize_images(image[None]))
    for index, level in enumerate(levels):
        np.testing.assert_allclose(
            prediction[f"level{index}"], level[0], atol=1e-4 * float(np.std(level))
        )
    summary = task.save(tmp_path, "street", image, prediction)
    assert summary["levels"]["level3"] == [2, 3, 8]
    with np.load(tmp_path / "street_pyramid.npz") as stored:
        np.testing.assert_array_equal(stored["level1"], prediction["level1"])
    assert cv2.imread(str(tmp_path / "street_pyramid.png")).shape == (64, 5 * 96, 3)


def test_an_image_smaller_than_the_last_level_is_an_error(task):
    image = np.zeros((64, 31, 3), np.uint8)
    message = "pyramid of 4 levels must be at least 32 pixels high and wide, got 64x31"
    with pytest.raises(DataError, match=message):
        task.prepare(image)
