"""Object key point similarity: formulas, the published code, and COCO's own counting."""

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from hrnet_jax.data.points.person_sets import COCO17
from hrnet_jax.keypoints import oks
from hrnet_jax.tasks.coco_scores import score
from tests.goldens import official

NAME = "numeric/pose"
SIGMAS = np.array(COCO17.sigmas)


def golden(key):
    return official.arrays(NAME)[f"oks/{key}"]


def test_is_the_formula_of_coco():
    rng = np.random.default_rng(0)
    truth, found = rng.uniform(0, 50, (17, 2)), rng.uniform(0, 50, (3, 17, 2))
    counted = rng.random(17) < 0.6
    got = oks.similarity(truth, found, 900.0, SIGMAS, counted=counted)
    for points, value in zip(found, got, strict=True):
        terms = [
            np.exp(
                -np.sum((points[k] - truth[k]) ** 2) / (2 * 900 * (2 * SIGMAS[k]) ** 2)
            )
            for k in np.flatnonzero(counted)
        ]
        assert value == pytest.approx(np.mean(terms), rel=1e-12)
    assert oks.similarity(truth, truth[None], 900.0, SIGMAS).tolist() == [1]
    nobody = oks.similarity(truth, found, 900.0, SIGMAS, counted=np.zeros(17, bool))
    assert nobody.tolist() == [0, 0, 0]


def test_agrees_with_the_published_code():
    points, areas = golden("keypoints")[..., :2], golden("area")
    seen = golden("keypoints")[..., 2]
    for k in range(len(points)):
        means = (areas[k] + areas) / 2
        got = oks.similarity(points[k], points, means, SIGMAS)
        np.testing.assert_allclose(got, golden("iou")[k], rtol=1e-5, atol=1e-12)
        # Its two conditions are joined by `and`, which gives the second list.
        got = oks.similarity(points[k], points, means, SIGMAS, counted=seen > 0.3)
        np.testing.assert_allclose(
            got, golden("iou_visible0.3")[k], rtol=1e-5, atol=1e-12
        )


@pytest.mark.parametrize("threshold", ["0.9", "0.5", "0.3"])
def test_the_same_persons_are_left(threshold):
    points = golden("keypoints")[..., :2]
    kept = oks.suppressed(
        points, golden("score"), golden("area"), SIGMAS, float(threshold)
    )
    assert kept.tolist() == golden(f"nms_{threshold}").tolist()


@pytest.mark.parametrize("threshold", ["0.9", "0.5"])
def test_those_who_are_alike_come_later(threshold):
    persons = golden("keypoints")[..., :2], golden("score"), golden("area"), SIGMAS
    taken = oks.softly_suppressed(*persons, float(threshold))
    expected = golden(f"soft_nms_{threshold}").tolist()
    assert taken.tolist() == expected
    few = oks.softly_suppressed(*persons, float(threshold), most=5)
    assert few.tolist() == expected[:5]


def test_the_better_of_two_alike_is_left():
    rng = np.random.default_rng(1)
    first, other = rng.uniform(0, 90, (2, 17, 2))
    points = np.stack([first, other, first + 0.01])
    kept = oks.suppressed(points, np.array([0.2, 0.5, 0.9]), np.full(3, 5e3), SIGMAS)
    assert kept.tolist() == [2, 1]


@pytest.mark.parametrize("areas", [(9e3, 1e3), (1e3, 9e3)])
@pytest.mark.parametrize(("threshold", "left"), [(0.899, [0]), (0.901, [0, 1])])
def test_two_persons_are_compared_over_the_mean_of_their_areas(areas, threshold, left):
    # As far apart as makes each point exp(-x) = 0.9 alike over an area of 5000.
    away = np.sqrt(-np.log(0.9) * 2 * 5e3) * 2 * SIGMAS
    points = np.stack([np.zeros((17, 2)), np.stack([away, 0 * away], 1)])
    persons = points, np.array([0.9, 0.5]), np.array(areas), SIGMAS
    assert oks.suppressed(*persons, threshold).tolist() == left
    third = np.array([0.9, 0.5, 0.48])
    points, areas = np.concatenate([points, points[:1] + 1e4]), (*areas, 1e3)
    # 0.5 exp(-0.9^2 / 0.8) is less than 0.48, so the third comes before.
    taken = oks.softly_suppressed(points, third, np.array(areas), SIGMAS, 0.8)
    assert taken.tolist() == [0, 2, 1]


def test_sure_points_score_a_person():
    points = np.array([[0.9, 0.2, 0.1], [0.3, 0.5, 0.7], [0.1, 0.2, 0.0]])
    got = oks.rescored(np.array([0.5, 1.0, 1.0]), points)
    np.testing.assert_allclose(got, [0.45, 0.5, 0])


def random_set(count, seed, points=17):
    """Images with persons, crowds, people without points, and what was found there."""
    rng = np.random.default_rng(seed)
    images = [{"id": k, "height": 300, "width": 300} for k in range(1, 13)]
    objects, results = [], []
    for k in range(count):
        xy, area = rng.uniform(20, 280, (points, 2)), rng.uniform(100, 2e4)
        xy = xy.mean(0) + (xy - xy.mean(0)) * np.sqrt(area) / 300
        marked = rng.integers(0, 3, points) * (k % 7 > 0)
        low, sides = xy.min(0), np.ptp(xy, axis=0)
        one = {"image_id": int(rng.integers(1, 11)), "category_id": 1}
        objects.append(
            {
                **one,
                "keypoints": np.c_[xy, marked].ravel().tolist(),
                "num_keypoints": int((marked > 0).sum()),
                "area": float(area),
                "bbox": [*low, *sides],
                "iscrowd": int(k % 11 == 0),
            }
        )
        for _ in range(rng.integers(0, 4)):
            moved = xy + rng.normal(0, 0.12 * np.sqrt(area) * rng.random(), xy.shape)
            results.append(
                {
                    **one,
                    "keypoints": np.c_[moved, rng.random(points)].ravel().tolist(),
                    "score": round(float(rng.random()), 2),
                }
            )
    return images, objects, results


@pytest.mark.parametrize("points", [17, 5])
def test_average_precision_is_that_of_pycocotools(points):
    images, objects, results = random_set(150, points, points)
    sigmas = SIGMAS[:points]
    got = score(images, objects, results, 1, "keypoints", sigmas.tolist()).named()
    names = ["AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl"]
    assert [*got] == names
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "info": {},
            "images": images,
            "annotations": [{**a, "id": k} for k, a in enumerate(objects, 1)],
            "categories": [{"id": 1, "name": "person"}],
        }
        truth.createIndex()
        theirs = COCOeval(truth, truth.loadRes(json.loads(json.dumps(results))))
        theirs = COCOeval(truth, theirs.cocoDt, "keypoints")
        theirs.params.kpt_oks_sigmas = sigmas
        theirs.evaluate()
        theirs.accumulate()
        theirs.summarize()
    assert 0.05 < got["AP"] < 0.95
    np.testing.assert_allclose([*got.values()], theirs.stats, rtol=0, atol=1e-12)


def test_nothing_found_scores_nothing():
    images, objects, _ = random_set(20, 3)
    got = score(images, objects, [], 1, "keypoints", COCO17.sigmas).named()
    assert got["AP"] == got["AR"] == 0
