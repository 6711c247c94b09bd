"""NME, failure rate, area under the curve; and gathered over a data set."""

import csv
import json
import math
import socket
import subprocess
import sys

import numpy as np
import pytest

from hrnet_jax import runtime
from hrnet_jax.data.stream.feeding import to_global
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.keypoints.metrics import (
    LandmarkEvaluator,
    auc,
    failure_rate,
    nme,
    normalizer_from_points,
    summarize,
)
from tests import tiny
from tests.goldens import official

# The points of the published normalisers (`compute_nme`); 19 uses the box.
CORNERS = {68: ((36,), (45,)), 98: ((60,), (72,)), 29: ((8,), (9,))}


def faces(count=5, points=7, seed=0):
    rng = np.random.default_rng(seed)
    target = rng.uniform(0, 200, (count, points, 2))
    return target + rng.normal(0, 4, target.shape), target, rng.uniform(50, 90, count)


@pytest.mark.parametrize("points", [19, 29, 68, 98])
def test_equals_the_published_code(points):
    arrays = official.arrays("numeric/landmarks")
    predicted, target = arrays[f"nme/{points}_preds"], arrays[f"nme/{points}_points"]
    if points == 19:
        normalizer = arrays["nme/19_box_size"]
    else:
        normalizer = normalizer_from_points(target, CORNERS[points])
    expected = arrays[f"nme/{points}_nme"]
    # There the distances are summed in single precision: 2e-7 of them is its noise.
    np.testing.assert_allclose(
        nme(predicted, target, normalizer), expected, rtol=2e-7, atol=0
    )


def test_is_the_mean_distance_over_the_normalizer():
    predicted, target, normalizer = faces()
    expected = [
        math.fsum(math.dist(p, t) for p, t in zip(ps, ts, strict=True)) / len(ps) / size
        for ps, ts, size in zip(predicted, target, normalizer, strict=True)
    ]
    result = nme(predicted, target, normalizer)
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, expected, rtol=1e-14)


def test_points_that_nobody_annotated_count_nowhere():
    predicted, target, normalizer = faces()
    annotated = np.ones(target.shape[:2], np.uint8)
    annotated[1, [0, 3]] = 0
    expected = nme(predicted, target, normalizer)
    kept = [1, 2, 4, 5, 6]
    expected[1] = nme(predicted[1:2, kept], target[1:2, kept], normalizer[1:2])[0]
    target[1, 0], target[1, 3] = np.nan, 0
    predicted[1, 3] = np.inf
    result = nme(predicted, target, normalizer, annotated=annotated)
    np.testing.assert_allclose(result, expected, rtol=1e-14)


def test_the_normalizer_is_the_distance_of_two_centroids():
    points = np.float64([[[0, 0], [2, 0], [4, 5], [4, 3], [99, 99]]])
    groups = ((0, 1), (2, 3))
    assert normalizer_from_points(points, groups).tolist() == [5.0]
    assert normalizer_from_points(points, ((0,), (2,)))[0] == math.hypot(4, 5)
    annotated = np.uint8([[1, 1, 1, 1, 0]])
    assert normalizer_from_points(points, groups, annotated=annotated)[0] == 5.0


def test_an_error_equal_to_the_threshold_is_no_failure():
    errors = np.float64([0.02, 0.08, 0.080001, 0.3])
    assert failure_rate(errors, 0.08) == 0.5
    assert failure_rate(errors, 0.3) == 0.0


