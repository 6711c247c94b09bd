"""Pose as a task: targets, losses, scores, and the files that it writes."""

import json
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError
from hrnet_jax.keypoints.decoding import mirror_heatmaps
from hrnet_jax.keypoints.drawing import LOW_SCORE, PREDICTED, SIDES, draw_points
from hrnet_jax.keypoints.losses import PoseLossOptions, heatmap_loss, joint_mse
from hrnet_jax.keypoints.person_files import write_results
from hrnet_jax.keypoints.persons import PoseCropOptions
from hrnet_jax.keypoints.pose import PoseInferenceOptions, PoseTask
from hrnet_jax.keypoints.skeletons import sides_of_points
from hrnet_jax.models.normalization import normalize_images
from tests.keypoints.test_drawing import near

INFO = DatasetInfo(
    "three",
    0,
    (),
    (),
    point_names=("nose", "left hand", "right hand"),
    point_flip_pairs=((1, 2),),
    point_lines=((1, 0, 2),),
    point_origin=1.0,
)


def apply(variables, inputs):
    """Stands for a network: maps that are the colours of every fourth pixel."""
    return inputs[:, ::4, ::4] + 0.1


def make_task(**options):
    options = {"augmentation": PoseCropOptions(crop_size=(64, 48))} | options
    return PoseTask(types.SimpleNamespace(apply=apply), INFO, **options)


def maps(seed=0, shape=(2, 6, 5, 3)):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.random(shape), jnp.float32)


@pytest.mark.parametrize("hardest", [0, 2])
def test_the_loss_is_the_mean_over_persons_and_joints(hardest):
    predicted, target = maps(0), maps(1)
    weights = np.float32([[1, 0, 1], [0.5, 1, 0]])
    errors = np.square(weights[:, None, None] * np.asarray(predicted - target))
    of_joints = errors.mean((1, 2))
    if hardest:
        of_joints = np.sort(of_joints, 1)[:, -hardest:]
    got = joint_mse(predicted, target, jnp.asarray(weights), hardest)
    np.testing.assert_allclose(got, of_joints.mean(), rtol=1e-6)
    options = PoseLossOptions(factor=0.25, hardest=hardest)
    value = heatmap_loss(predicted, target, jnp.asarray(weights), options)
    np.testing.assert_allclose(value, 0.25 * got, rtol=1e-6)


def test_shapes_that_would_broadcast_are_refused():
    with pytest.raises(ValueError, match="targets of shape"):
        joint_mse(maps(), maps()[:1])
    with pytest.raises(ValueError, match="the hardest 4 of 3 joints"):
        joint_mse(maps(), maps(), hardest=4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "mae"}, "loss.name' must be one of joint_mse, mse, adaptive_wing"),
        ({"factor": 0.0}, "loss.factor' must be positive, got 0.0"),
        ({"hardest": -1}, "loss.hardest' must not be negative"),
        ({"hardest": 8, "name": "mse"}, "goes with loss.name=joint_mse, not 'mse'"),
    ],
)
def test_wrong_loss_options_are_errors(changes, message):
    with pytest.raises(ConfigError, match=message):
        PoseLossOptions(**changes)


def test_more_hard_joints_than_there_are_and_shares_beyond_one_are_errors():
    with pytest.raises(ConfigError, match="loss.hardest' is 8, but three has 3 joints"):
        make_task(loss=PoseLossOptions(hardest=8))
    with pytest.raises(ConfigError, match="oks_nms' must be between 0 and 1, got 2"):
        PoseInferenceOptions(oks_nms=2)


def test_joints_count_where_their_gaussian_reaches_into_the_crop():
    """Sigma 2: three of them are 6 cells, 24 pixels."""
    task = make_task()
    points = np.float32([[[20.0, 30], [-20, 30], [-30, 30]]])
    batch = {"points": points, "annotated": np.ones((1, 3)), "visible": np.ones((1, 3))}
    made = jax.jit(task.targets, static_argnums=1)
    targets, weights = made({k: jnp.asarray(v) for k, v in batch.items()}, (16, 12))
    np.testing.assert_array_equal(weights, [[1, 1, 0]])
    # Between cells, where the joint is: cell (x + 0.5) / 4 - 0.5.
    y, x = np.mgrid[:16, :12]
    for joint, (px, py) in enumerate(points[0]):
        distance = (x - (px + 0.5) / 4 + 0.5) ** 2 + (y - (py + 0.5) / 4 + 0.5) ** 2
        expected = np.exp(-distance / 8)
        np.testing.assert_allclose(targets[0, ..., joint], expected, atol=1e-6)


@pytest.mark.parametrize("shift", [False, True])
def test_the_flip_test_averages_with_shifted_maps_on_request(shift):
    task = make_task(inference=PoseInferenceOptions(flip=True, flip_shift=shift))
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.integers(0, 256, (1, 64, 48, 3), np.uint8))

    @jax.jit
    def expected(image):
        inputs = normalize_images(image)
        back = mirror_heatmaps(apply({}, inputs[:, :, ::-1]), ((1, 2),), shift=shift)
        return (apply({}, inputs) + back) / 2

    got = jax.jit(task.predict)({}, {"image": image})["heatmaps"]
    np.testing.assert_allclose(got, expected(image), rtol=1e-5, atol=1e-6)


