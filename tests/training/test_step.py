"""The train step: sharding, accumulation, averages, randomness."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from hrnet_jax import runtime
from hrnet_jax.experiment.sections import OptimizerOptions, ScheduleOptions
from hrnet_jax.models.batch_norm import NormOptions
from hrnet_jax.models.initialization import initial_variables as model_variables
from hrnet_jax.models.layers import ConvNorm
from hrnet_jax.models.variants import VARIANTS, Variant
from hrnet_jax.registry import create_model
from hrnet_jax.segmentation.losses import LossOptions, segmentation_loss
from hrnet_jax.training.optimizers import make_optimizer
from hrnet_jax.training.schedules import make_schedule
from hrnet_jax.training.state import create_state
from hrnet_jax.training.step import make_train_step
from tests.tiers import fast_are

CLASSES = 4
KEY = jax.random.key(0)


class Tiny(nn.Module):
    """One convolution with norm, optional dropout, one projection."""

    norm: NormOptions = NormOptions()
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x, train):
        x = ConvNorm(8, stride=2, norm=self.norm, name="body")(x, train)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(CLASSES, name="head")(x)


def make_batch(size=8, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, (size, 8, 8))
    return {
        "image": rng.standard_normal((size, 8, 8, 3)).astype(np.float32),
        "label": labels.astype(np.int32),
    }


def make_loss(model, loss=LossOptions()):
    def loss_fn(variables, batch, rngs):
        logits, state = model.apply(
            variables, batch["image"], True, rngs=rngs, mutable=["batch_stats"]
        )
        value = segmentation_loss(logits, batch["label"], loss, "bilinear")
        return value, (state["batch_stats"], {"largest": jnp.max(logits)})

    return loss_fn


@functools.cache
def initial_variables(model):
    image = make_batch(1)["image"]
    return jax.device_get(jax.jit(model.init, static_argnums=2)(KEY, image, False))


def run(model, batches, *, devices=1, loss=LossOptions(), optimizer=None, **options):
    """State and scalars after one step per batch."""
    schedule = make_schedule(ScheduleOptions(learning_rate=0.1), 10)
    optimizer = make_optimizer(optimizer or OptimizerOptions(), schedule)
    variables = initial_variables(model)
    state = create_state(variables, optimizer, ema=bool(options.get("ema_decay")))
    mesh = runtime.make_mesh(data=devices)
    state = jax.device_put(state, runtime.replicated(mesh))
    step = make_train_step(make_loss(model, loss), optimizer, schedule, mesh, **options)
    scalars = []
    for batch in batches:
        batch = {
            key: jax.device_put(x, runtime.batch_sharding(mesh, x.ndim))
            for key, x in batch.items()
        }
        state, values = step(state, batch)
        scalars.append(jax.device_get(values))
    return jax.device_get(state), scalars


def assert_close(got, expected, **tolerance):
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, **tolerance), got, expected
    )


def test_one_step_is_the_formula():
    model, batch = Tiny(), make_batch()
    variables = initial_variables(model)

    def loss(params):
        return make_loss(model)({**variables, "params": params}, batch, {})

    compute = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (value, (stats, _)), gradient = compute(variables["params"])
    state, (scalars,) = run(model, [batch])
    expected = jax.tree.map(
        lambda w, g: w - 0.1 * (g + 5e-4 * w), variables["params"], gradient
    )
    assert state.step == 1
    assert_close(state.params, expected, rtol=1e-5, atol=1e-6)
    assert_close(state.batch_stats, stats, rtol=1e-5, atol=1e-6)
    assert set(scalars) == {"loss", "largest", "learning_rate", "gradient_norm"}
    np.testing.assert_allclose(scalars["loss"], value, rtol=1e-5)
    np.testing.assert_allclose(scalars["learning_rate"], 0.1, rtol=1e-6)
    np.testing.assert_allclose(
        scalars["gradient_norm"], optax.tree.norm(gradient), rtol=1e-5
    )


def test_the_logged_rate_is_that_of_the_update():
    _, scalars = run(Tiny(), [make_batch(seed=seed) for seed in range(3)])
    expected = [0.1 * (1 - i / 10) ** 0.9 for i in range(3)]
    np.testing.assert_allclose(
        [values["learning_rate"] for values in scalars], expected, rtol=1e-5
    )


@pytest.mark.parametrize("loss", ["cross_entropy", "ohem"])
def test_eight_devices_equal_one(loss):
    # Devices see different numbers of labelled pixels and other statistics, so
    # means per device would differ from means over the batch.
    batches = [make_batch(seed=seed) for seed in range(3)]
    for batch in batches:
        for index in range(8):
            batch["label"][index, : index % 7] = 255
            batch["image"][index] += index
    options = LossOptions(loss, (1.0, 2.0, 0.5, 1.5), 0.3, 50)
    expected, one = run(Tiny(), batches, loss=options)
    got, eight = run(Tiny(), batches, loss=options, devices=8)
    assert_close(got, expected, rtol=1e-4, atol=1e-5)
    assert_close(eight, one, rtol=1e-4, atol=1e-5)


def test_accumulating_micro_batches_equals_one_large_batch():
    # Frozen norms, and as many labelled pixels in each micro-batch.
    model = Tiny(NormOptions(mode="frozen"))
    batches = [make_batch(16, seed) for seed in range(2)]
    expected, one = run(model, batches)
    got, four = run(model, batches, accumulate=4)
    assert_close(got, expected, rtol=1e-4, atol=1e-6)
    for key in ("loss", "gradient_norm", "learning_rate"):
        np.testing.assert_allclose(four[1][key], one[1][key], rtol=1e-4)


def test_accumulation_keeps_every_device_busy_with_its_own_examples():
    model = Tiny(NormOptions(mode="frozen"))
    batches = [make_batch(16)]
    expected, _ = run(model, batches, accumulate=2)
    got, _ = run(model, batches, accumulate=2, devices=8)
    assert_close(got, expected, rtol=1e-4, atol=1e-6)


def test_every_micro_batch_draws_anew():
    # Equal examples: with equal draws the micro-batches would have equal losses.
    model = Tiny(NormOptions(mode="frozen"), dropout=0.5)
    batch = jax.tree.map(lambda x: x[:1].repeat(8, 0), make_batch())
    _, (scalars,) = run(model, [batch], accumulate=2, seed=1)
    part = jax.tree.map(lambda x: x[:4], batch)
    key = jax.random.fold_in(jax.random.key(1), 0)
    loss = jax.jit(lambda rngs: make_loss(model)(initial_variables(model), part, rngs))
    losses = [loss({"dropout": jax.random.fold_in(key, i)})[0] for i in range(2)]
    assert abs(losses[0] - losses[1]) > 1e-3
    np.testing.assert_allclose(scalars["loss"], np.mean(losses), rtol=1e-5)


def test_micro_batches_update_the_statistics_one_after_the_other():
    model, batch = Tiny(), make_batch(8)
    state, _ = run(model, [batch], accumulate=2)
    variables = initial_variables(model)
    stats = variables["batch_stats"]
    for start in (0, 1):  # Example b belongs to micro-batch b % 2.
        _, changed = model.apply(
            {"params": variables["params"], "batch_stats": stats},
            batch["image"][start::2],
            True,
            mutable=["batch_stats"],
        )
        stats = changed["batch_stats"]
    assert_close(state.batch_stats, stats, rtol=1e-5, atol=1e-6)


def test_the_average_of_the_weights_is_the_formula():
    batches = [make_batch(seed=seed) for seed in range(3)]
    model, decay = Tiny(), 0.15
    states = [run(model, batches[:count])[0] for count in (1, 2, 3)]
    start = initial_variables(model)
    average = {name: start[name] for name in ("params", "batch_stats")}
    for step, state in enumerate(states):
        weight = min(decay, (1 + step) / (10 + step))
        average = jax.tree.map(
            lambda old, new, w=weight: w * old + (1 - w) * new,
            average,
            state.variables,
        )
    state, _ = run(model, batches, ema_decay=decay)
    assert_close(state.ema, average, rtol=1e-5, atol=1e-6)
    assert_close(state.params, states[-1].params, rtol=1e-6)
    assert state.eval_variables is not state.variables
    assert_close(state.eval_variables, state.ema)
    assert_close(states[-1].eval_variables, states[-1].variables)


def test_randomness_is_a_function_of_seed_and_step():
    model, batches = Tiny(dropout=0.5), [make_batch()] * 2
    first, _ = run(model, batches, seed=1)
    again, _ = run(model, batches, seed=1)
    other, _ = run(model, batches, seed=2)
    assert_close(again, first, rtol=0)
    assert not np.array_equal(
        other.params["head"]["kernel"], first.params["head"]["kernel"]
    )


def test_every_step_draws_anew():
    def loss_fn(variables, batch, rngs):
        value = jax.random.uniform(rngs["dropout"])
        zero = 0 * jnp.sum(variables["params"]["w"]) * jnp.sum(batch["x"])
        return value + zero, (variables["batch_stats"], {})

    optimizer = make_optimizer(OptimizerOptions(), lambda step: 0.1)
    state = create_state({"params": {"w": jnp.ones(3)}, "batch_stats": {}}, optimizer)
    mesh = runtime.make_mesh(data=1)
    step = make_train_step(loss_fn, optimizer, lambda step: 0.1, mesh, seed=3)
    seen = []
    for _ in range(3):
        state, scalars = step(state, {"x": jnp.ones(2)})
        seen.append(float(scalars["loss"]))
    key = jax.random.key(3)
    expected = [float(jax.random.uniform(jax.random.fold_in(key, i))) for i in range(3)]
    np.testing.assert_allclose(seen, expected, rtol=1e-6)


def test_the_step_takes_over_the_memory_of_its_state():
    optimizer = make_optimizer(OptimizerOptions(), lambda step: 0.1)
    variables = {
        "params": {"w": jnp.arange(3.0)},
        "batch_stats": {"mean": jnp.ones(2)},
    }
    state = create_state(variables, optimizer, ema=True)

    def loss_fn(variables, batch, rngs):
        value = jnp.sum(variables["params"]["w"] * batch["x"])
        return value, (variables["batch_stats"], {})

    mesh = runtime.make_mesh(data=1)
    step = make_train_step(loss_fn, optimizer, lambda s: 0.1, mesh, ema_decay=0.9)
    new, _ = step(state, {"x": jnp.ones(3)})
    assert state.params["w"].is_deleted()
    np.testing.assert_array_equal(new.step, 1)


@pytest.mark.slow
def test_equal_modules_share_programs_that_compute_the_same_step(
    monkeypatch, unoptimized
):
    # The two modules of stage 3 are equal.
    small = Variant(4, stage1_blocks=0, modules=(0, 2, 0), blocks=1)
    monkeypatch.setitem(VARIANTS, "small", small)
    batch = {"image": np.ones((2, 32, 32, 3)), "label": np.ones((2, 32, 32), int)}
    with jax.enable_x64():
        whole, state = step_of_a_model("segmentation/small")
        expected = whole(state, batch)
        for remat in (False, True):
            step, state = step_of_a_model("segmentation/small", remat=remat)
            _, compiled = runtime.compile_ahead(step, state, batch)
            # One of two equal calls, forward and backward.
            assert compiled.num_programs == compiled.num_pieces - 2
            assert_close(compiled(state, batch), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("modules", fast_are([], [(1, 0, 0), (1, 1, 1)]))
def test_every_parameter_takes_the_place_of_its_former_value(
    modules, monkeypatch, unoptimized
):
    small = Variant(4, stage1_blocks=1, modules=modules, blocks=1)
    monkeypatch.setitem(VARIANTS, "small", small)
    batch = {"image": np.ones((1, 32, 32, 3)), "label": np.ones((1, 32, 32), int)}
    with jax.enable_x64():
        step, state = step_of_a_model("segmentation/small")
        _, compiled = runtime.compile_ahead(step, state, batch)
        state, _ = compiled(state, batch)
        before = places(state)
        state, _ = compiled(state, batch)
    assert compiled.num_pieces > 1
    assert places(state) == before


def places(state):
    """Where parameters and optimizer state lie in memory."""
    leaves = jax.tree.leaves((state.params, state.opt_state))
    return [leaf.unsafe_buffer_pointer() for leaf in leaves if leaf.size > 1]


def step_of_a_model(name, **options):
    """Train step of a model in double precision, with its first state."""
    model = create_model(name, num_classes=CLASSES, dtype=jnp.float64, **options)
    optimizer = make_optimizer(OptimizerOptions(), lambda step: 0.1)
    mesh = runtime.make_mesh(data=1)
    step = make_train_step(make_loss(model), optimizer, lambda step: 0.1, mesh)
    variables = jax.tree.map(np.float64, model_variables(model))
    state = create_state(variables, optimizer)
    return step, jax.device_put(state, runtime.replicated(mesh))
