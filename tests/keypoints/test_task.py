"""Points in boxes of an image, and learning to find them."""

import dataclasses

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax import runtime
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.inference import Predictor
from hrnet_jax.keypoints import geometry
from hrnet_jax.keypoints.landmarks import LandmarkTask
from hrnet_jax.keypoints.losses import LossOptions
from hrnet_jax.keypoints.persons import PoseCropOptions
from hrnet_jax.keypoints.pose import PoseInferenceOptions, PoseTask
from hrnet_jax.keypoints.task import InferenceOptions
from hrnet_jax.keypoints.transforms import AugmentationOptions
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.normalization import normalize_images
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.registry import create_model
from tests import tiny

INFO = DatasetInfo(
    "three",
    0,
    (),
    (),
    point_names=("nose", "left", "right"),
    point_flip_pairs=((1, 2),),
    normalizers={"eyes": ((1,), (2,))},
    default_normalizer="eyes",
    point_origin=1.0,
)
CROPS = AugmentationOptions(crop_size=(64, 64))


@pytest.fixture(autouse=True)
def tiny_variant(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    # Pose has its one output from the last module of stage 4.
    whole = dataclasses.replace(tiny.VARIANT, modules=(1, 0, 1))
    monkeypatch.setitem(VARIANTS, "tiny_pose", whole)


def make_task(kind=LandmarkTask, name="landmarks/tiny", info=INFO, **options):
    options = {"augmentation": CROPS} | options
    return kind(create_model(name, num_points=3), info, **options)


def noise(height, width, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("name", ["landmarks/tiny", "pose/tiny_pose"])
def test_points_are_the_peaks_of_the_heatmaps(name):
    options = PoseInferenceOptions(decoding="argmax")
    crops = PoseCropOptions(crop_size=(64, 64))
    task = make_task(PoseTask, name, augmentation=crops, inference=options)
    assert PoseTask.model_options(INFO) == {"num_points": 3}
    variables = initial_variables(task.model, 1)
    image = noise(64, 96)
    prediction = Predictor(task, variables).predict(image)
    heatmaps = prediction["heatmaps"]
    assert heatmaps.shape == (1, 16, 24, 3)
    expected = jax.jit(task.model.apply)(variables, normalize_images(image[None]))
    np.testing.assert_allclose(
        heatmaps, expected, atol=1e-4 * float(jnp.std(expected)), rtol=1e-4
    )
    for index in range(3):
        flat = heatmaps[0, ..., index]
        row, column = np.unravel_index(flat.argmax(), flat.shape)
        np.testing.assert_array_equal(
            prediction["points"][0, index], [4 * column + 1.5, 4 * row + 1.5]
        )
        assert prediction["scores"][0, index] == flat[row, column]
    np.testing.assert_array_equal(prediction["boxes"], [[-0.5, -0.5, 95.5, 63.5]])


@pytest.fixture(scope="module")
def predictor():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
        task = make_task()
        yield Predictor(task, initial_variables(task.model, 0, "he"))


def test_each_box_is_a_crop_whose_points_go_back_to_the_image(predictor):
    image = noise(200, 300)
    boxes = np.array([[20, 30, 100, 110], [150, 60, 260, 150], [-20, -20, 60, 90.0]])
    prediction = predictor.predict(image, boxes)
    assert prediction["points"].shape == (3, 3, 2)
    assert prediction["points"].dtype == np.float32
    np.testing.assert_allclose(prediction["boxes"], boxes)
    for index, box in enumerate(boxes):
        side = 1.25 * max(box[2] - box[0], box[3] - box[1])
        center = (box[:2] + box[2:]) / 2
        matrix = geometry.crop_matrix(center, side / 200, (64, 64))
        crop = geometry.warp(image, matrix, (64, 64))
        alone = predictor.predict(crop)
        expected = geometry.apply(geometry.inverse(matrix), alone["points"][0])
        np.testing.assert_allclose(prediction["points"][index], expected, atol=1e-3)
        np.testing.assert_allclose(
            prediction["scores"][index], alone["scores"][0], rtol=1e-4
        )


@pytest.mark.parametrize("count", [0, 1, 3, 9])
def test_any_number_of_boxes(predictor, count):
    boxes = np.tile([[10, 10, 50, 60.0]], (count, 1))
    prediction = predictor.predict(noise(80, 80), boxes)
    shapes = {name: value.shape for name, value in prediction.items()}
    assert shapes == {
        "points": (count, 3, 2),
        "scores": (count, 3),
        "heatmaps": (count, 16, 16, 3),
        "boxes": (count, 4),
    }
    assert (prediction["points"] == prediction["points"][:1]).all()


def test_numbers_of_boxes_share_programs(predictor, monkeypatch):
    for count in (0, 1, 2, 3, 4, 5, 7, 8, 9, 15):
        boxes = np.tile([[10, 10, 50, 60.0]], (count, 1))
        predictor.predict(noise(80, 80), boxes)
    assert predictor._predict._cache_size() <= 4  # Of 1, 2, 4 and 8 crops.
    calls, predict = [], predictor._predict
    monkeypatch.setattr(
        predictor, "_predict", lambda *x: calls.append(x) or predict(*x)
    )
    predictor.predict(noise(80, 80), np.tile([[10, 10, 50, 60.0]], (5, 1)))
    assert len(calls) == 1


@pytest.mark.parametrize(
    "boxes, message",
    [
        ([[0, 0, 10]], r"boxes must be \[N, 4\] .* got \[1, 3\]"),
        ([[0, 0, 9, 9], [5, 5, 5, 9]], r"box 1 is \[5.0, 5.0, 5.0, 9.0\]; expected"),
        ([[0, 0, np.nan, 9]], "box 0 is .*nan"),
    ],
)
def test_wrong_boxes_are_errors(predictor, boxes, message):
    with pytest.raises(DataError, match=message):
        predictor.predict(noise(40, 40), np.array(boxes))


def test_averaged_over_the_mirror_image_left_is_right():
    task = make_task(inference=InferenceOptions(flip=True))
    variables = initial_variables(task.model, 0, "he")
    image = noise(64, 64)
    predict, plain = map(runtime.jit, (task.predict, make_task().predict))
    heatmaps, mirrored = (
        np.asarray(plain(variables, {"image": x[None]})["heatmaps"])
        for x in (image, image[:, ::-1])
    )
    expected = (heatmaps + mirrored[:, :, ::-1][..., [0, 2, 1]]) / 2
    got = predict(variables, {"image": image[None]})["heatmaps"]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    # So the mirror image has the mirrored answer.
    other = predict(variables, {"image": image[None, :, ::-1]})["heatmaps"]
    np.testing.assert_allclose(
        np.asarray(other)[:, :, ::-1][..., [0, 2, 1]], got, atol=1e-5
    )


def test_saved_are_a_picture_and_the_points_of_each_face(predictor, tmp_path):
    image = noise(90, 120)
    boxes = np.array([[20, 20, 60, 60], [50, 20, 100, 80.0]])
    prediction = predictor.predict(image, boxes)
    summary = predictor.task.save(tmp_path, "two", image, prediction)
    assert (summary["height"], summary["width"]) == (90, 120)
    assert [face["box"] for face in summary["found"]] == boxes.tolist()
    for face, points in zip(summary["found"], prediction["points"], strict=True):
        assert [point["name"] for point in face["points"]] == list(INFO.point_names)
        for entry, (x, y) in zip(face["points"], points, strict=True):
            assert entry["x"] == pytest.approx(x, abs=0.005)
            assert entry["y"] == pytest.approx(y, abs=0.005)
    picture = cv2.imread(str(tmp_path / "two_points.png"))[..., ::-1]
    drawn = predictor.task.draw(image, prediction)
    assert drawn.shape == image.shape and (drawn != image).any()
    prediction["scores"] = np.float32([[0.9, 0.1, 0.5], [0.3, 0.05, np.nan]])
    lines = ["2 faces, 3 points each", "hollow: 3 of 6, peak below 0.2"]
    assert predictor.task._caption(prediction) == lines
    np.testing.assert_array_equal(picture[:90, :120], drawn)
    assert len(picture) > 90 and (picture[90:] != 255).any()


def test_a_caption_counts_one_face_and_says_nothing_of_hollow_points_without_any():
    caption = make_task()._caption({"scores": np.full((1, 3), 0.2)})
    assert caption == ["1 face, 3 points each"]


def batch_of(points, visible=None, annotated=None):
    points = np.float32(points)
    ones = np.ones(points.shape[:2], np.uint8)
    return {
        "points": jnp.asarray(points),
        "visible": jnp.asarray(ones if visible is None else np.uint8(visible)),
        "annotated": jnp.asarray(ones if annotated is None else np.uint8(annotated)),
    }


def test_targets_are_where_the_points_are():
    heatmaps, weights = make_task().targets(
        batch_of([[[1.5, 5.5], [30, 31], [61.5, 61.5]]]), (16, 16)
    )
    assert heatmaps.shape == (1, 16, 16, 3)
    assert heatmaps[0, 1, 0, 0] == 1 and heatmaps[0, 15, 15, 2] == 1
    np.testing.assert_array_equal(weights, [[1, 1, 1]])


@pytest.mark.parametrize("hidden", ["keep", "mask", "zero"])
@pytest.mark.parametrize("outside", ["keep", "mask", "zero"])
def test_points_nobody_sees_are_kept_masked_or_zero(hidden, outside):
    task = make_task(loss=LossOptions(hidden=hidden, outside=outside))
    points = [[[20, 20], [30, 30], [-3, 30]]]
    heatmaps, weights = task.targets(batch_of(points, [[1, 0, 1]]), (16, 16))
    peaks = np.asarray(heatmaps).max((0, 1, 2))
    assert peaks[0] > 0.5 and weights[0, 0] == 1
    for index, treatment in ((1, hidden), (2, outside)):
        assert (peaks[index] == 0) == (treatment == "zero")
        assert weights[0, index] == (0 if treatment == "mask" else 1)


def test_points_without_annotation_never_count():
    task = make_task()
    variables = initial_variables(task.model, 0, "he")
    images = jnp.asarray(np.stack([noise(64, 64, 1), noise(64, 64, 2)]))
    values = []
    for place in (5, 50):
        points = np.full((2, 3, 2), 30.0)
        points[:, 1] = place
        batch = batch_of(points, annotated=[[1, 0, 1]] * 2) | {"image": images}
        value, (stats, scalars) = task.loss(variables, batch, {})
        values.append(float(value))
        assert scalars == {} and stats.keys() == variables["batch_stats"].keys()
    assert values[0] == values[1] > 0


def evaluated(task, samples, shift):
    """Metrics if all predictions are off by `shift` pixels of the crop."""
    rows = [task.eval_transform(sample) for sample in samples]
    arrays = {
        key: np.stack([row[key] for row in rows])
        for key in rows[0]
        if key != "image_id"
    }
    batch = arrays | {
        "image_id": [row["image_id"] for row in rows],
        "example_valid": np.ones(len(rows), bool),
    }
    evaluator = task.evaluator()
    points = jnp.asarray(batch["points"] + np.float32(shift))
    evaluator.update(batch, {"points": points})
    return evaluator.compute()


def make_samples(count=4):
    rng = np.random.default_rng(0)
    for index in range(count):
        yield {
            "image": noise(100, 110, index),
            "points": rng.uniform(20, 80, (3, 2)),
            "visible": np.ones(3, np.uint8),
            "annotated": np.ones(3, np.uint8),
            "center": rng.uniform(40, 60, 2),
            "scale": rng.uniform(0.3, 0.6),
            "box_size": 50.0,
            "image_id": f"face {index}",
        }


def test_errors_are_measured_in_the_frame_of_the_annotation():
    samples = list(make_samples())
    assert evaluated(make_task(), samples, (0, 0))["nme"] == pytest.approx(0, abs=1e-4)
    # 3 crop pixels to the right and 4 down are 5 pixels of the crop everywhere.
    metrics = evaluated(make_task(), samples, (3, 4))
    expected = {"eyes": [], "box": []}
    for sample in samples:
        error = 5 * 1.25 * 200 * sample["scale"] / 64
        eyes = np.linalg.norm(sample["points"][1] - sample["points"][2])
        expected["eyes"].append(100 * error / eyes)
        expected["box"].append(100 * error / 50)
    for name, values in expected.items():
        assert metrics[f"nme_percent/{name}"] == pytest.approx(
            np.mean(values), rel=1e-4
        )
    assert metrics["nme"] == metrics["nme_percent/eyes"]
    by_box = make_task(inference=InferenceOptions(normalizer="box"))
    assert evaluated(by_box, samples, (3, 4))["nme"] == metrics["nme_percent/box"]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"decoding": "softargmax"}, "decoding' must be one of argmax, quarter, dark"),
        ({"dark_sigma": 0.0}, "dark_sigma' must be positive"),
    ],
)
def test_wrong_inference_options_are_errors(options, message):
    with pytest.raises(ConfigError, match=message):
        InferenceOptions(**options)


