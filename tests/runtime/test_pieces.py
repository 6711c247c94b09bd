"""A function cut into programs computes what it computes as one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.runtime import pieces
from hrnet_jax.runtime.pieces import PiecewiseProgram

WIDTH = 8


@pytest.fixture(autouse=True)
def cut_small_calls(monkeypatch):
    monkeypatch.setattr(pieces, "MIN_EQUATIONS", 3)


@jax.jit
def layer(weight, x):
    """Large enough to be cut out, and jitted, so that equal calls share a trace."""
    return jnp.tanh(x @ weight) + jnp.sin(x)


@jax.jit
def subtract(a, b):
    return jnp.cos(a) - jnp.cos(b)


def network(weights, x):
    for weight in weights:
        x = layer(weight, x) * 2
    return x


def build(function, *arguments, **options) -> PiecewiseProgram:
    return PiecewiseProgram(jax.jit(function, **options).trace(*arguments), {})


def draw(*shapes):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]


def assert_equal_to_one_program(function, *arguments):
    expected = jax.jit(function)(*arguments)
    got = build(function, *arguments)(*arguments)
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for left, right in zip(jax.tree.leaves(got), jax.tree.leaves(expected)):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)


def test_equal_calls_share_a_program():
    *weights, x = draw(*[(WIDTH, WIDTH)] * 5, (2, WIDTH))
    program = build(network, weights, x)
    # Five calls of the layer and the products between them. The last product is
    # alone as well, but nothing says that it is the same.
    assert program.num_pieces == 10
    assert program.num_programs == 1 + 5
    assert_equal_to_one_program(network, weights, x)


def test_gradients_share_programs_too():
    *weights, x = draw(*[(WIDTH, WIDTH)] * 4, (2, WIDTH))

    @functools.partial(jax.value_and_grad, argnums=(0, 1))
    def gradients(weights, x):
        return jnp.sum(network(weights, x) ** 2)

    assert_equal_to_one_program(gradients, weights, x)
    program = build(gradients, weights, x)
    # Four calls forward share one, and four backward.
    assert program.num_programs == program.num_pieces - 2 * 3


def test_the_same_call_with_arguments_in_other_places():
    a, b = draw((3,), (3,))
    assert_equal_to_one_program(
        lambda a, b: (
            subtract(a, b),
            subtract(b, a),
            subtract(a, a),
            subtract(b, 2.0),
            subtract(b, 3.0),
        ),
        a,
        b,
    )


def test_calls_of_which_only_some_results_are_used():
    @jax.jit
    def three(x):
        return jnp.sin(x), jnp.cos(x), jnp.tan(x)

    (x,) = draw((3,))
    assert_equal_to_one_program(lambda x: three(three(x)[0])[1], x)


def test_results_that_are_arguments_or_constants():
    (x,) = draw((3,))
    table = np.arange(3, dtype=np.float32)

    def function(x, unused):
        return {"same": x, "one": 1.0, "sum": layer(jnp.eye(3), x) + table, "x": [x]}

    assert_equal_to_one_program(function, x, x)
    program = build(function, x, x)
    np.testing.assert_array_equal(program(x, x)["sum"], program(x, x)["sum"])


def test_a_function_without_calls_is_one_program():
    (x,) = draw((3,))
    program = build(lambda x: jnp.sin(x) + 1, x)
    assert program.num_programs == program.num_pieces == 1
    assert_equal_to_one_program(lambda x: jnp.sin(x) + 1, x)


def test_a_function_that_computes_nothing():
    (x,) = draw((3,))
    assert_equal_to_one_program(lambda x: x, x)


def test_donated_arguments_are_taken_over_and_others_kept():
    # Three steps of two programs: in single precision their rounding would grow.
    with jax.enable_x64():
        check_donation()


def check_donation():
    *weights, x = (
        jnp.asarray(array, jnp.float64)
        for array in draw(*[(WIDTH, WIDTH)] * 3, (2, WIDTH))
    )
    momentum = [jnp.zeros_like(weight) for weight in weights]
    kept = [jnp.copy(weight) for weight in weights]

    def update(state, x):
        weights, momentum = state
        grads = jax.grad(lambda w: jnp.sum(network(w, x)))(weights)
        momentum = [0.9 * m + g for m, g in zip(momentum, grads, strict=True)]
        weights = [w - 0.1 * m for w, m in zip(weights, momentum, strict=True)]
        return weights, momentum

    program = build(update, (weights, momentum), x, donate_argnums=0)
    state = weights, momentum
    expected = kept, [jnp.zeros_like(weight) for weight in kept]
    for _ in range(3):
        state = program(state, x)
        expected = jax.jit(update)(expected, x)
    for left, right in zip(jax.tree.leaves(state), jax.tree.leaves(expected)):
        assert left.dtype == np.float64
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-11)
    assert all(leaf.is_deleted() for leaf in (*weights, *momentum))
    assert not x.is_deleted()


def test_every_result_takes_the_place_of_its_former_value():
    *weights, x = draw(*[(WIDTH, WIDTH)] * 4, (2, WIDTH))
    momentum = [jnp.zeros_like(weight) for weight in weights]

    def update(state, x):
        weights, momentum = state
        grads = jax.grad(lambda w: jnp.sum(network(w, x)))(weights)
        # Weights are read first and made last.
        grads = [0.1 * w + g for w, g in zip(weights, grads, strict=True)]
        momentum = [0.9 * m + g for m, g in zip(momentum, grads, strict=True)]
        weights = [w - 0.1 * m for w, m in zip(weights, momentum, strict=True)]
        return weights, momentum

    def places(state):
        return [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(state)]

    program = build(update, (weights, momentum), x, donate_argnums=0)
    state = program((weights, momentum), x)
    before = places(state)
    assert places(program(state, x)) == before


def test_only_as_much_is_taken_over_as_there_are_results():
    a, b = draw((3,), (3,))
    # JAX would warn of donated memory that is of no use.
    program = build(lambda a, b: jnp.sin(a) + b, a, b, donate_argnums=(0, 1))
    program(a, b)
    assert [a.is_deleted(), b.is_deleted()] == [True, False]


def test_equal_calls_of_donated_and_kept_arguments_differ():
    @jax.jit
    def double(x):
        return jnp.sin(x) + jnp.cos(x) + 2 * x

    given, kept = draw((3,), (3,))
    program = build(lambda a, b: (double(a), double(b)), given, kept, donate_argnums=0)
    program(given, kept)
    assert given.is_deleted() and not kept.is_deleted()


@jax.jit
def widen(x):
    y = jnp.tile(x, 8)
    return jnp.sin(y) + jnp.cos(y) + y


@jax.jit
def narrow(y):
    z = y.reshape(8, -1)
    return jnp.sin(z).sum(0) + jnp.cos(z).sum(0)


def through_wide_values(times, x):
    for _ in range(times):
        x = narrow(widen(x))
    return x + 1


def test_memory_is_that_of_the_largest_moment():
    (x,) = draw((1000,))
    once = build(functools.partial(through_wide_values, 1), x).memory_bytes()
    # The argument stays; the wide value and the sum exist at the same time.
    assert 4 * (1000 + 8000) <= once <= 4 * (1000 + 3 * 8000 + 2000)
    # Wide values that are used up one after the other do not add up.
    thrice = build(functools.partial(through_wide_values, 3), x).memory_bytes()
    assert once <= thrice <= once + 4 * 2000


def test_values_are_given_up_after_their_last_use(monkeypatch):
    (x,) = draw((1000,))
    program = build(functools.partial(through_wide_values, 3), x)
    others = {id(array) for array in jax.live_arrays()} - {id(x)}
    seen = []

    def watched(inner):
        def run(*arguments):
            results = inner(*arguments)
            alive = [a for a in jax.live_arrays() if id(a) not in others]
            seen.append(sum(array.nbytes for array in alive))
            return results

        return run

    monkeypatch.setattr(program, "_programs", [*map(watched, program._programs)])
    program(x)
    # Besides one wide value: the argument, and what a piece reads and makes.
    assert len(seen) == program.num_pieces
    assert max(seen) <= 4 * (8000 + 3 * 1000)


def test_arguments_of_another_structure_are_refused():
    (x,) = draw((3,))
    program = build(lambda pair: pair["a"] + 1, {"a": x})
    with pytest.raises(TypeError, match=r"compiled for arguments of structure .*'a'"):
        program({"b": x})


def test_double_precision_stays_double():
    with jax.enable_x64():
        x = jnp.linspace(0, 1, WIDTH)
        weight = jnp.eye(WIDTH)
        function = functools.partial(network, [weight] * 3)
        got = build(function, x)(x)
        assert got.dtype == jnp.float64
        np.testing.assert_allclose(got, function(x), rtol=1e-14)
