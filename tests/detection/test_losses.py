"""Losses of detectors: goldens of the paper's fork, and formulas written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.detection import losses
from hrnet_jax.detection.one_stage import centerness
from tests.goldens import official


@pytest.fixture
def stored():
    """Arrays `loss/...` of the paper's fork."""
    start = "loss/"
    return {
        key.removeprefix(start): value
        for key, value in official.arrays("numeric/detection").items()
        if key.startswith(start)
    }


def test_smooth_l1_is_that_of_the_fork(stored):
    with jax.enable_x64():
        pred, target, weight = (
            jnp.asarray(stored[key], jnp.float64)
            for key in ("pred", "target", "weight")
        )
        mean = losses.smooth_l1(pred - target, 1.0).mean()
        assert mean == pytest.approx(stored["smooth_l1_beta1_mean"], 1e-7)
        # The golden's parabola is 1/9 wide, its name rounds.
        total = (losses.smooth_l1(pred - target, 1 / 9) * weight).sum()
        expected = stored["weighted_smoothl1_beta0.1111_avg256"]
        assert total / 256 == pytest.approx(expected, 1e-7)


def test_plain_l1():
    np.testing.assert_allclose(
        losses.smooth_l1(np.array([-2.0, 0.0, 0.5]), 0.0), [2, 0, 0.5]
    )


def test_cross_entropies_are_those_of_the_fork(stored):
    with jax.enable_x64():
        weight = stored["weight"][:, 0].astype(np.float64)
        binary = losses.binary_cross_entropy(
            jnp.asarray(stored["binary_logits"], jnp.float64), stored["binary_target"]
        )
        total = (binary * weight).sum() / 256
        assert total == pytest.approx(stored["weighted_bce_avg256"], 1e-7)
        entropy = losses.cross_entropy(
            jnp.asarray(stored["class_logits"], jnp.float64),
            jnp.asarray(stored["class_target"]),
        )
        total = (entropy * weight).sum() / 30
        assert total == pytest.approx(stored["weighted_cross_entropy_avg30"], 1e-7)


def test_binary_cross_entropy_of_large_logits_is_finite():
    found = losses.binary_cross_entropy(np.array([200.0, -200.0]), np.array([0, 1]))
    np.testing.assert_allclose(found, [200, 200])


def test_focal_loss_is_its_formula():
    logits = np.linspace(-4, 4, 9)
    for target in (False, True):
        p = 1 / (1 + np.exp(-logits))
        right = p if target else 1 - p
        weight = 0.25 if target else 0.75
        expected = -weight * (1 - right) ** 2 * np.log(right)
        found = losses.focal(jnp.asarray(logits), np.full(9, target))
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_overlap_loss_is_a_logarithm_that_ends():
    found = losses.overlap_loss(np.array([1.0, np.exp(-1), 0.0]))
    np.testing.assert_allclose(found, [0, 1, -np.log(1e-6)], rtol=1e-5, atol=1e-6)


def test_centerness_is_its_formula():
    sides = np.array([[2.0, 2, 2, 2], [1, 1, 4, 1], [1, 3, 4, 12]])
    np.testing.assert_allclose(centerness(sides), [1, 0.5, 0.25], rtol=1e-6)


def test_no_example_is_no_division_by_zero():
    assert losses.mean_over(jnp.float32(0), 0) == 0
    assert losses.mean_over(jnp.float32(6), 3) == 2
