"""Gradients of convolutions on a CPU equal XLA's, whatever way they are computed."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax import runtime
from hrnet_jax.models import convolution
from hrnet_jax.models.convolution import convolve

# Shape of the map, features. Results have fewer pixels than channels, more, and more
# than `few`, at stride 2 as well.
SMALL, MIDDLE, LARGE = ((1, 3, 2, 9), 10), ((2, 5, 4, 3), 5), ((2, 11, 9, 3), 4)
FEW_PIXELS = 48


@pytest.fixture
def few(monkeypatch):
    """Maps that a test can afford count as large."""
    monkeypatch.setattr(convolution, "_LARGE", FEW_PIXELS)


def plain(x, kernel, stride):
    pad = len(kernel) // 2
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        ((pad, pad), (pad, pad)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def draw(shape, features, size):
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(size, size, shape[-1], features))
    return rng.normal(size=shape), kernel


def gradients(function, x, kernel, stride):
    y, pull = jax.vjp(functools.partial(function, stride=stride), x, kernel)
    weights = np.random.default_rng(1).normal(size=y.shape)
    return y, *pull(jnp.asarray(weights, y.dtype))


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    "shape, features",
    [
        SMALL,
        pytest.param(*MIDDLE, marks=pytest.mark.slow),
        LARGE,
        pytest.param((2, 8, 10, 3), 4, marks=pytest.mark.slow),  # even sides
        # fewer features than channels, and so few that the input stays where it is
        ((2, 5, 4, 10), 3),
        pytest.param((1, 5, 4, 9), 3, marks=pytest.mark.slow),
        pytest.param((1, 1, 1, 2), 6, marks=pytest.mark.slow),  # one pixel
        pytest.param((1, 1, 99, 2), 3, marks=pytest.mark.slow),  # one row
        pytest.param((1, 99, 1, 2), 3, marks=pytest.mark.slow),  # one column
        ((1, 48, 48, 32), 32),  # a sum so long that it is halved
    ],
)
def test_value_and_gradients_are_those_of_a_convolution(
    few, shape, features, stride, size
):
    with jax.enable_x64():
        x, kernel = draw(shape, features, size)
        got = gradients(convolve, x, kernel, stride)
        expected = gradients(plain, x, kernel, stride)
        for ours, theirs in zip(got, expected, strict=True):
            assert ours.dtype == theirs.dtype
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def primitives(shape, features, stride, size=3, dtype=jnp.float32):
    """Names of the operations of both gradients."""
    x, kernel = (jnp.asarray(a, dtype) for a in draw(shape, features, size))
    traced = jax.make_jaxpr(lambda x, k: gradients(convolve, x, k, stride)[1:])
    names = [equation.primitive.name for equation in traced(x, kernel).jaxpr.eqns]
    return {name: names.count(name) for name in ("conv_general_dilated", "dot_general")}


@pytest.mark.parametrize(
    "shape, features, stride, size, convolutions, products",
    [
        # Convolutions include the forward one.
        (*SMALL, 1, 3, 1, 2),
        (*SMALL, 2, 3, 1, 2),
        (*MIDDLE, 1, 3, 2, 1),
        (*LARGE, 1, 3, 2, 1),
        (*MIDDLE, 2, 3, 3, 0),
        (*LARGE, 2, 3, 5, 9),
        (*LARGE, 1, 1, 0, 3),
    ],
)
def test_what_each_size_is_computed_by(
    few, shape, features, stride, size, convolutions, products
):
    got = primitives(shape, features, stride, size)
    assert got == {"conv_general_dilated": convolutions, "dot_general": products}


@pytest.mark.parametrize("channels, made, avoided", [(8, 24, 27), (10, 27, 30)])
def test_what_is_wide_is_not_moved(channels, made, avoided):
    # Three copies of the input, or nine of the gradient's 3 features.
    x, kernel = (jnp.asarray(a, jnp.float32) for a in draw((2, 5, 4, channels), 3, 3))
    traced = jax.make_jaxpr(lambda x, k: gradients(convolve, x, k, 1)[2])(x, kernel)
    assert f"f32[2,5,4,{made}]" in str(traced)
    assert f"f32[2,5,4,{avoided}]" not in str(traced)


@pytest.mark.parametrize(
    "pixels, channels, features, is_halved",
    [
        (2304, 96, 96, True),
        (2303, 96, 96, False),  # odd
        (2302, 96, 96, False),  # too short
        (9216, 95, 96, False),  # too narrow
        (6144, 64, 256, True),
        (6142, 256, 64, False),
    ],
)
def test_long_sums_over_few_channels_are_two(pixels, channels, features, is_halved):
    x, g = (jnp.ones((pixels, count)) for count in (channels, features))
    jaxpr = str(jax.make_jaxpr(convolution._product)(x, g))
    assert (f"f32[2,{pixels // 2},{channels}]" in jaxpr) == is_halved
    assert (convolution._product(x, g) == pixels).all()


def test_reduced_precision_keeps_the_sums_of_the_compiler(few):
    got = primitives(*LARGE, 1, dtype=jnp.bfloat16)
    assert got == {"conv_general_dilated": 3, "dot_general": 0}


def test_other_devices_keep_the_gradients_of_their_compiler(few, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    got = primitives(*LARGE, 1)
    assert got == {"conv_general_dilated": 3, "dot_general": 0}


@pytest.mark.parametrize("data, space", [(1, 1), (2, 1), (1, 2)])
def test_several_devices_keep_the_gradients_of_their_compiler(few, data, space):
    x, kernel = (jnp.asarray(a, jnp.float32) for a in draw((2, 8, 8, 3), 4, 3))
    mesh = runtime.make_mesh(data, space)

    def loss(kernel):
        return jnp.sum(convolve(x, kernel) ** 2)

    traced = runtime.jit(jax.grad(loss), mesh).trace(kernel)
    has_products = "dot_general" in str(traced.jaxpr)
    assert has_products == (mesh.size == 1)


def test_a_gradient_of_a_gradient(few):
    with jax.enable_x64():
        for shape, features in (SMALL, LARGE):
            x, kernel = draw(shape, features, 3)

            def penalty(function, x, kernel=kernel):
                inner = jax.grad(lambda x: jnp.sum(jnp.sin(function(x, kernel, 2))))
                return jnp.sum(inner(x) ** 2)

            got, expected = (
                jax.grad(functools.partial(penalty, function))(x)
                for function in (convolve, plain)
            )
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)
