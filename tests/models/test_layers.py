"""Convolution, ReLU and projection are the formulas of PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from hrnet_jax.errors import ConfigError
from hrnet_jax.models.layers import Conv, ConvNorm, relu
from hrnet_jax.models.normalization import normalize_images
from hrnet_jax.models.representations import (
    Project,
    concatenate,
    pool,
    upsample_between,
)
from tests.models.maps import nchw, nhwc, random_maps


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
    got = Project(10, upsample).apply(
        {"params": {"kernel": kernel, "bias": bias}}, tuple(map(jnp.asarray, branches))
    )
    np.testing.assert_allclose(got, expected + bias, atol=1e-4)


def test_images_are_normalised_with_the_constants_of_imagenet():
    images = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3) * 3
    expected = images / 255.0 - np.array([0.485, 0.456, 0.406])
    expected /= np.array([0.229, 0.224, 0.225])
    got = normalize_images(jnp.asarray(images))
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, expected, atol=2e-6)


def test_relu_keeps_nan_and_has_no_gradient_at_zero():
    x = jnp.array([-2.0, -0.0, 0.0, 3.0, jnp.nan])
    y, pull = jax.vjp(relu, x)
    np.testing.assert_array_equal(y, [0, 0, 0, 3, np.nan])
    np.testing.assert_array_equal(pull(jnp.full(5, 7.0))[0], [0, 0, 0, 7, 7])


@pytest.mark.parametrize("method", ["average", "max"])
@pytest.mark.parametrize("side", [1, 2, 4])
def test_pooling_is_that_of_pytorch_and_drops_incomplete_windows(method, side):
    x = random_maps(2, 11, 6, 3)
    kind = {"average": torch.nn.functional.avg_pool2d}.get(
        method, torch.nn.functional.max_pool2d
    )
    expected = nhwc(kind(nchw(x), kernel_size=side, stride=side))
    got = pool(jnp.asarray(x), side, method)
    assert got.shape == (2, 11 // side, 6 // side, 3)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_pooling_says_what_it_needs():
    x = jnp.zeros((1, 8, 7, 2))
    with pytest.raises(
        ConfigError, match="unknown pooling 'median'; expected.*average"
    ):
        pool(x, 2, "median")
    with pytest.raises(ConfigError, match="a map of 8x7 has no window of 8x8.* 32 pix"):
        pool(x, 8, "max")


def test_concatenation_joins_all_resolutions_at_the_highest():
    maps = (random_maps(1, 8, 6, 2), random_maps(1, 4, 3, 3, seed=1))
    up = torch.nn.functional.interpolate(nchw(maps[1]), size=(8, 6), mode="bilinear")
    got = concatenate(tuple(map(jnp.asarray, maps)), "bilinear")
    np.testing.assert_allclose(got, np.concatenate([maps[0], nhwc(up)], -1), atol=1e-6)


@pytest.mark.parametrize(
    ("exchange", "head"),
    [
        ("nearest", "bilinear"),
        ("bilinear", "bilinear"),
        ("bilinear_by_factor", "bilinear"),
        ("align_corners", "align_corners"),
    ],
)
def test_heads_never_upsample_by_copying(exchange, head):
    assert upsample_between(exchange) == head
