"""Suppression against plain greedy suppression, and the best of many scores."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.detection import nms as nms_module
from hrnet_jax.detection.nms import fixed_point, nms, suppresses, top_candidates
from hrnet_jax.runtime.target import tracing_for
from tests.goldens import official
from tests.tiers import fast_are

THRESHOLDS = (0.3, 0.5, 0.7)


@pytest.fixture(scope="module", autouse=True)
def small_parts():
    """Few kept boxes are compared at a time, so that small sets take several rounds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nms_module, "_COMPARED", 64)
        yield


def of_goldens(name: str) -> np.ndarray:
    return official.arrays("numeric/detection")[name]


def greedy(boxes, scores, valid, threshold, group=None, plus_one=0.0, at_least=False):
    """Indices that plain suppression keeps, best first, ties by index."""
    group = np.zeros(len(boxes), int) if group is None else group
    zero = boxes.dtype.type(0)
    w, h = (boxes[:, k + 2] - boxes[:, k] + plus_one for k in (0, 1))
    areas = w * h
    order = [i for i in np.argsort(-scores, kind="stable") if valid[i]]
    kept = []
    while order:
        i, *order = order
        kept.append(i)
        rest = np.array(order, int)
        left_top = np.maximum(boxes[rest, :2], boxes[i, :2])
        right_bottom = np.minimum(boxes[rest, 2:], boxes[i, 2:])
        common = np.maximum(right_bottom - left_top + plus_one, zero).prod(-1)
        with np.errstate(invalid="ignore"):
            overlap = common / (areas[i] + areas[rest] - common)
        high = overlap >= threshold if at_least else overlap > threshold
        order = list(rest[~(high & (group[rest] == group[i]))])
    return np.array(kept, int)


