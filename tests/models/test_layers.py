"""Convolution and batch norm equal PyTorch's, in training too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax.sharding import NamedSharding, PartitionSpec

from hrnet_jax import runtime
from hrnet_jax.errors import ConfigError
from hrnet_jax.models.layers import BatchNorm, Conv, ConvNorm, NormOptions
from hrnet_jax.models.normalization import normalize_images
from hrnet_jax.models.representations import ProjectV2


def nchw(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


def nhwc(x: torch.Tensor) -> np.ndarray:
    return x.detach().numpy().transpose(0, 2, 3, 1)


def random_maps(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(8, 12), (9, 13), (8, 13), (1, 2)])
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_convolution_equals_pytorch(kernel_size, size, stride):
    x = random_maps(2, *size, 5)
    kernel = random_maps(kernel_size, kernel_size, 5, 4, seed=1)
    bias = random_maps(4, seed=2)
    conv = Conv(4, kernel_size, stride, use_bias=True)
    got = conv.apply({"params": {"kernel": kernel, "bias": bias}}, x)
    expected = torch.nn.functional.conv2d(
        nchw(x),
        torch.from_numpy(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))),
        torch.from_numpy(bias),
        stride=stride,
        padding=kernel_size // 2,
    )
    assert got.shape[1:3] == tuple(-(-side // stride) for side in size)
    np.testing.assert_allclose(got, nhwc(expected), atol=2e-5)


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


def test_bfloat16_layers_keep_float32_parameters_and_statistics():
    layer = ConvNorm(4, stride=2, dtype=jnp.bfloat16)
    x = random_maps(2, 8, 8, 3)
    variables = layer.init(jax.random.key(0), x, True)
    y, state = layer.apply(variables, x, True, mutable=["batch_stats"])
    assert y.dtype == jnp.bfloat16
    for leaf in jax.tree.leaves((variables, state)):
        assert leaf.dtype == jnp.float32
    wide, _ = ConvNorm(4, stride=2).apply(variables, x, True, mutable=["batch_stats"])
    np.testing.assert_allclose(y.astype(np.float32), wide, atol=5e-2)


@pytest.mark.parametrize("upsample", ["bilinear", "align_corners"])
def test_projection_equals_a_1x1_convolution_of_the_concatenation(upsample):
    sizes, widths = [(9, 13), (5, 7), (3, 4), (2, 2)], [4, 8, 16, 32]
    branches = [
        random_maps(2, *size, width, seed=width)
        for size, width in zip(sizes, widths, strict=True)
    ]
    kernel, bias = random_maps(1, 1, sum(widths), 10, seed=1), random_maps(10, seed=2)
    full = [
        torch.nn.functional.interpolate(
            nchw(x),
            size=sizes[0],
            mode="bilinear",
            align_corners=upsample == "align_corners",
        )
        for x in branches
    ]
    expected = np.einsum(
        "bchw,cf->bhwf", torch.cat(full, 1).double().numpy(), kernel[0, 0]
    )
    got = ProjectV2(10, upsample).apply(
        {"params": {"kernel": kernel, "bias": bias}}, tuple(map(jnp.asarray, branches))
    )
    np.testing.assert_allclose(got, expected + bias, atol=1e-4)


def test_unknown_norm_mode_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ConfigError, match="'sync'.*batch, frozen"):
        NormOptions(mode="sync")


def test_images_are_normalised_with_the_constants_of_imagenet():
    images = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3) * 3
    expected = images / 255.0 - np.array([0.485, 0.456, 0.406])
    expected /= np.array([0.229, 0.224, 0.225])
    got = normalize_images(jnp.asarray(images))
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, expected, atol=2e-6)