def test_a_normalizer_that_the_set_lacks_is_an_error():
    with pytest.raises(ConfigError, match="'pupils'; three has box, eyes"):
        make_task(inference=InferenceOptions(normalizer="pupils"))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"inference": InferenceOptions(decoding="dark")}, "decoding=quarter, not 'da"),
        ({"loss": LossOptions(hidden="mask")}, "'keep' and 'zero', not 'mask'"),
    ],
)
def test_the_published_way_leaves_nothing_to_choose(options, message):
    crops = AugmentationOptions(crop_size=(64, 64), compat="official")
    with pytest.raises(ConfigError, match=message):
        make_task(augmentation=crops, **options)


def test_published_predictions_are_in_pixels_of_the_image():
    """Not in the frame of annotations that count from one."""
    crops = AugmentationOptions(crop_size=(64, 64), compat="official")
    image = noise(100, 100)
    boxes = np.array([[20, 30, 80, 90.0]])
    placed = []
    for origin in (0.0, 1.0):
        info = dataclasses.replace(INFO, point_origin=origin)
        task = make_task(info=info, augmentation=crops)
        _, placement = task.to_network(image, boxes)
        assert placement["centers"].tolist() == [[50 + origin, 60 + origin]]
        points = {"points": np.full((1, 3, 2), 32.0)}
        placed.append(task.to_image(points, placement)["points"])
    np.testing.assert_array_equal(*placed)


