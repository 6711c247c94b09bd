"""Large images in strips, beside the same windows of the whole image."""

import itertools

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import hrnet_jax
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.inference.folder import predict_files
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.segmentation import strips
from hrnet_jax.segmentation.strips import labelled_strips, save_strips
from hrnet_jax.segmentation.windows import (
    AVERAGES,
    ENDS,
    WindowOptions,
    windowed_logits,
)
from tests import tiny

PALETTE = ((10, 20, 30), (200, 0, 0), (0, 0, 250))
INFO = DatasetInfo("any", 3, ("a", "b", "c"), PALETTE)


def made_up_score(images):
    """Logits [B, h, w, 3] that depend on the place in the window too."""
    down = jnp.arange(images.shape[1])[:, None, None] / 7
    right = jnp.arange(images.shape[2])[:, None] / 5
    order = jnp.array([1.0, -1.0, 0.5])
    return images / 60 + (jnp.sin(down) - jnp.cos(right)) * order


def made_image(height=83, width=70):
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3))
    return cv2.blur(noise.astype(np.uint8), (5, 5))


@pytest.mark.parametrize(("ends", "average"), [*itertools.product(ENDS, AVERAGES)])
def test_strips_are_windows_of_the_whole_image(ends, average):
    options = WindowOptions((32, 24), (15, 20), ends, average, blend=True)
    image = made_image()

    def score(windows):
        logits = made_up_score(jnp.asarray(windows))
        return jax.nn.softmax(logits) if average == "probabilities" else logits

    found = [*labelled_strips(score, image, options)]
    # Each strip is one step of the windows, so no more rows are kept than a window has.
    assert max(len(label) for label, _ in found) <= 32 and len(found) > 3
    label, confidence = (np.concatenate(parts) for parts in zip(*found, strict=True))
    logits = windowed_logits(made_up_score, jnp.asarray(image[None]), options)[0]
    shares = np.asarray(jax.nn.softmax(logits))
    sure = np.sort(shares, -1)[..., -1] - np.sort(shares, -1)[..., -2] > 1e-4
    assert sure.mean() > 0.99
    np.testing.assert_array_equal(label[sure], shares.argmax(-1)[sure])
    np.testing.assert_allclose(confidence, shares.max(-1), atol=2e-5)


def test_maps_are_written_as_strips_come(tmp_path):
    label = made_image().argmax(-1).astype(np.uint8)
    confidence = np.full(label.shape, 0.5, np.float32)
    confidence[label == 1] = 0.75
    parts = zip(np.split(label, [10, 50]), np.split(confidence, [10, 50]), strict=True)
    kinds = ["label", "color", "indexed", "panels"]
    entry = save_strips(tmp_path, "field", label.shape, parts, INFO, kinds)
    stored = {kind: Image.open(tmp_path / f"field_{kind}.png") for kind in kinds[:3]}
    np.testing.assert_array_equal(np.asarray(stored["label"]), label)
    np.testing.assert_array_equal(np.asarray(stored["indexed"]), label)
    coloured = np.array(PALETTE, np.uint8)[label]
    np.testing.assert_array_equal(np.asarray(stored["color"]), coloured)
    np.testing.assert_array_equal(
        np.asarray(stored["indexed"].convert("RGB")), coloured
    )
    of_class = {one["name"]: one for one in entry["classes"]}
    assert of_class["b"]["pixels"] == (label == 1).sum()
    assert of_class["b"]["mean_confidence"] == 0.75
    assert (entry["height"], entry["width"]) == label.shape
    assert entry["left_out"] == ["panels"]


def test_missing_rows_are_noticed(tmp_path):
    rows = np.zeros((4, 6), np.uint8)
    strip = iter([(rows, rows.astype(np.float32))])
    with pytest.raises(ValueError, match="1 rows are missing"):
        save_strips(tmp_path, "field", (5, 6), strip, INFO, ["label"])
    assert not [*tmp_path.iterdir()]


@pytest.mark.slow
def test_a_folder_with_a_large_image_is_labelled_in_strips(tmp_path, monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    changes = ["eval.inference.window.size=32,48", "eval.inference.flip=true"]
    run = hrnet_jax.load_run(tiny.finished_run(), changes=changes)
    cv2.imwrite(str(tmp_path / "field.png"), made_image(90, 130))
    whole = predict_files(run, [tmp_path / "field.png"], tmp_path / "whole")
    monkeypatch.setattr(strips, "MOST_SCORES", 1000)
    found = predict_files(
        run, [tmp_path / "field.png"], tmp_path / "strips", also=["coco"]
    )
    label = {
        kind: cv2.imread(str(tmp_path / kind / "field_label.png"), 0)
        for kind in ("whole", "strips")
    }
    assert (label["whole"] == label["strips"]).mean() > 0.999
    assert found["images"][0]["left_out"] == ["overlay", "panels", "coco"]
    assert found["images"][0]["mean_confidence"] == pytest.approx(
        whole["images"][0]["mean_confidence"], abs=2e-4
    )
