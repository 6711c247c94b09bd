"""Packed networks compute what unpacked ones do, with the same parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.models.batch_norm import NormOptions
from hrnet_jax.models.convolution import convolve
from hrnet_jax.models.exchange import Exchange
from hrnet_jax.models.initialization import initial_variables, variable_shapes
from hrnet_jax.models.layers import BasicBlock
from hrnet_jax.models.packing import (
    convolve_packed,
    pack,
    pixels_per_position,
    unpack,
    upsample_columns,
)
from hrnet_jax.models.resize import resize
from hrnet_jax.models.variants import VARIANTS, Variant
from hrnet_jax.registry import create_model


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_a_position_holds_neighbouring_pixels():
    x = np.arange(2 * 1 * 4 * 3).reshape(2, 1, 4, 3)
    packed = pack(x, 2)
    assert packed.shape == (2, 1, 2, 6)
    np.testing.assert_array_equal(packed[1, 0, 1], [18, 19, 20, 21, 22, 23])
    np.testing.assert_array_equal(unpack(packed, 2), x)


@pytest.mark.parametrize(
    ("width", "channels", "lanes", "expected"),
    [
        (256, 18, 128, (4, 2, 1, 1)),  # 4 * 18 = 72, eight would be 144
        (256, 32, 128, (4, 2, 1, 1)),
        (256, 48, 128, (2, 1, 1, 1)),
        (256, 16, 128, (8, 4, 2, 1)),
        (30, 18, 128, (2, 1, 1, 1)),  # four do not divide 30
        (31, 18, 128, (1, 1, 1, 1)),
        (256, 18, 0, (1, 1, 1, 1)),
        (256, 200, 128, (1, 1, 1, 1)),
    ],
)
def test_as_many_pixels_as_fit_the_lanes(width, channels, lanes, expected):
    assert pixels_per_position(width, channels, lanes) == expected


def test_symbolic_widths_are_not_packed():
    (width,) = jax.export.symbolic_shape("w")
    assert pixels_per_position(width, 18, 128) == (1, 1, 1, 1)


@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("pixels", [1, 2, 4])
def test_convolution_of_positions_is_that_of_pixels(kernel_size, stride, pixels):
    with jax.enable_x64():
        x = normal(2, 6, 16, 5)
        kernel = jnp.asarray(normal(kernel_size, kernel_size, 5, 7, seed=1))
        packed = convolve_packed(pack(x, stride * pixels), kernel, stride, pixels)
        expected = convolve(jnp.asarray(x), kernel, stride)
        np.testing.assert_allclose(unpack(packed, pixels), expected, atol=1e-13)


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize(("before", "after"), [(1, 1), (1, 2), (1, 4), (2, 4), (4, 8)])
def test_upsampled_columns_are_those_of_resize(factor, before, after):
    if before * factor < after:
        pytest.skip("a position would need pixels of several")
    with jax.enable_x64():
        x = jnp.asarray(normal(2, 3, 8, 5))
        packed = upsample_columns(pack(x, before), factor, before, after)
        expected = resize(x, (3, 8 * factor))
        np.testing.assert_allclose(unpack(packed, after), expected, atol=1e-13)


@pytest.mark.parametrize("mode", ["batch", "frozen", "folded"])
def test_block_of_positions_is_that_of_pixels(mode):
    norm = NormOptions(mode=mode)
    plain, packed = (
        BasicBlock(5, norm, jnp.float64, pixels=pixels) for pixels in (1, 4)
    )
    with jax.enable_x64():
        x = jnp.asarray(normal(2, 4, 8, 5))
        variables = plain.init(jax.random.key(0), x, False)
        expected, state = plain.apply(variables, x, True, mutable=["batch_stats"])
        result, packed_state = packed.apply(
            variables, pack(x, 4), True, mutable=["batch_stats"]
        )
        np.testing.assert_allclose(unpack(result, 4), expected, atol=1e-12)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6),
            packed_state,
            state,
        )


@pytest.mark.parametrize(
    ("upsample", "width"),
    [
        pytest.param("bilinear", 32, marks=pytest.mark.slow),
        # The lowest branch has 3 pixels, no quarter of 10.
        pytest.param("bilinear", 20, marks=pytest.mark.slow),
        pytest.param("align_corners", 32, marks=pytest.mark.slow),
        ("nearest", 32),
        ("bilinear_by_factor", 20),
    ],
)
def test_exchange_between_positions_is_that_between_pixels(upsample, width):
    pixels = pixels_per_position(width, 4, 16)
    assert pixels == (4, 2, 1, 1)
    widths = [-(-width // 2**branch) for branch in range(4)]
    with jax.enable_x64():
        maps = tuple(
            jnp.asarray(normal(1, -(-16 // 2**b), w, 4 * 2**b, seed=b))
            for b, w in enumerate(widths)
        )
        plain = Exchange(4, upsample, NormOptions(), jnp.float64)
        variables = jax.jit(plain.init, static_argnums=2)(
            jax.random.key(0), maps, False
        )
        expected = jax.jit(plain.apply, static_argnums=2)(variables, maps, False)
        packed = plain.clone(pixels=pixels)
        results = jax.jit(packed.apply, static_argnums=2)(
            variables, tuple(map(pack, maps, pixels)), False
        )
        for result, p, want in zip(results, pixels, expected, strict=True):
            np.testing.assert_allclose(unpack(result, p), want, atol=1e-12)


def test_parameters_do_not_depend_on_the_lanes():
    plain, packed = (create_model("segmentation/w18", lanes=n) for n in (0, 128))
    assert variable_shapes(plain) == variable_shapes(packed)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["segmentation", "classification"])
def test_networks_and_their_gradients_are_equal(family, monkeypatch):
    smallest = Variant(4, stage1_blocks=1, modules=(1, 1, 1), blocks=1)
    monkeypatch.setitem(VARIANTS, "smallest", smallest)
    name = f"{family}/smallest"

    def apply(lanes):
        model = create_model(name, lanes=lanes, dtype=jnp.float64)

        def loss(params):
            outputs, state = model.apply(
                {**variables, "params": params}, images, train=True, mutable=True
            )
            return jnp.sum(jnp.sin(outputs)), (outputs, state["batch_stats"])

        return jax.value_and_grad(loss, has_aux=True)(variables["params"])

    with jax.enable_x64():
        model = create_model(name)
        variables = jax.tree.map(
            lambda leaf: jnp.asarray(leaf, jnp.float64), initial_variables(model)
        )
        images = jnp.asarray(normal(2, 64, 96, 3))
        (_, (expected, state)), grads = apply(0)
        (_, (outputs, packed_state)), packed_grads = apply(32)
    np.testing.assert_allclose(outputs, expected, atol=1e-9)
    for ours, theirs in ((packed_state, state), (packed_grads, grads)):
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-7 * max(1, np.abs(b).max()))