def random_set(seed: int, count: int, dtype=np.float32):
    """Boxes around few centres; a third duplicates, some empty, scores with ties.

    Coordinates are whole, so overlaps of just the threshold occur and all programs
    round alike.
    """
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 200, (max(count // 12, 1), 2))
    start = centres[rng.integers(len(centres), size=count)]
    start = start + rng.integers(-6, 7, (count, 2))
    boxes = np.concatenate([start, start + rng.integers(0, 30, (count, 2))], axis=1)
    again = rng.random(count) < 0.3
    boxes[again] = boxes[rng.integers(count, size=again.sum())]
    boxes[rng.random(count) < 0.05, 2:] = 0
    scores = np.round(rng.random(count), 2)
    valid = rng.random(count) < 0.9
    group = rng.integers(0, 3, count)
    return boxes.astype(dtype), scores.astype(dtype), valid, group


def assert_keeps(result, expected: np.ndarray, max_out: int) -> None:
    index, kept = result
    assert index.dtype == jnp.int32 and index.shape == kept.shape == (max_out,)
    expected = expected[:max_out]
    np.testing.assert_array_equal(kept, np.arange(max_out) < len(expected))
    np.testing.assert_array_equal(index[: len(expected)], expected)
    assert not index[len(expected) :].any()


compiled_nms = jax.jit(
    nms, static_argnames=("max_out", "plus_one", "block", "at_least")
)


@pytest.mark.parametrize("legacy", [False, True], ids=["modern", "legacy"])
@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_goldens(threshold, legacy):
    name = f"nms/keep_{'legacy_' if legacy else ''}{threshold}"
    boxes, scores = of_goldens("nms/boxes"), of_goldens("nms/scores")
    got = compiled_nms(
        boxes, scores, np.ones(120, bool), threshold, 120, plus_one=float(legacy)
    )
    assert_keeps(got, of_goldens(name), 120)


@pytest.mark.slow
def test_golden_of_classes_in_both_precisions():
    for dtype in (np.float32, np.float64):
        with jax.enable_x64(dtype == np.float64):
            boxes, scores = (
                jnp.asarray(of_goldens(f"nms/{name}").astype(dtype))
                for name in ("boxes", "scores")
            )
            classes = of_goldens("nms/classes")
            got = nms(boxes, scores, jnp.ones(120, bool), 0.5, 120, classes, block=50)
            assert_keeps(got, of_goldens("nms/keep_per_class_0.5"), 120)


def test_golden_of_classes_of_the_published_cpu_program():
    # Class 0 is background; the program kept overlaps below the threshold only.
    boxes = of_goldens("multiclass/boxes").reshape(60, 5, 4)[:, 1:]
    scores = of_goldens("multiclass/scores")[:, 1:]
    classes = np.broadcast_to(np.arange(4), scores.shape).ravel()
    index, kept = compiled_nms(
        boxes.reshape(-1, 4),
        scores.ravel(),
        scores.ravel() > 0.05,
        0.5,
        40,
        classes,
        plus_one=1,
        at_least=True,
    )
    assert kept.all()
    expected = of_goldens("multiclass/dets")
    # It does not order what it returns.
    rows = np.column_stack(
        [boxes.reshape(-1, 4)[index], scores.ravel()[index], classes[index]]
    )
    wanted = np.column_stack([expected, of_goldens("multiclass/labels")])
    in_order = [x[np.lexsort(x.T[[0, 4]])] for x in (rows, wanted)]
    np.testing.assert_allclose(*in_order, rtol=1e-6)


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("seed", fast_are([1], range(60)))
def test_equals_greedy_suppression(seed, threshold):
    count = 700 if seed > 1 else 150
    block = 64 if seed % 2 else 256
    boxes, scores, valid, group = random_set(seed, count)
    if seed % 3 == 0:
        group = None
    expected = greedy(boxes, scores, valid, threshold, group)
    for max_out in (40, count):
        got = compiled_nms(boxes, scores, valid, threshold, max_out, group, block=block)
        assert_keeps(got, expected, max_out)


@pytest.mark.parametrize("at_least", [False, True])
def test_overlaps_of_just_the_threshold(at_least):
    boxes = np.array([[0, 0, 4, 4], [0, 0, 4, 2], [0, 0, 4, 3]], np.float32)
    scores = np.array([3, 2, 1], np.float32)
    valid = np.ones(3, bool)
    got = nms(*map(jnp.asarray, (boxes, scores, valid)), 0.5, 3, at_least=at_least)
    expected = greedy(boxes, scores, valid, 0.5, at_least=at_least)
    assert list(expected) == ([0] if at_least else [0, 1])
    assert_keeps(got, expected, 3)


@pytest.mark.slow
def test_a_chain_in_which_every_box_suppresses_the_next():
    start = np.arange(300, dtype=np.float32)[:, None] * [4, 0]
    boxes = np.concatenate([start, start + [10, 10]], axis=1).astype(np.float32)
    scores = np.linspace(1, 0, 300, dtype=np.float32)
    got = compiled_nms(boxes, scores, np.ones(300, bool), 0.3, 300, block=64)
    assert_keeps(got, np.arange(0, 300, 2), 300)


def test_empty_boxes_are_kept_and_suppress_nothing():
    # Intersection over union of two is 0 / 0.
    boxes = jnp.asarray([[5.0, 5, 5, 5]] * 3 + [[0, 0, 10, 10]] * 2)
    got = compiled_nms(boxes, jnp.arange(5.0), jnp.ones(5, bool), 0.3, 5)
    assert_keeps(got, np.array([4, 2, 1, 0]), 5)
    assert not suppresses(boxes[:3], boxes[:3], 0.3).any()


@pytest.mark.slow
def test_duplicates_go_below_an_overlap_of_a_half_as_well():
    # Trap 4: programs in circulation test this at .5 whatever the threshold.
    boxes = jnp.asarray([[0.0, 0, 10, 10], [0, 0, 10, 4]])
    got = nms(boxes, jnp.asarray([1.0, 0.5]), jnp.ones(2, bool), 0.3, 2)
    assert_keeps(got, np.array([0]), 2)


@pytest.mark.slow
def test_classes_are_apart_without_moving_boxes():
    # Trap 5: boxes moved by class * (largest coordinate + 1) lose digits, and the
    # overlap of these two, .61929, would come out as .61924.
    a = np.array([10.3, 20.7, 110.9, 145.3], np.float32)
    b = np.array([22.1, 35.9, 130.2, 151.8], np.float32)
    pair = jnp.asarray(np.stack([a, b]))
    overlap = float(1 - (1 - suppression_overlap(a, b)))
    moved = np.float32(79 * 1334.0)
    assert suppression_overlap(a + moved, b + moved) != suppression_overlap(a, b)
    for threshold, kept in ((overlap * (1 - 1e-6), 1), (overlap * (1 + 1e-6), 2)):
        got = nms(
            pair,
            jnp.asarray([1.0, 0.5]),
            jnp.ones(2, bool),
            threshold,
            2,
            jnp.asarray([79, 79]),
        )
        assert got[1].sum() == kept
    both = nms(pair, jnp.ones(2), jnp.ones(2, bool), 0.1, 2, jnp.asarray([79, 3]))
    assert_keeps(both, np.array([0, 1]), 2)


def suppression_overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union, in double precision of the coordinates given."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    common = (np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).prod()
    return common / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - common)


def test_nothing_valid_and_nothing_at_all():
    boxes, scores, _, _ = map(jnp.asarray, random_set(0, 20))
    got = compiled_nms(boxes, scores, jnp.zeros(20, bool), 0.5, 5)
    assert_keeps(got, np.zeros(0, int), 5)
    empty = nms(jnp.zeros((0, 4)), jnp.zeros(0), jnp.zeros(0, bool), 0.5, 5)
    assert_keeps(empty, np.zeros(0, int), 5)


@pytest.mark.slow
def test_valid_scores_of_minus_infinity_count():
    boxes = jnp.asarray([[0.0, 0, 1, 1], [5, 5, 6, 6], [9, 9, 12, 12]])
    scores = jnp.asarray([-jnp.inf, -jnp.inf, 2])
    got = nms(boxes, scores, jnp.asarray([False, True, True]), 0.5, 3, block=1)
    assert_keeps(got, np.array([2, 1]), 3)


@pytest.mark.slow
def test_images_at_once_equal_images_one_by_one():
    sets = [random_set(seed, 120) for seed in range(3)]
    boxes, scores, valid, group = (jnp.asarray(np.stack(x)) for x in zip(*sets))
    many = jax.vmap(lambda *x: nms(*x[:3], 0.5, 100, x[3], block=32))
    index, kept = jax.jit(many)(boxes, scores, valid, group)
    for k, (boxes, scores, valid, group) in enumerate(sets):
        expected = greedy(boxes, scores, valid, 0.5, group)
        assert_keeps((index[k], kept[k]), expected, 100)


@pytest.mark.slow
def test_the_fixed_point_is_the_greedy_choice():
    boxes, scores, valid, _ = random_set(7, 100)
    order = np.argsort(-scores, kind="stable")
    boxes, valid = boxes[order], valid[order]
    keep = fixed_point(suppresses(boxes, boxes, 0.5), jnp.asarray(valid))
    expected = greedy(boxes, scores[order], valid, 0.5)
    np.testing.assert_array_equal(np.flatnonzero(keep), expected)


def score_sets():
    rng = np.random.default_rng(0)
    with_ties = np.round(rng.normal(size=500), 1).astype(np.float32)
    with_ties[::7] = -0.0
    return {
        "ties": with_ties,
        "different": rng.normal(size=500).astype(np.float32) * 1e30,
        "equal": np.zeros(500, np.float32),
        "integers": rng.integers(0, 50, 500).astype(np.uint32),
        "half": with_ties.astype(jnp.bfloat16),
    }


@pytest.mark.parametrize("platform", ["cpu", "tpu"])
@pytest.mark.parametrize("name", fast_are(["ties"], score_sets()))
def test_best_candidates_come_in_order_with_ties_by_index(name, platform):
    scores = score_sets()[name]
    valid = np.random.default_rng(1).random(500) < 0.7
    worst = 0 if name == "integers" else -np.inf
    masked = np.where(valid, scores, scores.dtype.type(worst))
    order = np.argsort(-masked.astype(np.float64), kind="stable")
    with tracing_for(platform):
        for count in (60, 900):
            got, index = jax.jit(
                lambda *x, count=count: top_candidates(x[0], count, x[1])
            )(scores, valid)
            assert index.dtype == jnp.int32 and got.dtype == scores.dtype
            # Trap 10: levels may have fewer cells than candidates are wanted.
            np.testing.assert_array_equal(index, order[:count])
            np.testing.assert_array_equal(got, masked[order[:count]])


@pytest.mark.slow
def test_counting_finds_the_best_in_double_precision():
    with jax.enable_x64():
        scores = 1 + jnp.asarray(np.random.default_rng(0).random(100)) * 1e-12
        with tracing_for("tpu"):
            index = top_candidates(scores, 30)[1]
        np.testing.assert_array_equal(index, jnp.argsort(-scores)[:30])


def test_a_program_for_several_platforms_has_each_ones_form():
    def text(*platforms):
        with tracing_for(*platforms):
            # Not the same function twice: traces are kept by it.
            return str(jax.make_jaxpr(lambda x: top_candidates(x, 9))(jnp.zeros(99)))

    assert "top_k" in text("cpu") and "top_k" in text("cuda")
    assert "top_k" not in text("tpu")
    assert "platform_index" in text("cpu", "tpu")
