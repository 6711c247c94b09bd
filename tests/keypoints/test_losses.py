"""Heatmap losses are the official one, and global over devices."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from hrnet_jax import runtime
from hrnet_jax.errors import ConfigError
from hrnet_jax.keypoints.losses import LossOptions, heatmap_loss, heatmap_mse

SHAPE = (8, 5, 4, 3)

value_and_gradient = jax.jit(jax.value_and_grad(heatmap_mse))


def random_case(seed=0):
    """Heatmaps, targets and weights of points, a third of them zero."""
    rng = np.random.default_rng(seed)
    heatmaps, targets = rng.standard_normal((2, *SHAPE)).astype(np.float32)
    weights = rng.uniform(0.5, 2, (SHAPE[0], SHAPE[3])).astype(np.float32)
    weights[rng.random(weights.shape) < 0.3] = 0
    return heatmaps, targets, weights


def test_without_weights_it_is_the_mean_of_pytorch():
    heatmaps, targets, _ = random_case()
    tensor = torch.tensor(heatmaps.transpose(0, 3, 1, 2), requires_grad=True)
    expected = torch.nn.functional.mse_loss(
        tensor, torch.tensor(targets.transpose(0, 3, 1, 2))
    )
    expected.backward()
    value, gradient = value_and_gradient(heatmaps, targets)
    np.testing.assert_allclose(value, expected.item(), rtol=1e-6)
    np.testing.assert_allclose(
        gradient, tensor.grad.numpy().transpose(0, 2, 3, 1), rtol=1e-5, atol=1e-9
    )


def test_weighted_it_is_the_formula():
    heatmaps, targets, weights = random_case()
    total = count = 0.0
    for b, y, x, k in np.ndindex(SHAPE):
        error = float(heatmaps[b, y, x, k]) - float(targets[b, y, x, k])
        total += weights[b, k] * error**2
        count += weights[b, k]
    value, gradient = value_and_gradient(heatmaps, targets, weights)
    np.testing.assert_allclose(value, total / count, rtol=1e-5)
    absent = np.broadcast_to(weights[:, None, None] == 0, SHAPE)
    assert (np.asarray(gradient)[absent] == 0).all()
    assert (np.asarray(gradient)[~absent] != 0).all()


def test_equal_weights_change_nothing():
    heatmaps, targets, weights = random_case()
    expected = heatmap_mse(heatmaps, targets)
    got = heatmap_mse(heatmaps, targets, np.full_like(weights, 3.0))
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    visible = heatmap_mse(heatmaps, targets, np.ones(weights.shape, bool))
    np.testing.assert_allclose(visible, expected, rtol=1e-6)


def test_a_batch_without_points_costs_nothing():
    heatmaps, targets, weights = random_case()
    value, gradient = value_and_gradient(heatmaps, targets, 0 * weights)
    assert value == 0 and (np.asarray(gradient) == 0).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_eight_devices_equal_one(weighted):
    # One device sees no point at all, so means per device would differ.
    heatmaps, targets, weights = random_case()
    weights[0], weights[1] = 0, 5
    arguments = (heatmaps, targets, weights)[: 3 if weighted else 2]
    mesh = runtime.make_mesh(data=8)
    sharded = [jax.device_put(x, runtime.batch_sharding(mesh)) for x in arguments]
    expected_value, expected = value_and_gradient(*arguments)
    value, gradient = value_and_gradient(*sharded)
    assert len(gradient.sharding.device_set) == 8
    np.testing.assert_allclose(value, expected_value, rtol=1e-6)
    np.testing.assert_allclose(gradient, expected, atol=1e-7)


def test_it_has_the_type_of_the_heatmaps():
    heatmaps, targets, weights = random_case()
    with jax.enable_x64():
        wide = jnp.asarray(heatmaps, jnp.float64)
        assert heatmap_mse(wide, targets).dtype == jnp.float64
        assert heatmap_mse(wide, targets, weights).dtype == jnp.float64
    assert heatmap_mse(heatmaps, targets, weights).dtype == jnp.float32


def test_shapes_that_would_broadcast_are_errors():
    heatmaps, targets, weights = random_case()
    with pytest.raises(ValueError, match=r"targets of shape \(8, 5, 4, 1\)"):
        heatmap_mse(heatmaps, targets[..., :1])
    with pytest.raises(ValueError, match=r"weights of shape \(8, 1\).* 8 x 3 points"):
        heatmap_mse(heatmaps, targets, weights[:, :1])


def wing_by_hand(heatmap, target, options):
    """One cell, as the paper writes it (equations 3 and 4)."""
    power = options.alpha - target
    ratio = options.theta / options.epsilon
    slope = (
        options.omega
        * (1 / (1 + ratio**power))
        * power
        * ratio ** (power - 1)
        / options.epsilon
    )
    offset = options.theta * slope - options.omega * math.log(1 + ratio**power)
    distance = abs(target - heatmap)
    if distance < options.theta:
        return options.omega * math.log(1 + (distance / options.epsilon) ** power)
    return slope * distance - offset


@pytest.mark.parametrize("epsilon", [1.0, 0.5])
@pytest.mark.parametrize("foreground", [0.0, 10.0])
def test_adaptive_wing_is_the_formula(epsilon, foreground):
    options = LossOptions(name="adaptive_wing", epsilon=epsilon, foreground=foreground)
    heatmaps, _, weights = random_case()
    rng = np.random.default_rng(1)
    targets = rng.uniform(0, 1, SHAPE).astype(np.float32) ** 4
    total = count = 0.0
    for b, y, x, k in np.ndindex(SHAPE):
        value = wing_by_hand(
            float(heatmaps[b, y, x, k]), float(targets[b, y, x, k]), options
        )
        around = targets[b, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2, k]
        if around.max() >= 0.2:
            value *= 1 + foreground
        total += weights[b, k] * value
        count += weights[b, k]
    got = heatmap_loss(heatmaps, targets, weights, options)
    np.testing.assert_allclose(got, total / count, rtol=1e-5)


def test_adaptive_wing_has_finite_gradients_and_no_corner():
    options = LossOptions(name="adaptive_wing")
    targets = np.float32([0, 0.5, 1]).reshape(1, 1, 1, 3)

    def loss(distance):
        return heatmap_loss(targets + distance, targets, None, options)

    for distance in (0.0, 1e-8, 0.4999, 0.5001, 30.0):
        assert np.isfinite(jax.grad(loss)(distance))
    below, above = (float(jax.grad(loss)(d)) for d in (0.4999, 0.5001))
    assert below == pytest.approx(above, rel=1e-3)
    assert loss(0.0) == 0


def test_mse_is_the_default():
    heatmaps, targets, weights = random_case()
    assert heatmap_loss(heatmaps, targets, weights, LossOptions()) == heatmap_mse(
        heatmaps, targets, weights
    )


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"name": "wing"}, "loss.name' must be one of mse, adaptive_wing, got 'wing'"),
        ({"hidden": "drop"}, "loss.hidden' must be one of keep, mask, zero"),
        ({"outside": ""}, "loss.outside' must be one of"),
        ({"sigma": 0.0}, "loss.sigma' must be positive, got 0.0"),
        ({"theta": -1.0}, "loss.theta' must be positive, got -1.0"),
        ({"alpha": 1.0}, "loss.alpha' must be larger than 1, got 1.0"),
        ({"foreground": -1.0}, "loss.foreground' must not be negative"),
    ],
)
def test_wrong_loss_options_are_errors(changes, message):
    with pytest.raises(ConfigError, match=message):
        LossOptions(**changes)
