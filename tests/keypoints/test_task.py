"""Points in a crop."""

import cv2
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.inference import Predictor
from hrnet_jax.keypoints.task import HeatmapTask
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.normalization import normalize_images
from hrnet_jax.registry import create_model

INFO = DatasetInfo("three", 0, (), (), point_names=("nose", "left", "right"))


@pytest.mark.parametrize("family", ["landmarks", "pose"])
def test_points_are_the_peaks_of_the_heatmaps(family, tmp_path):
    task = HeatmapTask(create_model(f"{family}/w18_small_v1", num_points=3), INFO)
    assert HeatmapTask.model_options(INFO) == {"num_points": 3}
    variables = initial_variables(task.model, 1)
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    prediction = Predictor(task, variables).predict(image)
    heatmaps = prediction["heatmaps"]
    assert heatmaps.shape == (16, 24, 3)
    expected = task.model.apply(variables, normalize_images(image[None]))[0]
    np.testing.assert_allclose(
        heatmaps, expected, atol=1e-4 * float(jnp.std(expected)), rtol=1e-4
    )
    for index in range(3):
        row, column = np.unravel_index(heatmaps[..., index].argmax(), (16, 24))
        np.testing.assert_array_equal(
            prediction["points"][index], [4 * column + 1.5, 4 * row + 1.5]
        )
        assert prediction["scores"][index] == heatmaps[row, column, index]
    summary = task.save(tmp_path, "face", image, prediction)
    assert [point["name"] for point in summary["points"]] == ["nose", "left", "right"]
    assert (summary["height"], summary["width"]) == (64, 96)
    picture = cv2.imread(str(tmp_path / "face_points.png"))
    assert picture.shape == image.shape and (picture[..., ::-1] != image).any()


def test_true_points_are_drawn_as_rings():
    task = HeatmapTask(create_model("landmarks/w18_small_v1", num_points=3), INFO)
    image = np.zeros((40, 40, 3), np.uint8)
    points = np.float32([[5, 5], [20, 10], [30, 35]])
    picture = task.draw(image, {"points": points}, {"points": points[:1] + 20})
    assert picture[5, 5].any() and not image.any()
    assert (picture[22:29, 22:29] > 200).all(-1).any()
