"""Packed networks compute what unpacked ones do, with the same parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from hrnet_jax.models.batch_norm import NormOptions
from hrnet_jax.models.convolution import convolve
from hrnet_jax.models.exchange import Exchange
from hrnet_jax.models.hrnet import Stage, Stage1
from hrnet_jax.models.initialization import initial_variables, variable_shapes
from hrnet_jax.models.layers import BasicBlock
from hrnet_jax.models.packing import (
    PackedMap,
    convolve_map,
    pack,
    pack_width,
    pack_width_of,
    unpack,
    upsample_columns,
)
from hrnet_jax.models.resize import resize
from hrnet_jax.models.variants import VARIANTS, Variant
from hrnet_jax.registry import create_model


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def some_variables(module, maps):
    """Variables of a module for these maps, all positive as variances are."""
    shapes = jax.eval_shape(
        lambda: module.init(jax.random.key(0), maps, False),
    )
    return jax.tree.map(lambda leaf: np.abs(normal(*leaf.shape)) + 0.5, shapes)


def test_a_position_holds_neighbouring_pixels():
    x = np.arange(2 * 1 * 4 * 3).reshape(2, 1, 4, 3)
    packed = pack(x, 2)
    assert packed.values.shape == (2, 1, 2, 6)
    assert (packed.shape, packed.pack_width, packed.dtype) == (x.shape, 2, x.dtype)
    np.testing.assert_array_equal(packed.values[1, 0, 1], [18, 19, 20, 21, 22, 23])
    np.testing.assert_array_equal(unpack(packed), x)
    np.testing.assert_array_equal(unpack(pack(packed, 4)), x)
    assert pack(packed, 2) is packed
    assert pack(x, 1) is x


def test_maps_are_added_pixel_by_pixel():
    x, y, vector = normal(1, 2, 4, 3), normal(1, 2, 4, 3, seed=1), normal(3, seed=2)
    for other in (y, vector):
        packed = pack(x, 2) + (pack(y, 2) if other is y else other)
        np.testing.assert_allclose(unpack(packed), x + other, rtol=1e-6)
    with pytest.raises(ValueError, match="maps of 2 and 4 pixels a position cannot"):
        pack(x, 2) + pack(y, 4)
    np.testing.assert_allclose(unpack(vector + pack(x, 2)), x + vector, rtol=1e-6)
    for add in (lambda: pack(x, 2) + y, lambda: y + pack(x, 2)):
        with pytest.raises(ValueError, match=r"array of shape \(1.*\) cannot be added"):
            add()


def test_a_compiled_function_takes_and_returns_packed_maps():
    x = pack(jnp.ones((1, 2, 4, 3)), 2)
    doubled = jax.jit(lambda x: x + x)(x)
    assert isinstance(doubled, PackedMap) and doubled.pack_width == 2
    # Maps packed in another way are other arguments, even if equal in memory.
    with pytest.raises(ValueError, match="different pytree metadata"):
        jax.tree.map(jnp.add, doubled, PackedMap(x.values, 1))


@pytest.mark.parametrize(
    ("width", "channels", "lanes", "expected"),
    [
        (256, 18, 128, 4),  # 4 * 18 = 72, eight would be 144
        (256, 32, 128, 4),
        (256, 48, 128, 2),
        (256, 16, 128, 8),
        (30, 18, 128, 2),  # four do not divide 30
        (31, 18, 128, 1),
        (256, 18, 0, 1),
        (256, 200, 128, 1),
    ],
)
def test_as_many_pixels_as_fit_the_lanes(width, channels, lanes, expected):
    assert pack_width(width, channels, lanes) == expected


def test_symbolic_widths_are_not_packed():
    (width,) = jax.export.symbolic_shape("w")
    assert pack_width(width, 18, 128) == 1


@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("pixels", [1, 2, 4])
def test_convolution_of_positions_is_that_of_pixels(kernel_size, stride, pixels):
    with jax.enable_x64():
        x = normal(2, 6, 16, 5)
        kernel = jnp.asarray(normal(kernel_size, kernel_size, 5, 7, seed=1))
        packed = convolve_map(pack(x, stride * pixels), kernel, stride)
        expected = convolve(jnp.asarray(x), kernel, stride)
        assert pack_width_of(packed) == pixels
        np.testing.assert_allclose(unpack(packed), expected, atol=1e-13)


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize(("before", "after"), [(1, 1), (1, 2), (1, 4), (2, 4), (4, 8)])
def test_upsampled_columns_are_those_of_resize(factor, before, after):
    if before * factor < after:
        pytest.skip("a position would need pixels of several")
    with jax.enable_x64():
        x = jnp.asarray(normal(2, 3, 8, 5))
        positions = x.reshape(2, 3, 8 // before, before * 5)
        packed = upsample_columns(positions, factor, before, after)
        expected = resize(x, (3, 8 * factor))
        np.testing.assert_allclose(packed.reshape(expected.shape), expected, atol=1e-13)


@pytest.mark.parametrize("mode", ["batch", "frozen", "folded"])
def test_block_of_positions_is_that_of_pixels(mode):
    block = BasicBlock(5, NormOptions(mode=mode), jnp.float64)
    with jax.enable_x64():
        x = jnp.asarray(normal(2, 4, 8, 5))
        variables = some_variables(block, x)

        @jax.jit
        def apply(maps):
            return block.apply(variables, maps, True, mutable=["batch_stats"])

        (expected, state), (result, packed_state) = apply(x), apply(pack(x, 4))
        assert result.pack_width == 4
        np.testing.assert_allclose(unpack(result), expected, atol=1e-12)
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
    pixels = (4, 2, 1, 1)
    widths = [-(-width // 2**branch) for branch in range(4)]
    with jax.enable_x64():
        maps = tuple(
            jnp.asarray(normal(1, -(-16 // 2**b), w, 4 * 2**b, seed=b))
            for b, w in enumerate(widths)
        )
        plain = Exchange(4, upsample, NormOptions(), jnp.float64)
        variables = some_variables(plain, maps)
        apply = jax.jit(plain.apply, static_argnums=2)
        expected = apply(variables, maps, False)
        results = apply(variables, tuple(map(pack, maps, pixels)), False)
        assert tuple(map(pack_width_of, results)) == pixels
        for result, want in zip(results, expected, strict=True):
            np.testing.assert_allclose(unpack(result), want, atol=1e-12)


def test_parameters_do_not_depend_on_the_lanes():
    plain, packed = (create_model("segmentation/w18", lanes=n) for n in (0, 128))
    assert variable_shapes(plain) == variable_shapes(packed)


@pytest.mark.parametrize(
    ("variant", "image", "stage1", "expected"),
    [
        ("w18", (64, 128), 2, (4, 2, 1, 1)),
        ("w18_small_v1", (64, 128), 2, (8, 4, 2, 1)),
        ("w48", (64, 128), 2, (2, 1, 1, 1)),
        ("w18", (64, 120), 2, (2, 1, 1, 1)),  # rows of 30 pixels
        ("w18", (64, 98), 1, (1, 1, 1, 1)),  # rows of 25 pixels
    ],
)
def test_the_body_is_packed_and_nothing_else(variant, image, stage1, expected):
    seen = {}

    def record(call, arguments, keywords, context):
        is_part = isinstance(context.module, Stage1 | Stage)
        if is_part and context.method_name == "__call__":
            maps = jax.tree.leaves(arguments[0], is_leaf=is_map)
            seen[context.module.name] = tuple(map(pack_width_of, maps))
        return call(*arguments, **keywords)

    def is_map(x):
        return isinstance(x, PackedMap)

    model = create_model(f"segmentation/{variant}", lanes=128)
    images = jax.ShapeDtypeStruct((1, *image, 3), jnp.float32)
    with nn.intercept_methods(record):
        outputs, state = jax.eval_shape(
            lambda v, x: model.apply(v, x, mutable=["intermediates"]),
            variable_shapes(model),
            images,
        )
    assert seen == {
        "stage1": (stage1,),
        **{f"stage{stage}": expected[:stage] for stage in (2, 3, 4)},
    }
    leaves = jax.tree.leaves((outputs, state), is_leaf=is_map)
    assert not any(map(is_map, leaves))


@pytest.mark.slow
@pytest.mark.parametrize("family", ["segmentation", "classification"])
def test_networks_and_their_gradients_are_equal(family, monkeypatch, unoptimized):
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