def test_the_area_is_the_integral_of_the_step_function():
    errors = np.random.default_rng(1).gamma(3, 0.02, 57)
    for threshold in (0.08, 0.10):
        # Between two neighbouring corners the distribution is constant.
        corners = np.unique([0, *errors[errors < threshold], threshold])
        shares = [(errors <= corner).mean() for corner in corners[:-1]]
        expected = math.fsum(np.diff(corners) * shares) / threshold
        assert auc(errors, threshold) == pytest.approx(expected, rel=1e-13)
    assert auc(np.zeros(3), 0.08) == 1.0
    assert auc(np.float64([0.04, 1.0]), 0.08) == 0.25


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"predicted": np.zeros((5, 6, 2))}, r"\(5, 6, 2\), target \(5, 7, 2\)"),
        ({"predicted": np.zeros((5, 7))}, r"predicted of shape \(5, 7\), expected \(N"),
        ({"target": np.zeros((5, 7, 3))}, r"target of shape \(5, 7, 3\)"),
        ({"normalizer": np.ones(1)}, r"normalizer of shape \(1,\), .* 5 faces"),
        ({"normalizer": np.ones((5, 1))}, r"normalizer of shape \(5, 1\)"),
        ({"annotated": np.ones(7)}, r"annotated of shape \(7,\), expected \(5, 7\)"),
    ],
)
def test_shapes_that_would_broadcast_are_errors(change, message):
    predicted, target, normalizer = faces()
    arguments = {"predicted": predicted, "target": target, "normalizer": normalizer}
    with pytest.raises(ValueError, match=message):
        nme(**arguments | change)


def broken(what):
    """Arguments of `nme` with one wrong value in face 3."""
    predicted, target, normalizer = faces()
    annotated = np.ones(target.shape[:2], bool)
    if what == "prediction":
        predicted[3, 2, 1] = np.nan
    elif what == "target":
        target[3, 2, 0] = np.inf
    elif what == "mask":
        annotated[3] = False
    else:
        normalizer[3] = what
    return {
        "predicted": predicted,
        "target": target,
        "normalizer": normalizer,
        "annotated": annotated,
    }


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("prediction", r"face 3: predicted point 2 is \([\d.]+, nan\)"),
        ("target", r"face 3: target point 2 is \(inf, "),
        ("mask", "face 3: no annotated point"),
        (0.0, "face 3: normalizer 0; expected a positive"),
        (-2.0, "face 3: normalizer -2; expected a positive"),
        (np.nan, "face 3: normalizer nan; expected a positive"),
    ],
)
def test_a_wrong_value_names_the_face(what, message):
    with pytest.raises(DataError, match=message):
        nme(**broken(what))


def test_a_normalizer_without_a_distance_is_an_error():
    points = np.random.default_rng(0).uniform(0, 9, (3, 4, 2))
    for groups in (((0,), (4,)), ((-1,), (2,)), ((), (1,))):
        with pytest.raises(ValueError, match=r"for 4 points; expected indices 0\.\.3"):
            normalizer_from_points(points, groups)
    annotated = np.ones((3, 4))
    annotated[1, 2] = 0
    with pytest.raises(DataError, match="face 1: point 2 is not annotated"):
        normalizer_from_points(points, ((0, 2), (1,)), annotated=annotated)
    points[2, 1] = points[2, 0]
    with pytest.raises(DataError, match="face 2: the points of the norm.* coincide"):
        normalizer_from_points(points, ((0,), (1,)))
    points[0, 3, 1] = np.nan
    with pytest.raises(DataError, match=r"face 0: normalizer's point"):
        normalizer_from_points(points, ((0,), (3,)))


@pytest.mark.parametrize("function", [failure_rate, auc])
def test_errors_that_cannot_be_counted_are_refused(function):
    with pytest.raises(ValueError, match=r"errors of shape \(0,\)"):
        function(np.zeros(0), 0.08)
    with pytest.raises(ValueError, match=r"errors of shape \(2, 2\)"):
        function(np.zeros((2, 2)), 0.08)
    with pytest.raises(ValueError, match="threshold 0, expected a positive"):
        function(np.zeros(2), 0)
    with pytest.raises(DataError, match="face 1: error nan"):
        function(np.float64([0, np.nan]), 0.08)


GROUPS = {"eyes": ((0,), (1,)), "pupils": ((0, 2), (1, 3))}


def to_image(points, center, scale):
    """A stand-in for the crop geometry; half of it."""
    return points * scale[:, None, None] + center[:, None]


