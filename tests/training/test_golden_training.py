"""Three training steps equal the official code in double precision.

In single precision they could not: a pre-activation within rounding of zero
changes its sign between two correct programs (see the notes on tolerances
beside the goldens).
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hrnet_jax import runtime
from hrnet_jax.models.batch_norm import NormOptions
from hrnet_jax.pretrained import from_torch, to_torch
from hrnet_jax.registry import create_model
from hrnet_jax.segmentation.losses import LossOptions, segmentation_loss
from hrnet_jax.training.optimizers import OptimizerOptions, make_optimizer
from hrnet_jax.training.schedules import ScheduleOptions, make_schedule
from hrnet_jax.training.state import create_state
from hrnet_jax.training.step import make_train_step
from tests.goldens import official, synthetic_weights

LOSSES = {
    "ce": LossOptions(),
    "ohem_t0.05_k1000": LossOptions("ohem", (), 0.05, 1000),
}
RTOL = 1e-8
WEIGHT_DECAY = 5e-4


class Run(NamedTuple):
    """What three steps left behind; dicts are official names to arrays."""

    name: str
    losses: list[float]
    gradient_norms: list[float]
    start: dict[str, np.ndarray]
    after: list[dict[str, np.ndarray]]
    gradient: dict[str, np.ndarray]
    first_output: np.ndarray
    eval_output: np.ndarray

    @property
    def info(self):
        return official.info(self.name)

    def expected(self, key):
        return official.arrays(self.name)[f"{key}_float64_run"]


@functools.cache
def model():
    return create_model(
        "segmentation/w18_small_v1",
        num_classes=19,
        dtype=jnp.float64,
        norm=NormOptions(momentum=0.01),
    )


@functools.cache
def forward():
    return runtime.jit(model().apply)


@functools.cache
def optimizer_and_step():
    """Optimizer and train step, the same for both losses."""
    schedule = make_schedule(ScheduleOptions("constant", 0.01), 3)
    optimizer = make_optimizer(
        OptimizerOptions(momentum=0.9, weight_decay=WEIGHT_DECAY), schedule
    )

    def loss_fn(variables, batch, rngs):
        logits, state = model().apply(
            variables, batch["image"], train=True, mutable=["batch_stats"]
        )
        values = [
            segmentation_loss(logits, batch["label"], options)
            for options in LOSSES.values()
        ]
        value = jnp.dot(jnp.stack(values), batch["loss"])
        return value, (state["batch_stats"], {"logits": logits})

    mesh = runtime.make_mesh(data=1)
    return optimizer, make_train_step(loss_fn, optimizer, schedule, mesh)


@functools.cache
def compiled_step():
    """The step as the loop runs it, compiled once for both losses."""
    optimizer, step = optimizer_and_step()
    info = official.info(f"training/seg_w18_small_v1_{next(iter(LOSSES))}")
    example = on_device((initial_state(info, optimizer), next(batches(info))))
    _, compiled = runtime.compile_ahead(step, *example)
    assert compiled.num_pieces > 1
    return compiled


def on_device(tree):
    return jax.device_put(tree, runtime.replicated(runtime.make_mesh(data=1)))


def batches(info):
    count, _, height, width = info["batch_shape"]
    for seed in info["image_seeds"]:
        image = synthetic_weights.make_image_nhwc((count, height, width, 3), seed)
        labels = synthetic_weights.make_labels(
            (count, height, width), info["num_classes"], seed
        )
        chosen = np.array([float(name == info["loss"]) for name in LOSSES])
        yield {"image": image.astype(np.float64), "label": labels, "loss": chosen}


def official_arrays(variables) -> dict[str, np.ndarray]:
    return to_torch(jax.device_get(variables), model())


def initial_state(info, optimizer):
    """State with the weights of the golden run, in double precision."""
    rows = [(name, shape) for name, shape in info["parameters"]]
    shapes = dict(rows)
    for name in info["buffer_names"]:
        layer = name.rsplit(".", 1)[0]
        rows.append((name, shapes[f"{layer}.weight"]))
    state_dict = synthetic_weights.make_state_dict(rows, seed=info["weight_seed"])
    variables = from_torch(state_dict, model())
    variables = jax.tree.map(lambda x: x.astype(np.float64), variables)
    return create_state(variables, optimizer)


def train(name: str) -> Run:
    info = official.info(name)
    assert info["steps"] == 3
    optimizer, _ = optimizer_and_step()
    state = on_device(initial_state(info, optimizer))
    start = official_arrays(state.variables)
    losses, norms, after = [], [], []
    for batch in batches(info):
        state, scalars = compiled_step()(state, on_device(batch))
        losses.append(float(scalars["loss"]))
        norms.append(float(scalars["gradient_norm"]))
        after.append(official_arrays(state.variables))
        if len(after) == 1:
            gradient = first_gradient(state, start)
            first_output = np.asarray(scalars["logits"]).transpose(0, 3, 1, 2)
    images = next(batches(info))["image"]
    output = np.asarray(forward()(jax.device_get(state.variables), images))
    return Run(
        name,
        losses,
        norms,
        start,
        after,
        gradient,
        first_output,
        output.transpose(0, 3, 1, 2),
    )


def first_gradient(state, start) -> dict[str, np.ndarray]:
    """The momentum buffer after one step is the gradient plus the decay."""
    trace = optax.tree_utils.tree_get(state.opt_state, "trace")
    buffers = official_arrays({"params": trace, "batch_stats": state.batch_stats})
    return {
        name: value - WEIGHT_DECAY * start[name]
        for name, value in buffers.items()
        if name.endswith((".weight", ".bias"))
    }


@pytest.fixture(
    scope="module",
    params=["seg_w18_small_v1_ce", "seg_w18_small_v1_ohem_t0.05_k1000"],
)
def run(request):
    with jax.enable_x64():
        return train(f"training/{request.param}")


def first8(value):
    """The first eight elements, padded like the goldens."""
    flat = value.ravel()[:8]
    return np.pad(flat, (0, 8 - flat.size))


def compared_parameters(run):
    """(index, name) of parameters whose gradient is not rounding noise."""
    for index, (name, shape) in enumerate(run.info["parameters"]):
        assert list(run.start[name].shape) == shape
        if name not in run.info["zero_gradient_parameters"]:
            yield index, name


def test_losses_and_gradient_norms_of_all_steps(run):
    np.testing.assert_allclose(run.losses, run.expected("losses"), rtol=RTOL)
    np.testing.assert_allclose(
        run.gradient_norms, run.expected("total_grad_norm"), rtol=RTOL
    )


def test_gradient_of_every_parameter_in_the_first_step(run):
    norms, elements = run.expected("grad_norm"), run.expected("grad_first8")
    projections = run.expected("grad_projection")
    for index, name in compared_parameters(run):
        value, scale = run.gradient[name], RTOL * norms[index]
        message = f"gradient of {name}"
        assert abs(np.linalg.norm(value) - norms[index]) <= scale, message
        projection = synthetic_weights.projections(value, 1)[0]
        assert abs(projection - projections[index]) <= scale, message
        np.testing.assert_allclose(
            first8(value), elements[index], rtol=RTOL, atol=scale, err_msg=message
        )


def test_parameters_and_their_changes_after_three_steps(run):
    norms = run.expected("param_norm_after3")
    changes = run.expected("param_change_norm_after3")
    elements = run.expected("param_first8_after3")
    for index, name in compared_parameters(run):
        value, message = run.after[2][name], f"parameter {name}"
        np.testing.assert_allclose(np.linalg.norm(value), norms[index], rtol=RTOL)
        change = np.linalg.norm(value - run.start[name])
        np.testing.assert_allclose(
            change, changes[index], rtol=RTOL, err_msg=f"change of {name}"
        )
        np.testing.assert_allclose(
            first8(value),
            elements[index],
            rtol=RTOL,
            atol=RTOL * changes[index],
            err_msg=message,
        )


def test_running_statistics_after_the_first_step(run):
    for layer in run.info["bn_layers"]:
        for leaf in ("running_mean", "running_var"):
            name = f"{layer}.{leaf}"
            expected = official.arrays(run.name)[f"bn_after1_float64_run/{name}"]
            np.testing.assert_allclose(
                run.after[0][name], expected, rtol=RTOL, atol=1e-10, err_msg=name
            )


def test_norms_of_all_running_statistics(run):
    for key, step in (("buffer_norm_after1", 0), ("buffer_norm_after3", 2)):
        norms = [np.linalg.norm(run.after[step][k]) for k in run.info["buffer_names"]]
        np.testing.assert_allclose(norms, run.expected(key), rtol=RTOL)


def test_output_in_evaluation_after_three_steps(run):
    strides = run.info["output_strides_float64_run"]
    got = synthetic_weights.subsample(run.eval_output, strides)
    expected = run.expected("eval_output_after3")
    np.testing.assert_allclose(got, expected, atol=RTOL * expected.std(), rtol=0)


def test_output_of_the_first_step_in_train_mode(run):
    strides = run.info["output_strides_float64_run"]
    got = synthetic_weights.subsample(run.first_output, strides)
    expected = run.expected("output_step1")
    np.testing.assert_allclose(got, expected, atol=RTOL * expected.std(), rtol=0)
