"""`compat="official"` of the task as a whole: the published samples and predictions."""

import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.data.points.point_sets import POINT_SETS
from hrnet_jax.keypoints.landmarks import LandmarkTask
from hrnet_jax.keypoints.losses import LossOptions
from hrnet_jax.keypoints.metrics import nme, normalizer_from_points
from hrnet_jax.keypoints.transforms import AugmentationOptions, Draw, cut
from hrnet_jax.models.normalization import normalize_images
from hrnet_jax.registry import create_model
from tests.goldens import official as goldens
from tests.goldens import synthetic_weights

OPTIONS = AugmentationOptions(compat="official")
SETS = {"300W": 68, "AFLW": 19, "WFLW": 98}


def golden(key):
    return goldens.arrays("numeric/landmarks")[key]


def info_of(count):
    chosen = POINT_SETS[count]
    return DatasetInfo(
        "golden",
        0,
        (),
        (),
        point_names=chosen.names,
        point_flip_pairs=chosen.flip_pairs,
        normalizers=chosen.normalizers,
        default_normalizer=chosen.default_normalizer,
        point_origin=1.0,
    )


def task_of(count, sigma=1.5):
    return LandmarkTask(
        create_model("landmarks/w18_small_v1", num_points=count),
        info_of(count),
        OPTIONS,
        LossOptions(sigma=sigma),
    )


def record(name):
    seed = int(golden("crop/image_seeds")[0])
    points = golden(f"item/{name}_points")
    return {
        "image": synthetic_weights.make_uint8_image_hwc((300, 340, 3), seed),
        "points": points,
        "visible": np.zeros(len(points), np.uint8),
        "annotated": np.ones(len(points), np.uint8),
        "center": np.array([168.0, 151.0]),
        "scale": np.float64(1.05),
        "box_size": np.float64(215),
        "image_id": name,
    }


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("mode", ["test", "train"])
def test_samples_are_the_published_ones(name, mode):
    draw = Draw()
    if mode == "train":
        draw = Draw(scale=1.1, rotation=12.5, mirror=True)
    got = cut(record(name), OPTIONS, info_of(SETS[name]), draw)
    image = np.asarray(normalize_images(got["image"][None]))[0].transpose(2, 0, 1)
    expected = golden(f"item/{name}_{mode}_image_subsample")
    np.testing.assert_allclose(image[:, ::8, ::8], expected, atol=1e-5)
    sigma = 1.0 if name == "300W" else 1.5
    batch = {
        key: jnp.asarray(got[key])[None] for key in ("points", "visible", "annotated")
    }
    targets, weights = task_of(SETS[name], sigma).targets(batch, (64, 64))
    maps = np.asarray(targets)[0].transpose(2, 0, 1).reshape(SETS[name], -1)
    np.testing.assert_array_equal(
        maps.argmax(1), golden(f"item/{name}_{mode}_target_argmax")
    )
    np.testing.assert_allclose(
        maps.sum(1), golden(f"item/{name}_{mode}_target_sums"), rtol=1e-5, atol=1e-5
    )
    # No weights there, hidden points or not.
    assert (np.asarray(weights) == 1).all()


@pytest.mark.parametrize("count", [68, 98])
def test_predictions_are_the_published_ones(count):
    shape = (3, count, 64, 64)
    heatmaps = synthetic_weights.make_heatmaps_nchw(shape, 60).astype(np.float64)
    heatmaps += synthetic_weights.noise(f"decode/{count}", shape, 0.02, 0)
    heatmaps[0, 3], heatmaps[1, 4] = -1, 0
    heatmaps = heatmaps.astype(np.float32).transpose(0, 2, 3, 1)
    task = task_of(count)
    outputs = task.decode({"heatmaps": jnp.asarray(heatmaps)}, (256, 256))
    placed = task.to_image(
        {key: np.asarray(value) for key, value in outputs.items()},
        {
            "boxes": np.zeros((3, 4)),
            "centers": golden(f"decode/{count}_center"),
            "scales": golden(f"decode/{count}_scale"),
        },
    )
    expected = golden(f"decode/{count}_decode_preds")
    # In pixels of the image, which count from 0.
    np.testing.assert_array_equal(placed["points"] + 1, expected)
    # The evaluator compares them with the annotation as it stands in the file.
    batch = {
        "image_points": expected + 3,
        "annotated": np.ones((3, count)),
        "center": golden(f"decode/{count}_center"),
        "scale": golden(f"decode/{count}_scale"),
        "box_size": np.full(3, 100.0),
        "example_valid": np.ones(3, bool),
        "image_id": ["a", "b", "c"],
    }
    evaluator = task.evaluator()
    evaluator.update(batch, outputs)
    groups = POINT_SETS[count].normalizers["inter_ocular"]
    distance = normalizer_from_points(expected + 3.0, groups)
    errors = nme(expected, expected + 3.0, distance)
    assert evaluator.compute()["nme"] == pytest.approx(100 * errors.mean(), rel=1e-6)


def test_without_compat_the_same_row_gives_other_pixels():
    plain = cut(record("300W"), AugmentationOptions(), info_of(68), Draw())
    published = cut(record("300W"), OPTIONS, info_of(68), Draw())
    difference = plain["image"].astype(int) - published["image"]
    assert np.abs(difference).mean() > 1
    # Rounded to cells of 4 pixels, and counted from another origin.
    shift = plain["points"] - published["points"]
    assert np.abs(shift).max() < 6 and np.abs(shift).max() > 1
