"""Optimizers equal PyTorch's, step by step."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.sections import OptimizerOptions
from hrnet_jax.training.optimizers import make_optimizer

SHAPES = {
    "stem": {"conv1": {"kernel": (3, 3, 2, 4)}, "norm1": {"scale": (4,), "bias": (4,)}},
    "head": {"kernel": (4, 5), "bias": (5,)},
}
RATES = np.array([0.1, 0.1, 0.05, 0.2, 0.01])


def draw(seed):
    """A tree of parameters or gradients."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda shape: rng.standard_normal(shape).astype(np.float32),
        SHAPES,
        is_leaf=lambda x: isinstance(x, tuple),
    )


def ours(options, gradients, rates=RATES):
    """Parameters after one update per gradient."""
    optimizer = make_optimizer(options, lambda step: jnp.asarray(rates)[step])
    params = draw(0)
    state = optimizer.init(params)
    update = jax.jit(optimizer.update)
    for gradient in gradients:
        updates, state = update(gradient, state, params)
        params = optax.apply_updates(params, updates)
    return params


def theirs(make, gradients, multiplier=None, rates=RATES):
    """The same with a PyTorch optimizer; `multiplier(name)` scales the rate."""
    paths, treedef = jax.tree_util.tree_flatten_with_path(draw(0))
    leaves = [torch.nn.Parameter(torch.from_numpy(leaf)) for _, leaf in paths]
    groups = [{"params": [leaf]} for leaf in leaves]
    optimizer = make(groups)
    for rate, gradient in zip(rates, gradients, strict=False):
        for (path, _), leaf, group, value in zip(
            paths,
            leaves,
            optimizer.param_groups,
            jax.tree.leaves(gradient),
            strict=True,
        ):
            name = "/".join(key.key for key in path)
            group["lr"] = rate * (multiplier(name) if multiplier else 1.0)
            leaf.grad = torch.from_numpy(value)
        optimizer.step()
    return jax.tree.unflatten(treedef, [leaf.detach().numpy() for leaf in leaves])


def assert_close(got, expected):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6),
        got,
        expected,
    )


GRADIENTS = [draw(seed) for seed in range(1, 6)]


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_sgd_equals_pytorch_while_the_rate_changes(nesterov, weight_decay):
    options = OptimizerOptions(
        momentum=0.9, nesterov=nesterov, weight_decay=weight_decay
    )
    expected = theirs(
        lambda groups: torch.optim.SGD(
            groups, lr=1.0, momentum=0.9, nesterov=nesterov, weight_decay=weight_decay
        ),
        GRADIENTS,
    )
    assert_close(ours(options, GRADIENTS), expected)


def test_sgd_without_momentum_is_the_formula():
    options = OptimizerOptions(momentum=0.0, weight_decay=0.1)
    params = draw(0)
    expected = jax.tree.map(lambda w, g: w - 0.1 * (g + 0.1 * w), params, GRADIENTS[0])
    assert_close(ours(options, GRADIENTS[:1]), expected)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adam_equals_pytorch_while_the_rate_changes(name):
    options = OptimizerOptions(name, beta1=0.8, beta2=0.95, weight_decay=0.1)
    make = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    expected = theirs(
        lambda groups: make(groups, lr=1.0, betas=(0.8, 0.95), weight_decay=0.1),
        GRADIENTS,
    )
    assert_close(ours(options, GRADIENTS), expected)


def test_multipliers_are_parameter_groups_of_pytorch():
    options = OptimizerOptions(
        weight_decay=0.1, multipliers=(("^head/bias", 0.0), ("^head/", 10.0))
    )
    factors = {"head/kernel": 10.0, "head/bias": 0.0}
    expected = theirs(
        lambda groups: torch.optim.SGD(groups, lr=1.0, momentum=0.9, weight_decay=0.1),
        GRADIENTS,
        lambda name: factors.get(name, 1.0),
    )
    got = ours(options, GRADIENTS)
    np.testing.assert_array_equal(got["head"]["bias"], draw(0)["head"]["bias"])
    assert_close(got, expected)


def test_decay_multipliers_are_parameter_groups_of_pytorch():
    options = OptimizerOptions(
        weight_decay=0.1, decay_multipliers=(("/norm", 0.0), ("^head/", 5.0))
    )
    factors = {"head/kernel": 5.0, "head/bias": 5.0, "stem/conv1/kernel": 1.0}

    def with_groups(groups):
        paths, _ = jax.tree_util.tree_flatten_with_path(draw(0))
        names = ["/".join(key.key for key in path) for path, _ in paths]
        for name, group in zip(names, groups, strict=True):
            group["weight_decay"] = 0.1 * factors.get(name, 0.0)
        return torch.optim.SGD(groups, lr=1.0, momentum=0.9)

    assert_close(ours(options, GRADIENTS), theirs(with_groups, GRADIENTS))
    wrong = OptimizerOptions(decay_multipliers=(("^ocr/", 5.0),))
    with pytest.raises(ConfigError, match=r"decay_multipliers: no .* '\^ocr/'"):
        ours(wrong, GRADIENTS[:1])


