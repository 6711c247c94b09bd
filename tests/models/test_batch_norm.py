"""Batch norm equals PyTorch's: results, statistics and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax.sharding import NamedSharding, PartitionSpec

from hrnet_jax import runtime
from hrnet_jax.errors import ConfigError
from hrnet_jax.models.batch_norm import (
    BatchNorm,
    NormOptions,
    normalize_batch,
    normalize_frozen,
    normalize_groups,
)
from hrnet_jax.models.layers import BasicBlock
from hrnet_jax.models.packing import pack, values_of
from tests.models.maps import nchw, nhwc, random_maps


def torch_norm(options: NormOptions, scale, bias) -> torch.nn.BatchNorm2d:
    norm = torch.nn.BatchNorm2d(
        len(scale), eps=options.epsilon, momentum=options.momentum
    )
    with torch.no_grad():
        norm.weight.copy_(torch.from_numpy(scale))
        norm.bias.copy_(torch.from_numpy(bias))
    return norm


@pytest.mark.parametrize("momentum", [0.1, 0.01])
def test_batch_norm_equals_pytorch_over_two_updates_and_in_evaluation(momentum):
    options = NormOptions(momentum=momentum)
    layer = BatchNorm(options)
    scale, bias = random_maps(6, seed=1) + 1, random_maps(6, seed=2)
    reference = torch_norm(options, scale, bias)
    params = {"scale": scale, "bias": bias}
    stats = {"mean": np.zeros(6, np.float32), "var": np.ones(6, np.float32)}
    for seed in (3, 4):
        x = 2 * random_maps(3, 5, 7, 6, seed=seed) + 1
        got, state = layer.apply(
            {"params": params, "batch_stats": stats}, x, True, mutable=["batch_stats"]
        )
        stats = state["batch_stats"]
        np.testing.assert_allclose(got, nhwc(reference(nchw(x))), atol=2e-5)
    np.testing.assert_allclose(stats["mean"], reference.running_mean, atol=1e-6)
    np.testing.assert_allclose(stats["var"], reference.running_var, rtol=1e-5)
    reference.eval()
    got = layer.apply({"params": params, "batch_stats": stats}, x, False)
    np.testing.assert_allclose(got, nhwc(reference(nchw(x))), atol=2e-5)


def test_running_variance_is_biased_on_request():
    x = random_maps(1, 2, 2, 3)
    variables = {
        "params": {"scale": np.ones(3), "bias": np.zeros(3)},
        "batch_stats": {"mean": np.zeros(3), "var": np.zeros(3)},
    }
    variances = {}
    for unbiased in (True, False):
        layer = BatchNorm(NormOptions(momentum=1.0, unbiased_variance=unbiased))
        _, state = layer.apply(variables, x, True, mutable=["batch_stats"])
        variances[unbiased] = state["batch_stats"]["var"]
    pixels = x.reshape(-1, 3)
    np.testing.assert_allclose(variances[True], pixels.var(0, ddof=1), rtol=1e-5)
    np.testing.assert_allclose(variances[False], pixels.var(0), rtol=1e-5)


def test_frozen_norm_uses_and_keeps_the_running_statistics_while_training():
    layer = BatchNorm(NormOptions(mode="frozen"))
    x = random_maps(2, 4, 4, 3)
    mean, var = random_maps(3, seed=5), np.array([0.5, 1.0, 2.0], np.float32)
    scale, bias = random_maps(3, seed=6), random_maps(3, seed=7)
    variables = {
        "params": {"scale": scale, "bias": bias},
        "batch_stats": {"mean": mean, "var": var},
    }
    got, state = layer.apply(variables, x, True, mutable=["batch_stats"])
    expected = (x - mean) / np.sqrt(var + 1e-5) * scale + bias
    np.testing.assert_allclose(got, expected, atol=1e-5)
    np.testing.assert_array_equal(state["batch_stats"]["mean"], mean)
    np.testing.assert_array_equal(state["batch_stats"]["var"], var)


def test_statistics_of_a_sharded_batch_are_global():
    mesh = runtime.make_mesh(data=8)
    layer = BatchNorm()
    # Every device sees another mean: statistics per device would all be wrong.
    x = random_maps(8, 3, 3, 4) + np.arange(8, dtype=np.float32).reshape(8, 1, 1, 1)
    variables = layer.init(jax.random.key(0), x, True)

    @jax.jit
    def apply(variables, x):
        return layer.apply(variables, x, True, mutable=["batch_stats"])

    sharded = jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))
    got, state = apply(variables, sharded)
    pixels = x.reshape(-1, 4).astype(np.float64)
    expected = (x - pixels.mean(0)) / np.sqrt(pixels.var(0) + 1e-5)
    np.testing.assert_allclose(got, expected, atol=2e-5)
    np.testing.assert_allclose(
        state["batch_stats"]["mean"], 0.1 * pixels.mean(0), atol=1e-5
    )
    np.testing.assert_allclose(
        state["batch_stats"]["var"], 0.9 + 0.1 * pixels.var(0, ddof=1), rtol=1e-5
    )


@pytest.mark.parametrize("pixels", [1, 2])
def test_groups_have_the_statistics_that_pytorch_has_of_each(pixels):
    options = NormOptions(groups=2)
    scale, bias = random_maps(6, seed=1) + 1, random_maps(6, seed=2)
    stats = {"mean": np.zeros(6, np.float32), "var": np.ones(6, np.float32)}
    variables = {"params": {"scale": scale, "bias": bias}, "batch_stats": stats}
    x = (
        random_maps(4, 5, 8, 6, seed=3)
        + np.arange(4, dtype=np.float32)[:, None, None, None]
    )
    got, state = BatchNorm(options).apply(
        variables, pack(jnp.asarray(x), pixels), True, mutable=["batch_stats"]
    )
    got = values_of(got).reshape(x.shape)
    means, variances = [], []
    for half in (slice(0, 2), slice(2, 4)):
        reference = torch_norm(NormOptions(), scale, bias)
        np.testing.assert_allclose(got[half], nhwc(reference(nchw(x[half]))), atol=2e-5)
        means.append(reference.running_mean.numpy())
        variances.append(reference.running_var.numpy())
    found = state["batch_stats"]
    np.testing.assert_allclose(found["mean"], np.mean(means, 0), atol=1e-6)
    np.testing.assert_allclose(found["var"], np.mean(variances, 0), rtol=1e-5)


def test_so_have_their_gradients():
    x, weights = random_maps(4, 3, 3, 5), random_maps(4, 3, 3, 5, seed=1)
    scale, bias = random_maps(5, seed=2), random_maps(5, seed=3)

    def loss(x, scale, bias, groups):
        return jnp.sum(normalize_groups(x, scale, bias, 1e-5, groups)[0] * weights)

    def by_hand(x, scale, bias):
        parts = [(x[:2], weights[:2]), (x[2:], weights[2:])]
        return sum(
            jnp.sum(normalize_batch(part, scale, bias, 1e-5)[0] * own)
            for part, own in parts
        )

    got = jax.grad(loss, (0, 1, 2))(x, scale, bias, 2)
    expected = jax.grad(by_hand, (0, 1, 2))(x, scale, bias)
    whole = jax.grad(loss, (0, 1, 2))(x, scale, bias, 1)
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    assert np.abs(got[0] - whole[0]).max() > 1e-2


@pytest.mark.parametrize(("groups", "exchanges"), [(1, True), (8, False), (16, False)])
def test_groups_of_whole_devices_need_no_exchange(groups, exchanges):
    mesh = runtime.make_mesh(data=8)
    divided = NamedSharding(mesh, PartitionSpec("data"))
    scale, bias = jnp.ones(5), jnp.zeros(5)

    def images_alone(x):
        def weighed(x):
            y = normalize_groups(x, scale, bias, 1e-5, groups)[0]
            return jnp.sum(y * jnp.cos(x), (1, 2, 3))

        y, pull = jax.vjp(weighed, x)
        return pull(y)[0]

    x = jax.ShapeDtypeStruct((16, 4, 4, 5), jnp.float32, sharding=divided)
    function = runtime.jit(images_alone, mesh, out_shardings=divided)
    text = function.lower(x).compile().as_text()
    assert ("all-reduce" in text) is exchanges
    assert "all-gather" not in text and "all-to-all" not in text


def test_a_batch_that_does_not_divide_into_groups_is_an_error():
    with pytest.raises(ConfigError, match="3 groups .model.norm_groups. .* 4 images"):
        normalize_groups(random_maps(4, 2, 2, 3), np.ones(3), np.zeros(3), 1e-5, 3)
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        NormOptions(groups=0)


def test_unknown_norm_mode_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ConfigError, match="'sync'.*batch, frozen"):
        NormOptions(mode="sync")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_of_the_batch_mode_equal_pytorch(dtype):
    x = (2 * random_maps(3, 5, 7, 6) + 1).astype(dtype)
    scale, bias = (random_maps(6, seed=s).astype(dtype) for s in (1, 2))
    weights = random_maps(3, 5, 7, 6, seed=3).astype(dtype)

    inputs = [torch.from_numpy(a).requires_grad_() for a in (x, scale, bias)]
    y = torch.nn.functional.batch_norm(
        inputs[0].permute(0, 3, 1, 2), None, None, *inputs[1:], True, eps=1e-5
    )
    (y.permute(0, 2, 3, 1) * torch.from_numpy(weights)).sum().backward()

    def loss(x, scale, bias):
        return jnp.sum(normalize_batch(x, scale, bias, 1e-5)[0] * weights)

    with jax.enable_x64(dtype is np.float64):
        got = jax.grad(loss, (0, 1, 2))(x, scale, bias)
    tolerance = 1e-12 if dtype is np.float64 else 5e-5
    for ours, theirs in zip(got, inputs, strict=True):
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, theirs.grad, atol=tolerance)


def test_bfloat16_maps_get_bfloat16_gradients_from_float32_sums():
    x = jnp.asarray(random_maps(4, 16, 16, 3), jnp.bfloat16) + 3
    scale, bias = random_maps(3, seed=1), random_maps(3, seed=2)
    weights = random_maps(4, 16, 16, 3, seed=3)

    def loss(x, scale, bias):
        return jnp.sum(normalize_batch(x, scale, bias, 1e-5)[0] * weights)

    got = jax.grad(loss, (0, 1, 2))(x, scale, bias)
    wide = jax.grad(loss, (0, 1, 2))(x.astype(jnp.float32), scale, bias)
    assert [leaf.dtype for leaf in got] == [jnp.bfloat16, jnp.float32, jnp.float32]
    for ours, expected in zip(got, wide, strict=True):
        rounding = 2.0**-8 if ours.dtype == jnp.bfloat16 else 1e-4
        np.testing.assert_allclose(ours, expected, rtol=rounding, atol=1e-4)


def test_no_gradient_flows_through_the_statistics():
    x = random_maps(2, 4, 4, 3)
    ones, zeros = np.ones(3, np.float32), np.zeros(3, np.float32)

    def loss(x):
        _, mean, var = normalize_batch(x, ones, zeros, 1e-5)
        return jnp.sum(mean + var)

    np.testing.assert_array_equal(jax.grad(loss)(x), np.zeros_like(x))


def frozen_arguments(dtype, pixels=1):
    """x, mean, var, scale and bias for norms of six channels."""
    x = (2 * random_maps(3, 5, 4, 6 * pixels) + 1).astype(dtype)
    mean, scale, bias = (random_maps(6, seed=seed) for seed in (1, 2, 3))
    var = random_maps(6, seed=4) ** 2 + 0.5
    return x, *(vector.astype(dtype) for vector in (mean, var, scale, bias))


def written_out(x, mean, var, scale, bias):
    """The norm as the publication has it, of positions with several pixels as well."""
    pixels = x.reshape(*x.shape[:-1], -1, scale.size)
    return ((pixels - mean) / jnp.sqrt(var + 1e-5) * scale + bias).reshape(x.shape)


@pytest.mark.parametrize("pixels", [1, 2])
@pytest.mark.parametrize("wanted", [(0, 1, 2, 3, 4), (0, 3, 4), (0, 4), (0,), (3, 4)])
def test_gradients_of_the_frozen_mode_are_those_of_the_formula(wanted, pixels):
    with jax.enable_x64():
        arguments = frozen_arguments(np.float64, pixels)
        weights = random_maps(*arguments[0].shape, seed=5).astype(np.float64)
        got, expected = (
            jax.value_and_grad(lambda *a, f=f: jnp.sum(f(*a) * weights), wanted)(
                *arguments
            )
            for f in (lambda *a: normalize_frozen(*a, 1e-5), written_out)
        )
    for ours, theirs in zip(
        jax.tree.leaves(got), jax.tree.leaves(expected), strict=True
    ):
        assert ours.dtype == np.float64
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_frozen_bfloat16_maps_get_gradients_from_float32_sums():
    x, *vectors = frozen_arguments(np.float32)
    x = jnp.asarray(x, jnp.bfloat16)
    weights = random_maps(*x.shape, seed=5)

    def gradients(function, x):
        def loss(x, scale, bias):
            return jnp.sum(function(x, *vectors[:2], scale, bias) * weights)

        return jax.grad(loss, (0, 1, 2))(x, *vectors[2:])

    got = gradients(lambda *a: normalize_frozen(*a, 1e-5), x)
    expected = gradients(written_out, x.astype(jnp.float32))
    assert [leaf.dtype for leaf in got] == [jnp.bfloat16, jnp.float32, jnp.float32]
    for ours, theirs in zip(got, expected, strict=True):
        rounding = 2.0**-8 if ours.dtype == jnp.bfloat16 else 1e-5
        np.testing.assert_allclose(ours, theirs, rtol=rounding, atol=1e-4)


def kept_bytes(mode: str, differentiated: str) -> int:
    """What the forward pass of a block in bfloat16 keeps, of arrays with axes."""
    block = BasicBlock(8, NormOptions(mode=mode), jnp.bfloat16)
    x = jax.ShapeDtypeStruct((2, 16, 16, 8), jnp.bfloat16)
    variables = jax.eval_shape(
        lambda k, x: block.init(k, x, True), jax.random.key(0), x
    )

    def kept(variables, x):
        def apply(params, x):
            return block.apply(
                variables | {"params": params}, x, True, mutable=["batch_stats"]
            )[0]

        if differentiated == "images":
            return jax.vjp(lambda x: apply(variables["params"], x), x)[1]
        return jax.vjp(apply, variables["params"], x)[1]

    leaves = jax.tree.leaves(jax.eval_shape(kept, variables, x))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in leaves if leaf.ndim == 4)


def test_frozen_norms_keep_no_more_than_the_others():
    # Two convolutions and two norms keep what they read, two ReLUs what they put
    # out, the first of which is what the second convolution reads. The kernels are
    # kept in bfloat16.
    maps = (2 + 2 + 2 - 1) * 2 * 16 * 16 * 8 * 2
    kernels = 2 * 3 * 3 * 8 * 8 * 2
    assert kept_bytes("frozen", "all") == kept_bytes("batch", "all") == maps + kernels
    # Neither convolutions nor frozen norms need what they read, if only images are
    # differentiated.
    assert kept_bytes("frozen", "images") == 2 * 2 * 16 * 16 * 8 * 2 + kernels