PREDICTION = {
    "points": np.float32(
        [[[20, 10], [50, 40], [8, 44]], [[70, 20], [88, 50], [60, 52]]]
    ),
    "scores": np.float32([[0.9, 0.5, 0.1], [0.8, 0.4, 0.6]]),
    "boxes": np.float32([[4, 5, 55, 50], [58, 15, 92, 56]]),
    "box_scores": np.float32([0.5, 1.0]),
}


def saved(task, folder, names=("a_7", "b_12"), **only):
    image = np.full((60, 100, 3), 128, np.uint8)
    entries = [
        {"image": f"/photos/{name}.jpg", "name": name}
        | task.save(folder, name, image, PREDICTION, **only)
        for name in names
    ]
    return task.save_together(folder, entries, **only)


def test_saved_are_skeletons_scores_and_results_in_the_form_of_coco(tmp_path):
    entries = saved(make_task(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("a_7_points.png", "b_12_points.png", "keypoints.json")
    ]
    first = entries[0]["found"][0]
    # Half of the mean of 0.9 and 0.5; 0.1 does not count.
    assert first["score"] == 0.35 and first["box"] == [4, 5, 55, 50]
    assert [point["name"] for point in first["points"]] == list(INFO.point_names)
    assert all("results" not in entry for entry in entries)
    results = json.loads((tmp_path / "keypoints.json").read_text())
    assert [row["image_id"] for row in results] == [7, 7, 12, 12]
    assert results[0]["category_id"] == 1 and results[0]["score"] == 0.35
    # In the frame of the annotations, which count from one here.
    assert results[0]["keypoints"] == [21, 11, 0.9, 51, 41, 0.5, 9, 45, 0.1]


@pytest.mark.parametrize(
    ("kind", "expected"), [("points", ["a_7_points.png"]), ("coco", ["keypoints.json"])]
)
def test_only_what_is_asked_for_is_written(kind, expected, tmp_path):
    (entry,) = saved(make_task(), tmp_path, ("a_7",), only=[kind])
    assert [path.name for path in tmp_path.iterdir()] == expected
    assert len(entry["found"]) == 2 and "results" not in entry


def test_images_without_numbers_or_with_the_same_are_called_by_their_names(tmp_path):
    for names in (("street", "b_12"), ("a_12", "b_12")):
        entries = [
            {"image": f"/photos/{name}.jpg", "results": [{"score": 1.0}]}
            for name in names
        ]
        write_results(tmp_path / "out.json", entries)
        rows = json.loads((tmp_path / "out.json").read_text())
        assert [row["image_id"] for row in rows] == [f"{name}.jpg" for name in names]


def test_sides_are_what_names_say_and_else_what_pairs_do():
    names = ("nose", "left_eye", "right_eye", "L paw", "R paw", "a", "b", "leftover")
    pairs = ((2, 1), (3, 4), (5, 6))
    np.testing.assert_array_equal(
        sides_of_points(names, pairs), [0, 1, 2, 1, 2, 1, 2, 0]
    )


def test_limbs_have_the_colours_of_their_sides():
    image = np.full((200, 210, 3), 128, np.uint8)
    points = np.float64([[100, 20], [180, 60], [180, 180], [20, 60], [20, 180]])
    sides = np.array([0, 1, 1, 2, 2])
    lines = ((2, 1, 0, 3, 4), (2, 4))
    picture = draw_points(image, points[None], lines=lines, sides=sides)
    middle, left, right = SIDES
    for place, colour in (
        (points[0], middle),
        *((place, left) for place in (points[1], points[2], (180, 120), (140, 40))),
        *((place, right) for place in (points[3], points[4], (20, 120), (60, 40))),
        ((100, 180), middle),
    ):
        assert near(picture, place, colour)
        assert not near(picture, place, PREDICTED)
    named = draw_points(
        image, points[None], boxes=np.array([[10, 15, 190, 190]]), captions=("0.87",)
    )
    plain = draw_points(image, points[None], boxes=np.array([[10, 15, 190, 190]]))
    rows, columns = np.nonzero((named != plain).any(-1))
    assert len(rows) and rows.max() < 20 and columns.max() < 60


def test_limbs_end_at_joints_that_were_seen():
    image = np.full((200, 210, 3), 128, np.uint8)
    points = np.float64([[[20, 20], [100, 20], [180, 20]]])
    scores = np.array([[0.9, LOW_SCORE, 0.19]])
    body = {"lines": ((0, 1, 2),), "sides": np.array([1, 1, 1])}
    picture = draw_points(image, points, scores=scores, **body)
    _, left, _ = SIDES
    assert near(picture, (60, 20), left) and not near(picture, (140, 20), left)
    assert near(draw_points(image, points, **body), (140, 20), left)
    # The lines of a face stay.
    face = draw_points(image, points, scores=scores, lines=((0, 1, 2),))
    assert near(face, (140, 20), PREDICTED)


def test_a_crop_with_its_truth_says_what_the_colours_mean():
    task = make_task()
    prediction = {key: PREDICTION[key][0] for key in ("points", "scores")}
    prediction["heatmaps"] = np.zeros((16, 12, 3), np.float32)
    prediction["scores"] = np.float32([0.9, 0.5, 0.3])
    target = {"points": PREDICTION["points"][0] + 3, "annotated": np.ones(3, np.uint8)}
    crop = np.zeros((64, 48, 3), np.uint8)
    picture = task.draw(crop, prediction, target)
    assert near(picture, (20, 10), SIDES[0], 2) and near(picture, (8, 44), SIDES[2], 4)
    assert "left" in task.legend and "right" in task.legend