def test_a_pattern_that_matches_nothing_is_an_error():
    options = OptimizerOptions(multipliers=(("^head/", 10.0), ("^ocr/", 10.0)))
    with pytest.raises(ConfigError, match=r"no parameter matches '\^ocr/'"):
        ours(options, GRADIENTS[:1])


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_norms_and_biases_need_not_decay(name):
    options = OptimizerOptions(name, weight_decay=0.1, decay_norms=False)
    zeros = jax.tree.map(np.zeros_like, draw(0))
    got, start = ours(options, [zeros]), draw(0)
    for path in (("stem", "conv1", "kernel"), ("head", "kernel")):
        after, before = got, start
        for key in path:
            after, before = after[key], before[key]
        np.testing.assert_allclose(after, before * (1 - 0.1 * 0.1), rtol=1e-5)
    np.testing.assert_array_equal(got["head"]["bias"], start["head"]["bias"])
    jax.tree.map(
        np.testing.assert_array_equal, got["stem"]["norm1"], start["stem"]["norm1"]
    )


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_biases_may_learn_faster_and_not_decay(name):
    """As `bias_lr_mult=2, bias_decay_mult=0` of mmdetection, which spares norms.

    Source: `DefaultOptimWrapperConstructor` of mmengine.
    """
    options = OptimizerOptions(
        name,
        beta1=0.8,
        beta2=0.95,
        weight_decay=0.1,
        decay_biases=False,
        bias_rate=2.0,
    )
    make = {
        "sgd": functools.partial(torch.optim.SGD, momentum=0.9),
        "adamw": functools.partial(torch.optim.AdamW, betas=(0.8, 0.95)),
    }

    def with_groups(groups):
        paths, _ = jax.tree_util.tree_flatten_with_path(draw(0))
        names = ["/".join(key.key for key in path) for path, _ in paths]
        for each, group in zip(names, groups, strict=True):
            group["weight_decay"] = 0.0 if each == "head/bias" else 0.1
        return make[name](groups, lr=1.0)

    factors = {"head/bias": 2.0}
    expected = theirs(with_groups, GRADIENTS, lambda name: factors.get(name, 1.0))
    assert_close(ours(options, GRADIENTS), expected)


def test_one_update_of_a_bias_is_the_formula():
    options = OptimizerOptions(
        momentum=0.0,
        weight_decay=0.1,
        decay_biases=False,
        bias_rate=2.0,
        multipliers=(("^head/", 10.0),),
    )
    got, w, g = ours(options, GRADIENTS[:1]), draw(0), GRADIENTS[0]
    bias = w["head"]["bias"] - 0.1 * 2 * 10 * g["head"]["bias"]
    np.testing.assert_allclose(got["head"]["bias"], bias, rtol=1e-5)
    kernel = w["head"]["kernel"] * (1 - 0.1 * 10 * 0.1) - 0.1 * 10 * g["head"]["kernel"]
    np.testing.assert_allclose(got["head"]["kernel"], kernel, rtol=1e-4, atol=1e-5)
    norms = [tree["stem"]["norm1"]["bias"] for tree in (got, w, g)]
    np.testing.assert_allclose(
        norms[0], norms[1] - 0.1 * (norms[2] + 0.1 * norms[1]), rtol=1e-5
    )


def test_all_parameters_decay_by_default():
    zeros = jax.tree.map(np.zeros_like, draw(0))
    got = ours(OptimizerOptions(weight_decay=0.1), [zeros])
    assert_close(got, jax.tree.map(lambda w: w * (1 - 0.1 * 0.1), draw(0)))


def test_clipping_bounds_the_norm_of_all_gradients_before_the_decay():
    norm = optax.tree.norm(GRADIENTS[0])
    options = OptimizerOptions(momentum=0.0, weight_decay=0.1, clip_norm=0.5)
    expected = jax.tree.map(
        lambda w, g: w - 0.1 * (g * (0.5 / norm) + 0.1 * w), draw(0), GRADIENTS[0]
    )
    assert_close(ours(options, GRADIENTS[:1]), expected)
    # Below the bound nothing changes.
    wide = OptimizerOptions(clip_norm=float(norm) * 2)
    assert_close(ours(wide, GRADIENTS[:1]), ours(OptimizerOptions(), GRADIENTS[:1]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "lamb"}, "'lamb'.*sgd, adam, adamw"),
        ({"accumulate": 0}, "'optimizer.accumulate' must be at least 1"),
        ({"bias_rate": -1.0}, "'optimizer.bias_rate' must not be negative; got -1.0"),
    ],
)
def test_wrong_options_are_errors(options, message):
    with pytest.raises(ConfigError, match=message):
        OptimizerOptions(**options)
