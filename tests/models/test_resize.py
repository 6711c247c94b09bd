"""Resizing equals PyTorch's `interpolate` and a formula written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from hrnet_jax import runtime
from hrnet_jax.costs.collectives import collectives
from hrnet_jax.errors import ConfigError
from hrnet_jax.models.resize import (
    METHODS,
    interpolation_matrix,
    resize,
)
from hrnet_jax.runtime.whole_operations import SUBSTITUTE
from tests.tiers import fast_are

# (height, width) before and after: up, down, odd, mixed, to and from one pixel.
SIZES = [
    ((4, 6), (8, 12)),
    ((4, 6), (32, 48)),
    ((5, 7), (9, 13)),
    ((17, 25), (33, 49)),
    ((15, 15), (119, 119)),
    ((9, 13), (5, 7)),
    ((12, 8), (6, 4)),
    ((7, 5), (3, 11)),
    ((1, 3), (4, 1)),
]
TORCH_MODES = {
    "bilinear": {"mode": "bilinear", "align_corners": False},
    "align_corners": {"mode": "bilinear", "align_corners": True},
    "nearest": {"mode": "nearest"},
}


def random_maps(size, channels=3):
    rng = np.random.default_rng(7)
    return rng.standard_normal((2, *size, channels)).astype(np.float32)


def source_position(index: int, n: int, m: int, align_corners: bool) -> float:
    """Where output pixel `index` of m reads on an axis of n pixels."""
    if align_corners:
        return index * (n - 1) / (m - 1) if m > 1 else 0.0
    return max((index + 0.5) * n / m - 0.5, 0.0)


def bilinear_by_hand(x: np.ndarray, size, align_corners: bool) -> np.ndarray:
    """Pixel by pixel from the four neighbours."""
    height, width = x.shape[1:3]
    result = np.zeros((x.shape[0], *size, x.shape[3]))
    for i in range(size[0]):
        y = source_position(i, height, size[0], align_corners)
        top, bottom = int(y), min(int(y) + 1, height - 1)
        for j in range(size[1]):
            z = source_position(j, width, size[1], align_corners)
            left, right = int(z), min(int(z) + 1, width - 1)
            a, b = y - top, z - left
            result[:, i, j] = (1 - a) * (
                (1 - b) * x[:, top, left] + b * x[:, top, right]
            ) + a * ((1 - b) * x[:, bottom, left] + b * x[:, bottom, right])
    return result


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("before", "after"), SIZES)
def test_equals_interpolate_of_pytorch(method, before, after):
    x = random_maps(before)
    expected = torch.nn.functional.interpolate(
        # Double: PyTorch's single-precision source positions round more than ours.
        torch.from_numpy(x.transpose(0, 3, 1, 2)).double(),
        size=after,
        **TORCH_MODES[method],
    )
    got = resize(jnp.asarray(x), after, method)
    np.testing.assert_allclose(
        got, expected.numpy().transpose(0, 2, 3, 1), atol=3e-6, rtol=0
    )


@pytest.mark.parametrize("method", ["bilinear", "align_corners"])
@pytest.mark.parametrize(("before", "after"), SIZES)
def test_bilinear_equals_the_formula_of_four_neighbours(method, before, after):
    x = random_maps(before)
    expected = bilinear_by_hand(x.astype(np.float64), after, method == "align_corners")
    np.testing.assert_allclose(
        resize(jnp.asarray(x), after, method), expected, atol=3e-6, rtol=0
    )


@pytest.mark.parametrize(("before", "after"), SIZES)
def test_nearest_copies_the_pixel_at_the_floor(before, after):
    x = random_maps(before)
    rows = [i * before[0] // after[0] for i in range(after[0])]
    columns = [j * before[1] // after[1] for j in range(after[1])]
    np.testing.assert_array_equal(
        resize(jnp.asarray(x), after, "nearest"), x[:, rows][:, :, columns]
    )


def test_aligned_corners_keep_the_corner_pixels():
    x = random_maps((5, 9))
    y = resize(jnp.asarray(x), (13, 17), "align_corners")
    np.testing.assert_allclose(y[:, ::12, ::16], x[:, ::4, ::8], atol=1e-6)


def test_shrinking_does_not_antialias():
    x = np.zeros((1, 4, 4, 1), np.float32)
    x[0, 0, 0, 0] = 1.0  # Half-pixel centres at a quarter of 4 read rows 1 and 2.
    assert resize(jnp.asarray(x), (1, 1), "bilinear").item() == 0.0


@pytest.mark.parametrize("align_corners", [False, True])
def test_rows_of_the_matrix_sum_to_one(align_corners):
    for n, m in [(4, 8), (7, 3), (1, 5), (5, 1), (119, 473)]:
        matrix = interpolation_matrix(n, m, align_corners)
        assert matrix.shape == (m, n)
        np.testing.assert_allclose(matrix.sum(1), 1.0, atol=1e-12)
        assert (matrix >= 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_keeps_the_type_and_the_identity(method):
    x = jnp.asarray(random_maps((6, 4)), jnp.bfloat16)
    assert resize(x, (6, 4), method) is x
    assert resize(x, (12, 8), method).dtype == jnp.bfloat16


def test_backward_pass_needs_no_scatter():
    def loss(x):
        return jnp.sum(jnp.square(resize(x, (8, 12), "bilinear")))

    assert "scatter" not in str(jax.make_jaxpr(jax.grad(loss))(jnp.ones((1, 4, 6, 2))))


def test_unknown_method_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ConfigError, match="'cubic'.*bilinear, align_corners, nearest"):
        resize(jnp.ones((1, 2, 2, 1)), (4, 4), "cubic")


@pytest.mark.parametrize("size", [(128, 256), (256, 64), (192, 130)])
def test_long_sides_equal_the_product_with_the_matrices(size):
    x = np.random.default_rng(0).normal(size=(2, 64, 128, 3)).astype(np.float32)
    rows = interpolation_matrix(64, size[0], False)
    columns = interpolation_matrix(128, size[1], False)
    expected = np.einsum("oh,pw,bhwc->bopc", rows, columns, x, optimize=True)
    np.testing.assert_allclose(resize(x, size), expected, atol=1e-5)


def divided_rows(function):
    """Compiles a function of maps for rows divided over eight devices.

    Returns:
        The compiler and what puts maps onto the devices.
    """
    mesh = runtime.make_mesh(data=1, space=8)
    sharding = runtime.batch_sharding(mesh, 4)

    def compiled(x):
        x = jax.device_put(x, sharding)
        return runtime.jit(function, mesh, out_shardings=sharding).lower(x).compile()

    return compiled, lambda x: jax.device_put(x, sharding)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("factor", [2, 3, 8])
def test_divided_rows_travel_one_at_a_time_and_give_the_same(method, factor):
    # Two images a device: their axis and that of the rows must not become one.
    x = random_maps((16, 5))

    def upsample(x):
        return resize(x, (16 * factor, 5 * factor), method)

    def with_gradient(x):
        y, pull_back = jax.vjp(upsample, x)
        return y, pull_back(jnp.cos(y))[0]

    compiled, put = divided_rows(with_gradient)
    program = compiled(x)
    row = 2 * 5 * factor * 3 * 4  # bytes of one row of two images, columns resized
    for one in collectives(program.as_text()):
        assert one.kind == "collective-permute"
        assert one.bytes <= row
    for got, expected in zip(program(put(x)), with_gradient(x), strict=True):
        np.testing.assert_allclose(got, expected, atol=3e-6 * factor**2, rtol=0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("stride", "rows"),
    # Of 16 rows: four to eight, which is less than one a device; one and a half times
    # as many; fewer.
    [(4, 8), (1, 24), (1, 8)],
)
def test_rows_that_do_not_divide_or_grow_evenly_give_the_same(method, stride, rows):
    x = random_maps((16, 6))

    def function(x):
        return resize(x[:, ::stride], (rows, 9), method)

    compiled, put = divided_rows(function)
    np.testing.assert_allclose(
        compiled(x)(put(x)), function(jnp.asarray(x)), atol=3e-6, rtol=0
    )


def symbolically(method, target):
    """Resizing to `target(h, w)`, exported for all sizes."""
    shape = jax.export.symbolic_shape("b, h, w, c")
    exported = jax.export.export(
        jax.jit(lambda x: resize(x, target(*x.shape[1:3]), method))
    )(jax.ShapeDtypeStruct(shape, jnp.float32))
    return lambda x: np.asarray(exported.call(x))


TARGETS = {
    "whole factor": lambda h, w: (4 * h, 2 * w),
    "half and odd": lambda h, w: (h // 2 + 1, 3 * w + 1),
    "one axis fixed": lambda h, w: (9, w),
    "one pixel": lambda h, w: (1, 1),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("target", fast_are(["half and odd", "one pixel"], TARGETS))
def test_symbolic_sizes_give_what_fixed_ones_do(method, target):
    call = symbolically(method, TARGETS[target])
    for size in ((4, 6), (7, 5), (1, 1), (9, 700)):
        x = random_maps(size)
        fixed = jax.jit(resize, static_argnums=(1, 2))
        expected = np.asarray(fixed(x, TARGETS[target](*size), method))
        # Exactly the same positions even far from the origin.
        atol = 0 if method == "nearest" else 1e-6
        np.testing.assert_allclose(call(x), expected, atol=atol, rtol=0)


def test_sizes_that_are_provably_equal_change_nothing():
    shape = jax.export.symbolic_shape("b, h, w, 3")

    def identity(x):
        h, w = x.shape[1:3]
        assert resize(x, ((2 * h + 2) // 2 - 1, w), "bilinear") is x
        return x

    jax.export.export(jax.jit(identity))(jax.ShapeDtypeStruct(shape, jnp.float32))


def test_a_substitute_resizes_only_while_it_is_set():
    x = jnp.ones((1, 2, 2, 1))
    token = SUBSTITUTE.set(lambda name, arrays, shapes, rest: ((name, shapes, rest),))
    try:
        name, (shape,), rest = resize(x, (3, 4), "nearest")
        assert (name, shape.shape) == ("resize", (1, 3, 4, 1))
        assert rest == {"size": (3, 4), "method": "nearest"}
        assert resize(x, (2, 2), "nearest") is x
    finally:
        SUBSTITUTE.reset(token)
    assert resize(x, (3, 4), "nearest").shape == (1, 3, 4, 1)
