"""The training runs of the official code, repeated through the real train step.

In single precision they could not be compared: a pre-activation within rounding
of zero changes its sign between two correct programs (see the notes on
tolerances beside the goldens). So everything here is in double precision, which
the caller enables.
"""

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from hrnet_jax import runtime
from hrnet_jax.experiment.sections import OptimizerOptions, ScheduleOptions
from hrnet_jax.keypoints.losses import heatmap_mse
from hrnet_jax.models.batch_norm import NormOptions
from hrnet_jax.models.model import Model
from hrnet_jax.pretrained import from_torch, to_torch
from hrnet_jax.registry import create_model
from hrnet_jax.segmentation.losses import LossOptions, segmentation_loss
from hrnet_jax.training.optimizers import make_optimizer
from hrnet_jax.training.schedules import make_schedule
from hrnet_jax.training.state import TrainState, create_state
from hrnet_jax.training.step import make_train_step
from tests.goldens import official, synthetic_weights


def _pixel_loss(*options) -> Callable:
    return functools.partial(
        segmentation_loss, options=LossOptions(*options), upsample="bilinear"
    )


class Recipe(NamedTuple):
    """What the runs of one model have in common.

    Attributes:
        model: for `create_model`.
        outputs: the model's option for the number of its outputs.
        losses: functions of output and target, by their names in the goldens.
        optimizer: options of the optimizer.
        rate: constant learning rate.
    """

    model: str
    outputs: str
    losses: dict[str, Callable]
    optimizer: OptimizerOptions
    rate: float


RECIPES = {
    "segmentation": Recipe(
        "segmentation/w18_small_v1",
        "num_classes",
        {
            "ce": _pixel_loss(),
            "ohem_t0.05_k1000": _pixel_loss("ohem", (), 0.05, 1000),
        },
        OptimizerOptions(momentum=0.9, weight_decay=5e-4),
        0.01,
    ),
    "landmarks": Recipe(
        "landmarks/w18",
        "num_points",
        {"mse": heatmap_mse},
        OptimizerOptions("adam", beta1=0.9, beta2=0.999, weight_decay=0.0),
        1e-4,
    ),
}
# Golden run -> recipe.
RUNS = {
    "seg_w18_small_v1_ce": "segmentation",
    "seg_w18_small_v1_ohem_t0.05_k1000": "segmentation",
    "landmarks_w18_300w68_mse": "landmarks",
}


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


def golden_info(run: str) -> dict:
    """Description of a run in `RUNS`."""
    return official.info(f"training/{run}")


@functools.cache
def make_model(kind: str, unbiased_variance: bool = True) -> Model:
    """The model of a recipe, in double precision."""
    recipe = RECIPES[kind]
    first = next(run for run in RUNS if RUNS[run] == kind)
    return create_model(
        recipe.model,
        **{recipe.outputs: golden_info(first)["num_classes"]},
        dtype=jnp.float64,
        norm=NormOptions(momentum=0.01, unbiased_variance=unbiased_variance),
    )


def on_device(tree):
    """Puts a tree onto the one device that these runs use."""
    return jax.device_put(tree, runtime.replicated(runtime.make_mesh(data=1)))


def batches(run: str) -> Iterator[dict[str, np.ndarray]]:
    """The batches of a run; `loss` picks one of the recipe's losses."""
    info, recipe = golden_info(run), RECIPES[RUNS[run]]
    count, _, height, width = info["batch_shape"]
    chosen = np.array([float(name == info["loss"]) for name in recipe.losses])
    assert chosen.sum() == 1
    for seed in info["image_seeds"]:
        image = synthetic_weights.make_image_nhwc((count, height, width, 3), seed)
        yield {
            "image": image.astype(np.float64),
            "target": _target(RUNS[run], info, seed),
            "loss": chosen,
        }


def _target(kind: str, info: dict, seed: int) -> np.ndarray:
    if kind == "landmarks":
        target = synthetic_weights.make_heatmaps_nchw(info["output_shape"], seed)
        return target.transpose(0, 2, 3, 1).astype(np.float64)
    count, _, height, width = info["batch_shape"]
    shape = (count, height, width)
    return synthetic_weights.make_labels(shape, info["num_classes"], seed)