def test_a_whole_image_is_filled_up_to_whole_cells(predictor):
    image = noise(61, 70)
    prediction = predictor.predict(image)
    np.testing.assert_array_equal(prediction["boxes"], [[-0.5, -0.5, 69.5, 60.5]])
    padded = np.zeros((64, 72, 3), np.uint8)
    padded[:61, :70] = image
    np.testing.assert_allclose(
        prediction["points"], predictor.predict(padded)["points"], atol=1e-4
    )


def test_a_crop_with_its_truth_is_drawn_beside_its_heatmaps():
    task = make_task()
    crop = noise(64, 64)
    prediction = {
        "points": np.float32([[5, 5], [20, 10], [30, 35]]),
        "scores": np.float32([0.9, 0.05, 0.5]),
        "heatmaps": np.random.default_rng(0).random((16, 16, 3), np.float32),
    }
    before = crop.copy()
    target = {"points": prediction["points"] + 10, "annotated": np.uint8([1, 0, 1])}
    picture = task.draw(crop, prediction, target)
    assert picture.dtype == np.uint8 and picture.shape[1] == 64 + 256
    # The legend stands below both panels, of which the second is 256 pixels high.
    assert len(picture) > 256 + 2 * 15 and (picture[256:] < 100).any()
    np.testing.assert_array_equal(crop, before)
    assert dataclasses.replace(CROPS) == CROPS


@pytest.mark.slow
def test_eight_devices_learn_as_one():
    task = make_task()
    variables = initial_variables(task.model, 0, "he")
    rng = np.random.default_rng(0)
    batch = batch_of(
        rng.uniform(-5, 70, (8, 3, 2)), annotated=rng.integers(0, 2, (8, 3))
    )
    batch["image"] = np.stack([noise(64, 64, seed) for seed in range(8)])

    @jax.jit
    def step(params, batch):
        def loss(params):
            return task.loss(variables | {"params": params}, batch, {})

        (value, (stats, _)), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        return value, stats, gradient

    mesh = runtime.make_mesh(data=8)
    sharded = {
        key: jax.device_put(value, runtime.batch_sharding(mesh))
        for key, value in batch.items()
    }
    expected = jax.tree.leaves(step(variables["params"], batch))
    got = jax.tree.leaves(step(variables["params"], sharded))
    for one, many in zip(expected, got, strict=True):
        np.testing.assert_allclose(many, one, rtol=1e-3, atol=2e-5)
