"""Large photographs through a small copy, answers in their own size."""

import cv2
import numpy as np
import pytest

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError
from hrnet_jax.inference.folder import predict_files
from hrnet_jax.inference.reducing import Reduced
from hrnet_jax.inference.workdir import load_run
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.registry import get_spec
from tests import tiny

INFO = DatasetInfo("any", 2, ("dark", "bright"), ((0, 0, 90), (255, 200, 0)))


class Brightness:
    """Labels the bright pixels; finds the corners of the boxes it is given."""

    info = INFO

    def __init__(self, model="segmentation/w18"):
        self.about = {"model": model}
        self.task = get_spec(model).task_class(None, INFO)
        self.seen = []

    def predict(self, image, boxes=None):
        self.seen.append((image.shape, boxes))
        if boxes is not None:
            return {"points": boxes.reshape(-1, 2, 2), "boxes": boxes}
        grey = image.mean(2)
        label = (grey > 127).astype(np.uint8)
        return {"label": label, "confidence": np.float32(grey / 255)}


def checkerboard(height, width, cell):
    rows, columns = np.indices((height, width)) // cell
    return np.repeat(((rows + columns) % 2 * 255).astype(np.uint8)[..., None], 3, 2)


def test_labels_have_the_size_and_the_places_of_the_photograph():
    image, run = checkerboard(300, 400, 100), Brightness()
    prediction = Reduced(run, 100).predict(image)
    assert run.seen == [((75, 100, 3), None)]
    expected = (image[..., 0] > 127).astype(np.uint8)
    np.testing.assert_array_equal(prediction["label"], expected, strict=True)
    confidence = prediction["confidence"]
    assert confidence.dtype == np.float32 and confidence.shape == (300, 400)
    np.testing.assert_allclose(confidence[50::100, 50::100], expected[50::100, 50::100])


def test_an_image_within_the_bound_is_left_alone():
    image, run = checkerboard(60, 80, 10), Brightness()
    prediction = Reduced(run, 80).predict(image)
    assert run.seen == [((60, 80, 3), None)]
    np.testing.assert_array_equal(prediction["label"], image[..., 0] > 127)


def test_boxes_and_points_are_in_pixels_of_the_photograph():
    run = Brightness("landmarks/w18")
    boxes = np.array([[-0.5, -0.5, 399.5, 299.5], [99.5, 59.5, 199.5, 119.5]])
    prediction = Reduced(run, 100).predict(checkerboard(300, 400, 50), boxes)
    (shape, seen) = run.seen[0]
    assert shape == (75, 100, 3)
    # Edges of the image are edges of the reduced one, a quarter of the rest.
    np.testing.assert_allclose(seen[0], [-0.5, -0.5, 99.5, 74.5])
    np.testing.assert_allclose(seen[1], [24.5, 14.5, 49.5, 29.5])
    np.testing.assert_allclose(prediction["boxes"], boxes, atol=1e-4)
    np.testing.assert_allclose(prediction["points"], boxes.reshape(-1, 2, 2), atol=1e-4)


def test_sides_of_one_pixel_stay():
    run = Brightness()
    assert Reduced(run, 10).predict(np.zeros((1, 400, 3), np.uint8))["label"].shape == (
        1,
        400,
    )
    assert run.seen[0][0] == (1, 10, 3)


def test_a_bound_below_one_is_named():
    with pytest.raises(ConfigError, match="max_side must be at least 1 pixel, got 0"):
        Reduced(Brightness(), 0)


def test_files_are_labelled_in_their_own_size(tmp_path, monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    run = load_run(tiny.finished_run())
    path = tmp_path / "large.png"
    cv2.imwrite(str(path), checkerboard(120, 160, 30))
    out = tmp_path / "out"
    report = predict_files(run, [path], out, max_side=32, progress=False)
    assert report["max_side"] == 32
    assert (report["images"][0]["height"], report["images"][0]["width"]) == (120, 160)
    label = cv2.imread(str(out / "large_label.png"), cv2.IMREAD_UNCHANGED)
    reduced = cv2.resize(
        checkerboard(120, 160, 30), (32, 24), interpolation=cv2.INTER_AREA
    )
    # Every label of the copy stands for 5x5 pixels.
    expected = run.predict(reduced)["label"].repeat(5, 0).repeat(5, 1)
    np.testing.assert_array_equal(label, expected)