def examples(count=12, points=5, padding=0):
    """A whole data set as one batch, and predictions in crops."""
    rng = np.random.default_rng(2)
    image_points = rng.uniform(0, 100, (count, points, 2)).astype(np.float32)
    center = rng.uniform(10, 20, (count, 2)).astype(np.float32)
    scale = rng.uniform(0.5, 2, count).astype(np.float32)
    moved = image_points + rng.normal(0, 3, image_points.shape)
    crop = (moved - center[:, None]) / scale[:, None, None]
    annotated = np.ones((count, points), np.uint8)
    annotated[4, 4] = 0
    batch = {
        "image_points": image_points,
        "annotated": annotated,
        "box_size": rng.uniform(50, 80, count).astype(np.float32),
        "center": center,
        "scale": scale,
        "example_valid": np.arange(count) < count - padding,
        "image_id": [f"face/{index}.jpg" for index in range(count)],
    }
    return batch, crop.astype(np.float32)


def rows(batch, part):
    return {key: value[part] for key, value in batch.items()}


def filled(batch, points, size, mesh=None, default="eyes"):
    evaluator = LandmarkEvaluator(GROUPS, default, to_image)
    for first in range(0, len(points), size):
        part = rows(batch | {"points": points}, slice(first, first + size))
        part = to_global(part, mesh or runtime.make_mesh(data=1))
        evaluator.update(part, {"points": part.pop("points")})
    return evaluator


def test_reports_each_normalizer_and_the_rates_of_the_default_in_percent():
    batch, points = examples()
    predicted = to_image(points, batch["center"], batch["scale"])
    target = np.float64(batch["image_points"])
    errors = {
        name: nme(predicted, target, size, annotated=batch["annotated"])
        for name, size in {
            **{key: normalizer_from_points(target, GROUPS[key]) for key in GROUPS},
            "box": batch["box_size"],
        }.items()
    }
    for default, chosen in errors.items():
        evaluator = filled(batch, points, 4, default=default)
        metrics = evaluator.compute()
        expected = {
            "nme": 100 * chosen.mean(),
            "nme_percent/eyes": 100 * errors["eyes"].mean(),
            "nme_percent/pupils": 100 * errors["pupils"].mean(),
            "nme_percent/box": 100 * errors["box"].mean(),
            "failure_rate_percent/0.08": 100 * (chosen > 0.08).mean(),
            "failure_rate_percent/0.10": 100 * (chosen > 0.10).mean(),
            "auc_percent/0.08": 100 * auc(chosen, 0.08),
            "auc_percent/0.10": 100 * auc(chosen, 0.10),
        }
        assert metrics == pytest.approx(expected, rel=1e-6)
        assert list(metrics) == list(expected)
        assert all(type(value) is float for value in metrics.values())
        assert list(evaluator.errors()) == batch["image_id"]
        np.testing.assert_allclose([*evaluator.errors().values()], chosen, rtol=1e-6)
    assert errors["eyes"].std() > 0 and 0 < failure_rate(errors["box"], 0.08) < 1


def test_a_report_lists_faces_from_the_worst_on(tmp_path):
    batch, points = examples()
    evaluator = filled(batch, points, 4)
    evaluator.report(tmp_path / "report")
    lines = (tmp_path / "report" / "faces.csv").read_text().splitlines()
    header, *faces = csv.reader(lines)
    assert header == ["face", *(f"nme_percent/{name}" for name in (*GROUPS, "box"))]
    expected = sorted(evaluator.errors().items(), key=lambda item: -item[1])
    assert [face[0] for face in faces] == [name for name, _ in expected]
    percents = [100 * error for _, error in expected]
    assert [float(face[1]) for face in faces] == pytest.approx(percents, abs=5e-5)
    assert (tmp_path / "report" / "ced.png").stat().st_size > 1000
    worst = [batch["image_id"][index] for index in evaluator.worst(2)]
    assert worst == [name for name, _ in expected[:2]]


def test_any_cut_into_batches_over_any_devices_gives_the_same():
    batch, points = examples(16)
    expected = filled(batch, points, 16)
    for size, devices in ((1, 1), (4, 2), (8, 8)):
        mesh = runtime.make_mesh(data=devices)
        evaluator = filled(batch, points, size, mesh)
        assert evaluator.compute() == expected.compute()
        assert evaluator.errors() == expected.errors()


