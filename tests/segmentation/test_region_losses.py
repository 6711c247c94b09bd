"""Focal, Dice and Lovasz-softmax against their formulas in plain NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax import runtime
from hrnet_jax.config.options import read_options
from hrnet_jax.errors import ConfigError
from hrnet_jax.segmentation.losses import LossOptions, segmentation_loss
from hrnet_jax.segmentation.region_losses import jaccard_slopes

WEIGHTS = (1.0, 0.5, 2.0, 3.0)
value_and_gradient = jax.jit(
    jax.value_and_grad(segmentation_loss), static_argnums=(2, 3)
)


def case(shape=(2, 3, 4)):
    """float64 logits of 4 classes and labels: class 3 is absent, some are ignored."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, shape)
    labels.flat[[0, 5]] = 255, 200
    return 2 * rng.standard_normal((*shape, 4)), labels.astype(np.int32)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def pixels_of(logits, labels):
    """Probabilities [N, K] and labels [N] of the labelled pixels."""
    kept = labels < logits.shape[-1]
    return softmax(logits[kept]), labels[kept]


def focal(logits, labels, weights, gamma=2.0):
    p, y = pixels_of(logits, labels)
    total = count = 0.0
    for row, label in zip(p, y, strict=True):
        total -= weights[label] * (1 - row[label]) ** gamma * np.log(row[label])
        count += weights[label]
    return total / count


def over_classes(losses, weights):
    """Weighted mean of a dictionary of losses by class."""
    total = sum(weights[c] * loss for c, loss in losses.items())
    return total / sum(weights[c] for c in losses)


def dice(logits, labels, weights):
    p, y = pixels_of(logits, labels)
    losses = {}
    for c in np.unique(y):
        both = p[y == c, c].sum()
        losses[c] = 1 - 2 * both / (p[:, c].sum() + (y == c).sum())
    return over_classes(losses, weights)


def lovasz(logits, labels, weights):
    """Sum over the sorted errors of what each adds to 1 - IoU, algorithm 1."""
    p, y = pixels_of(logits, labels)
    losses = {}
    for c in np.unique(y):
        errors = np.where(y == c, 1 - p[:, c], p[:, c])
        order = np.argsort(-errors)
        loss, before = 0.0, 0.0
        for rank in range(len(order)):
            wrong = set(order[: rank + 1])
            truth = set(np.flatnonzero(y == c))
            # Wrong pixels of the class are not found, others are found wrongly.
            now = 1 - len(truth - wrong) / len(truth | wrong)
            loss += errors[order[rank]] * (now - before)
            before = now
        losses[c] = loss
    return over_classes(losses, weights)


FORMULAS = {"focal": focal, "dice": dice, "lovasz": lovasz}


@pytest.mark.parametrize("class_weights", [(), WEIGHTS])
@pytest.mark.parametrize("name", FORMULAS)
def test_value_and_gradient_are_those_of_the_formula(name, class_weights):
    logits, labels = case()
    weights = class_weights or (1.0,) * 4
    expected = np.zeros_like(logits)
    for place in np.ndindex(logits.shape):
        step = np.zeros_like(logits)
        step[place] = 1e-6
        sides = [FORMULAS[name](logits + s, labels, weights) for s in (step, -step)]
        expected[place] = (sides[0] - sides[1]) / 2e-6
    with jax.enable_x64():
        value, gradient = value_and_gradient(
            jnp.asarray(logits), labels, LossOptions(name, class_weights), "bilinear"
        )
        value, gradient = np.asarray(value), np.asarray(gradient)
    np.testing.assert_allclose(
        value, FORMULAS[name](logits, labels, weights), rtol=1e-12
    )
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-9)
    assert (gradient[labels > 3] == 0).all()


@pytest.mark.parametrize("gamma", [0.0, 0.5])
def test_focal_loss_at_small_gamma(gamma):
    logits, labels = case()
    logits[0, 0, 1] = 100 * (np.arange(4) == labels[0, 0, 1])  # nothing left to learn
    options = LossOptions("focal", focal_gamma=gamma)
    value, gradient = value_and_gradient(
        logits.astype(np.float32), labels, options, "bilinear"
    )
    expected = focal(logits, labels, (1.0,) * 4, gamma)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert np.isfinite(gradient).all()


def test_losses_are_added_to_that_of_the_main_output():
    logits, labels = case()
    outputs = {"logits": jnp.asarray(logits), "aux": jnp.asarray(logits[..., ::-1])}
    options = LossOptions(focal_weight=0.5, dice_weight=2.0, lovasz_weight=3.0)
    got = segmentation_loss(outputs, labels, options, "bilinear")
    plain = segmentation_loss(outputs, labels, LossOptions(), "bilinear")
    weights = (1.0,) * 4
    added = (
        0.5 * focal(logits, labels, weights)
        + 2 * dice(logits, labels, weights)
        + 3 * lovasz(logits, labels, weights)
    )
    np.testing.assert_allclose(got - plain, added, rtol=1e-5)
    alone = segmentation_loss(outputs, labels, LossOptions("dice"), "bilinear")
    aux = segmentation_loss(outputs["aux"], labels, LossOptions(), "bilinear")
    expected = dice(logits, labels, weights) + 0.4 * aux
    np.testing.assert_allclose(alone, expected, rtol=1e-5)


ALL = LossOptions(focal_weight=1.0, dice_weight=1.0, lovasz_weight=1.0)


def test_a_batch_without_labels_costs_nothing():
    logits, labels = case()
    value, gradient = value_and_gradient(
        logits.astype(np.float32), np.full_like(labels, 255), ALL, "bilinear"
    )
    assert value == 0 and (np.asarray(gradient) == 0).all()


def test_eight_devices_equal_one():
    logits, labels = case((8, 4, 4))
    logits = logits.astype(np.float32)
    labels[0] = 255
    mesh = runtime.make_mesh(data=8)
    sharded = [
        jax.device_put(x, runtime.batch_sharding(mesh, x.ndim))
        for x in (logits, labels)
    ]
    expected = value_and_gradient(logits, labels, ALL, "bilinear")
    got = value_and_gradient(*sharded, ALL, "bilinear")
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-6)
    np.testing.assert_allclose(got[1], expected[1], atol=1e-7)


def test_slopes_of_many_pixels_keep_their_digits():
    """Differences of IoU itself have three digits left in float32."""
    rng = np.random.default_rng(0)
    errors = rng.permutation(2**15).astype(np.float32)
    truth = rng.random(len(errors)) < 0.3
    got = jaccard_slopes(errors, truth, np.ones_like(truth))
    order = np.argsort(-errors)
    right, wrong = np.cumsum(truth[order]), np.cumsum(~truth[order])
    iou = (truth.sum() - right) / (truth.sum() + wrong)
    expected = np.diff(1 - iou, prepend=0.0)
    np.testing.assert_allclose(np.asarray(got)[order], expected, rtol=1e-5)


@pytest.mark.parametrize("key", ["focal_weight", "dice_weight", "lovasz_weight"])
def test_wrong_factors_are_named(key):
    message = f"'loss.{key}' must be a number of at least 0, got -1.0"
    with pytest.raises(ConfigError, match=message):
        read_options(LossOptions, {key: -1.0}, "loss")
    name = key.removesuffix("_weight")
    message = f"'loss.{key}' adds to another loss, but loss.name is '{name}' itself"
    with pytest.raises(ConfigError, match=message):
        LossOptions(name, **{key: 1.0})


def test_a_wrong_gamma_is_named():
    with pytest.raises(ConfigError, match="'loss.focal_gamma' must be .* got nan"):
        LossOptions(focal_gamma=float("nan"))