def initial_variables(run: str) -> dict:
    """The weights of a golden run, in double precision."""
    info = golden_info(run)
    rows = [(name, shape) for name, shape in info["parameters"]]
    shapes = dict(rows)
    for name in info["buffer_names"]:
        layer = name.rsplit(".", 1)[0]
        rows.append((name, shapes[f"{layer}.weight"]))
    state_dict = synthetic_weights.make_state_dict(rows, seed=info["weight_seed"])
    variables = from_torch(state_dict, make_model(RUNS[run]))
    return jax.tree.map(lambda x: x.astype(np.float64), variables)


@functools.cache
def optimizer_and_step(kind: str):
    """Optimizer and train step, the same for all losses of a recipe."""
    recipe = RECIPES[kind]
    schedule = make_schedule(ScheduleOptions("constant", recipe.rate), 3)
    optimizer = make_optimizer(recipe.optimizer, schedule)

    def loss_fn(variables, batch, rngs):
        output, state = make_model(kind).apply(
            variables, batch["image"], train=True, mutable=["batch_stats"]
        )
        values = [loss(output, batch["target"]) for loss in recipe.losses.values()]
        value = jnp.dot(jnp.stack(values), batch["loss"])
        return value, (state["batch_stats"], {"output": output})

    mesh = runtime.make_mesh(data=1)
    return optimizer, make_train_step(loss_fn, optimizer, schedule, mesh)


@functools.cache
def compiled_step(kind: str):
    """The step as the loop runs it, compiled once for all losses of a recipe."""
    optimizer, step = optimizer_and_step(kind)
    run = next(run for run in RUNS if RUNS[run] == kind)
    state = create_state(initial_variables(run), optimizer)
    example = on_device((state, next(batches(run))))
    _, compiled = runtime.compile_ahead(step, *example)
    assert compiled.num_pieces > 1
    return compiled


@functools.cache
def compiled_forward(kind: str):
    """(variables, images) -> output in evaluation, NHWC."""
    function = runtime.jit(make_model(kind).apply)
    run = next(run for run in RUNS if RUNS[run] == kind)
    example = initial_variables(run), next(batches(run))["image"]
    return runtime.compile_ahead(function, *on_device(example))[1]


def train(run: str) -> Run:
    """Takes the three steps of a golden run."""
    kind = RUNS[run]
    assert golden_info(run)["steps"] == 3
    optimizer, _ = optimizer_and_step(kind)
    state = on_device(create_state(initial_variables(run), optimizer))
    start = official_arrays(kind, state.variables)
    losses, norms, after = [], [], []
    for batch in batches(run):
        state, scalars = compiled_step(kind)(state, on_device(batch))
        losses.append(float(scalars["loss"]))
        norms.append(float(scalars["gradient_norm"]))
        after.append(official_arrays(kind, state.variables))
        if len(after) == 1:
            gradient = _first_gradient(kind, state, start)
            first_output = _nchw(scalars["output"])
    images = on_device(next(batches(run))["image"])
    output = _nchw(compiled_forward(kind)(state.variables, images))
    return Run(
        f"training/{run}",
        losses,
        norms,
        start,
        after,
        gradient,
        first_output,
        output,
    )


def _first_gradient(kind: str, state: TrainState, start: dict) -> dict[str, np.ndarray]:
    """What the optimizer keeps after one step, turned back into the gradient.

    SGD keeps the gradient plus the decay, Adam 1 - beta1 times the gradient.
    """
    options = RECIPES[kind].optimizer
    key = {"sgd": "trace", "adam": "mu"}[options.name]
    kept = optax.tree.get(state.opt_state, key)
    scale = 1 - options.beta1 if options.name == "adam" else 1.0
    buffers = official_arrays(kind, {"params": kept, "batch_stats": state.batch_stats})
    return {
        name: value / scale - options.weight_decay * start[name]
        for name, value in buffers.items()
        if name.endswith((".weight", ".bias"))
    }


def official_arrays(kind: str, variables: dict) -> dict[str, np.ndarray]:
    """Variables by their official names, in PyTorch's layout."""
    return to_torch(jax.device_get(variables), make_model(kind))


def _nchw(output: jax.Array) -> np.ndarray:
    return np.asarray(output).transpose(0, 3, 1, 2)