def test_padding_counts_nowhere():
    batch, points = examples(12)
    # Anywhere: with several processes each pads its own share.
    padded = [1, 6, 11]
    batch["example_valid"][padded] = False
    batch["box_size"][padded] = 0
    batch["annotated"][padded] = 0
    points[padded] = np.nan
    kept = np.delete(np.arange(12), padded)
    arrays = {key: np.asarray(value) for key, value in batch.items()}
    valid = rows(arrays, kept)
    valid["image_id"] = valid["image_id"].tolist()
    expected = filled(valid, points[kept], 3)
    assert filled(batch, points, 4).errors() == expected.errors()
    assert len(expected.errors()) == 9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("box_size", r"face/7\.jpg, normalizer box: normalizer 0; expected a positive"),
        ("annotated", r"face/7\.jpg, normalizer eyes: point 0 is not annotated"),
        ("points", r"face/7\.jpg, normalizer eyes: predicted point 0 is \(nan, nan\)"),
        ("image_points", r"face/7\.jpg, normalizer eyes: the points .* coincide"),
    ],
)
def test_a_wrong_example_is_named(change, message):
    batch, points = examples()
    (batch | {"points": points})[change][7] = np.nan if change == "points" else 0
    with pytest.raises(DataError, match=message):
        filled(batch, points, 4)


def test_nothing_and_repeats_are_errors():
    with pytest.raises(DataError, match="no face was evaluated"):
        LandmarkEvaluator(GROUPS, "box", to_image).compute()
    batch, points = examples()
    batch["image_id"][5] = "face/1.jpg"
    evaluator = filled(batch, points, 4)
    assert evaluator.compute()
    with pytest.raises(DataError, match=r"face/1\.jpg was evaluated twice"):
        evaluator.errors()


def test_the_default_is_one_of_the_normalizers():
    message = "unknown normalizer 'ears'; expected one of eyes, pupils, box"
    with pytest.raises(ConfigError, match=message):
        LandmarkEvaluator(GROUPS, "ears", to_image)
    with pytest.raises(ConfigError, match="'box' is the size of the face box"):
        LandmarkEvaluator({"box": ((0,), (1,))}, "box", to_image)


# Each of two processes brings half of the faces, as the input pipeline does.
TWO_PROCESSES = """
import json, sys
import jax
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_cpu_collectives_implementation", "gloo")
rank, port = int(sys.argv[1]), sys.argv[2]
jax.distributed.initialize(f"localhost:{port}", 2, rank)
from hrnet_jax import runtime
from tests.keypoints.test_metrics import examples, filled, named, rows
batch, points = examples(8, padding=1)
half = slice(4 * rank, 4 * rank + 4)
mesh = runtime.make_mesh()
evaluator = filled(rows(named(batch), half), points[half], 4, mesh)
print(json.dumps([evaluator.compute(), evaluator.errors()]), flush=True)
"""


def named(batch):
    """With names of several lengths and alphabets."""
    names = [f"{'å' * (index % 3)}{index}" for index in range(len(batch["image_id"]))]
    return batch | {"image_id": names}


@pytest.mark.slow
def test_every_process_counts_the_faces_of_all():
    with socket.create_server(("localhost", 0)) as free:
        port = str(free.getsockname()[1])
    variables = tiny.environment(XLA_FLAGS="--xla_force_host_platform_device_count=2")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TWO_PROCESSES, str(rank), port],
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    results = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], results
    batch, points = examples(8, padding=1)
    expected = filled(named(batch), points, 8)
    for out, _ in results:
        metrics, errors = json.loads(out.splitlines()[-1])
        assert len(errors) == 7
        assert errors == pytest.approx(expected.errors(), rel=1e-12)
        assert metrics == pytest.approx(expected.compute(), rel=1e-12)


def test_summaries_name_unit_and_normalizer():
    metrics = summarize({"box": np.float64([0.05, 0.09])}, "box")
    assert metrics == pytest.approx(
        {
            "nme": 7,
            "nme_percent/box": 7,
            "failure_rate_percent/0.08": 50,
            "failure_rate_percent/0.10": 0,
            "auc_percent/0.08": 100 * (0.375 + 0) / 2,
            "auc_percent/0.10": 100 * (0.5 + 0.1) / 2,
        }
    )
